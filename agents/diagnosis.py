"""How a DQN is doing inside: its network, its memory, its TD errors, and how far Q is from Q* and where.

Everything is computed from the agent as it stands, and nothing in it changes. Dead units and TD errors are looked up
for transitions taken at even distances from the replay memory. A map of an error is drawn like values are:

    diagnosis = agent.diagnosis()
    rlgrid.draw(agent.model, values=diagnosis.q_error)
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from rlgrid.agents.q_network import QNetworkAgent
    from rlgrid.truth import Truth

PROBES = 512  # transitions that are looked at
BINS = 30


@dataclass(frozen=True)
class LayerDiagnosis:
    """One operation of the network that has weights.

    Attributes:
        name: as in errors.
        weight_norm: Euclidean norm of its weights and biases.
        gradient_norm: the same of the last gradient, before clipping; 0 before the first.
        dead_units: the share of its units that give one and the same output at all the observations that were looked
            at, as a ReLU does whose input is never above 0; NaN for the output layer and while the memory is empty.
    """

    name: str
    weight_norm: float
    gradient_norm: float
    dead_units: float


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """What `DQN.diagnosis` finds. Arrays over states are None where observations are no states of a known model.

    Attributes:
        timesteps, updates: steps and gradient steps so far.
        layers: the layers of the network, from the observations on.
        td_errors: float64 [n], r + gamma V(s') - Q(s, a) of the transitions that were looked at, with V(s') as targets
            have it (by the target network, and double if the agent is).
        histogram, edges: int64 [BINS] and float64 [BINS + 1], the same counted; empty where there are none.
        replay: int64 [S], transitions in the memory by state; None over vectors.
        replay_coverage: the share of the states in which an agent can ever act that are in the memory; of all states
            where no model is known. NaN over vectors.
        q_error: float64 [S], max_a |Q(s,a) - Q*(s,a)| at the agent's gamma; NaN where an agent can never act.
        max_q_error, mean_q_error: over the pairs in which an agent can ever act; NaN where Q* is not known.
    """

    timesteps: int
    updates: int
    layers: tuple[LayerDiagnosis, ...]
    td_errors: NDArray[np.float64] = field(repr=False)
    histogram: NDArray[np.int64] = field(repr=False)
    edges: NDArray[np.float64] = field(repr=False)
    replay: NDArray[np.int64] | None = field(repr=False)
    replay_coverage: float
    q_error: NDArray[np.float64] | None = field(repr=False)
    max_q_error: float
    mean_q_error: float

    def worst(self, many: int = 5) -> list[tuple[int, float]]:
        """The states with the greatest q_error, worst first, each with its error.

        Raises:
            ValueError: where Q* is not known.
        """
        if self.q_error is None:
            raise ValueError("there is no q_error: the agent's observations are no states of a known model")
        known = np.flatnonzero(np.isfinite(self.q_error))
        order = known[np.argsort(-self.q_error[known], kind="stable")][:many]
        return [(int(s), float(self.q_error[s])) for s in order]

    def numbers(self) -> dict[str, float]:
        """The numbers by name, those that there are: for a log."""
        shown = {
            "max_q_error": self.max_q_error,
            "mean_q_error": self.mean_q_error,
            "replay_coverage": self.replay_coverage,
        }
        if self.td_errors.size:
            shown["mean_abs_td_error"] = float(np.abs(self.td_errors).mean())
        for i, layer in enumerate(self.layers):
            shown[f"layer_{i + 1}/weight_norm"] = layer.weight_norm
            shown[f"layer_{i + 1}/gradient_norm"] = layer.gradient_norm
            shown[f"layer_{i + 1}/dead_units"] = layer.dead_units
        return {name: value for name, value in shown.items() if math.isfinite(value)}


def diagnose(agent: QNetworkAgent, truth: Truth | None = None) -> Diagnosis:
    """Look into a DQN.

    Args:
        truth: the judge of its tables, `Truth.of(agent)`; None where no model is known.
    """
    from rlgrid.agents.memory import next_observations, places_of
    from rlgrid.kernels.dqn import UPDATES
    from rlgrid.kernels.replay import TERMINATED

    learner, replay = agent._learner, agent._learner.replay
    stored = places_of(replay)
    places = stored[np.unique(np.linspace(0, max(stored.size - 1, 0), PROBES).astype(np.int64))[: stored.size]]
    td_errors = np.zeros(0)
    outputs: list[NDArray[np.float64]] = []
    if places.size:
        q, outputs = agent._outputs(replay.observations[places])
        following = next_observations(replay, learner.arrival, places)
        masks = replay.next_masks[places] if replay.next_masks.size else None
        after = agent._values_after(following, masks)
        discount = np.where(replay.endings[places] == TERMINATED, 0.0, agent.gamma)
        targets = replay.rewards[places] + discount * after
        td_errors = targets - q[np.arange(places.size), replay.actions[places]]
    histogram, edges = np.zeros(0, np.int64), np.zeros(0)
    if td_errors.size:
        histogram, edges = np.histogram(td_errors, BINS)
    counts = None
    if agent._discrete:
        counts = np.bincount(replay.observations[stored], minlength=agent._width).astype(np.int64)
    q_error, greatest, mean = _q_error(agent, truth)
    return Diagnosis(
        timesteps=agent.num_timesteps,
        updates=int(learner.counters[UPDATES]),
        layers=_layers(agent, outputs),
        td_errors=td_errors,
        histogram=histogram,
        edges=edges,
        replay=counts,
        replay_coverage=_coverage(counts, truth),
        q_error=q_error,
        max_q_error=greatest,
        mean_q_error=mean,
    )


def _layers(agent: QNetworkAgent, outputs: list[NDArray[np.float64]]) -> tuple[LayerDiagnosis, ...]:
    from rlgrid.kernels.program import END, WEIGHTS

    network, names = agent._learner.network, agent._architecture.names
    found = []
    last = len(network.program) - 1
    for op, row in enumerate(network.program):
        part = slice(int(row[WEIGHTS]), int(row[END]))
        if part.start == part.stop:
            continue
        dead = math.nan
        if op < last and outputs:
            dead = float((outputs[op] == outputs[op][0]).all(axis=0).mean())
        weights, gradient = (array[part].astype(np.float64) for array in (network.theta, network.gradient))
        norms = (float(np.linalg.norm(weights)), float(np.linalg.norm(gradient)))
        found.append(LayerDiagnosis(names[op], *norms, dead))
    return tuple(found)


def _coverage(counts: NDArray[np.int64] | None, truth: Truth | None) -> float:
    if counts is None:
        return math.nan
    present = counts > 0
    return float(present.mean() if truth is None else present[truth.states].mean())


def _q_error(agent: QNetworkAgent, truth: Truth | None) -> tuple[NDArray[np.float64] | None, float, float]:
    """(by state, greatest, mean)"""
    if truth is None or truth.q_values is None:
        return None, math.nan, math.nan
    exact, q = truth.q_values, agent.q_values
    asked: Any = truth.states[:, None] & np.isfinite(exact) & np.isfinite(q)
    gap = np.where(asked, np.abs(np.where(asked, q, 0.0) - np.where(asked, exact, 0.0)), -1.0)
    by_state = gap.max(axis=1)
    by_state[by_state < 0.0] = math.nan
    if not asked.any():
        return by_state, math.nan, math.nan
    return by_state, float(gap[asked].max()), float(gap[asked].mean())
