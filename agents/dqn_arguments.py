"""The arguments of a DQN, checked: an error names the argument, what it may be, or the remedy."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from decimal import Decimal, localcontext
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box
from numpy.typing import NDArray

from rlgrid.agents.architecture import Observations
from rlgrid.agents.base import check_count, check_name, did_you_mean
from rlgrid.agents.net_arch import check_net_arch
from rlgrid.agents.schedules import Schedule, parse_schedule

# Arguments of Stable-Baselines3's DQN that have no counterpart, with the values that ask for nothing, and the remedy.
OTHERS: dict[str, tuple[tuple[Any, ...], str]] = {
    "verbose": ((0,), "learn(..., log_interval=10) prints a line after every ten episodes, progress_bar=True a bar"),
    "tensorboard_log": ((None,), "learn(..., callback=rlgrid.callbacks.TensorBoardCallback(path)) writes for it"),
    "device": (("auto", "cpu"), "it runs on the CPU"),
    "optimize_memory_usage": ((False, True), "the replay memory keeps every observation once"),
    "replay_buffer_class": ((None,), "there is one replay memory"),
    "replay_buffer_kwargs": ((None, {}), "there is one replay memory"),
    "stats_window_size": ((100,), "means of episodes are over the last 100"),
    "_init_setup_model": ((True,), "the network is there from the beginning"),
}


POLICIES = ("MlpPolicy", "CnnPolicy")

# The layers of a CnnPolicy: those of Mnih et al. 2015 where images are large enough for them, else few small ones that
# keep the size, so that no cell of a small map falls between two.
NATURE = [
    {"conv": 32, "kernel": 8, "stride": 4},
    {"conv": 64, "kernel": 4, "stride": 2},
    {"conv": 64, "kernel": 3},
    512,
]
NATURE_SIDE = 36
SMALL = [{"conv": 16, "kernel": 3, "padding": "same"}, {"conv": 32, "kernel": 3, "padding": "same"}, 64]


def check_policy(
    policy: Any, policy_kwargs: Mapping[str, Any] | None, space: gym.Space[Any]
) -> Mapping[str, Any] | None:
    """The ``policy_kwargs`` of a policy; a CnnPolicy has its layers in front of ``net_arch``, where that has no "conv".

    Raises:
        TypeError, ValueError: naming the policy, and what it may be.
    """
    if policy == "MultiInputPolicy":
        raise ValueError(
            "policy 'MultiInputPolicy' is for observations of several parts (Dict spaces), and a network here has one "
            "input: wrap the environment in gymnasium.wrappers.FlattenObservation and take 'MlpPolicy'"
        )
    check_name("policy", policy, POLICIES)
    if policy == "MlpPolicy" or not isinstance(policy_kwargs, Mapping | None):
        return policy_kwargs
    if not isinstance(space, Box) or len(space.shape) not in (2, 3):
        raise ValueError(f"policy 'CnnPolicy' reads images, a Box of two or three dimensions, not {space}")
    given = dict(policy_kwargs or {})
    after = check_net_arch(given.get("net_arch", []))
    if not any(isinstance(layer, Mapping) and "conv" in layer for layer in after):
        height, width, _ = Observations.of(space, given.get("channels")).shape
        given["net_arch"] = [*(NATURE if min(height, width) >= NATURE_SIDE else SMALL), *after]
    return given


def check_others(agent: str, given: Mapping[str, Any], known: Iterable[str]) -> None:
    """Refuse arguments that are not ``known``; those of Stable-Baselines3 that ask for nothing are let be."""
    known = list(known)
    for name, value in given.items():
        if name not in OTHERS:
            raise TypeError(f"{agent} takes no argument {name!r}{did_you_mean(name, [*known, *OTHERS])}")
        harmless, remedy = OTHERS[name]
        if not any(value is one or value == one for one in harmless):
            if name.startswith("replay_buffer") and "prioritized_replay" in known:
                remedy += "; prioritized_replay=True draws by priority"
            raise TypeError(f"{agent} takes no {name}={value!r}: {remedy}")


def check_epsilon(given: Mapping[str, Any], defaults: Mapping[str, inspect.Parameter]) -> None:
    """Refuse the arguments that say how epsilon falls, where an ``epsilon`` is given that says so by itself."""
    for name in ("exploration_fraction", "exploration_initial_eps", "exploration_final_eps"):
        if given[name] != defaults[name].default:
            raise ValueError(f"give either epsilon or {name}: epsilon says by itself how it falls")


def check_schedule(name: str, given: float | str, most: float, counted: bool = False) -> Schedule:
    """A schedule by name; by a number of visits only where they are ``counted``."""
    schedule = parse_schedule(name, given, most)
    if schedule.kind == "count" and not counted:
        raise ValueError(
            f"{name} {given!r}: visits of states are counted where observations are Discrete, for "
            "exploration alone. Give a number, or a schedule of steps such as 'lin_0.5_0.1'"
        )
    return schedule


def check_train_freq(given: int | tuple[int, str]) -> tuple[int, bool]:
    """(number, whether it counts episodes)."""
    unit = "step"
    if isinstance(given, tuple | list):
        if len(given) != 2 or given[1] not in ("step", "episode"):
            raise ValueError(
                f"train_freq must be a number of steps, (number, 'step') or (number, 'episode'), not {given!r}"
            )
        given, unit = given
    return check_count("train_freq", given), unit == "episode"


def durations(exponent: float, longest: int) -> NDArray[np.float64]:
    """float64 [longest]: the probability of at most 1, 2 ... steps, where that of n is in proportion to n^-exponent.

    This is the zeta distribution, cut off. Powers are decimal, since those of C libraries differ in the last places.
    """
    with localcontext(prec=20):
        powers = [float(Decimal(n) ** -Decimal(exponent)) for n in range(1, longest + 1)]
    at_most = np.cumsum(powers)
    at_most /= at_most[-1]
    return at_most
