"""The shape of a neural network as it is written in ``policy_kwargs``, checked, and as the kernels take it.

    policy_kwargs={"net_arch": [64, 64], "activation_fn": "tanh", "initializer": "glorot"}

``net_arch`` lists the units of the hidden layers; the last layer is added: one unit for each output, no activation.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box, Discrete
from numpy.typing import NDArray

from rlgrid.agents.base import check_count, check_name

# As numbered by rlgrid.kernels.activations.
ACTIVATIONS = ("linear", "relu", "tanh", "sigmoid", "leaky_relu", "elu", "softsign", "swish")
INITIALIZERS = ("he", "glorot")
_HE = ("relu", "leaky_relu", "elu", "swish")  # activations whose weights are He's by default

MOST_PARAMETERS = 2**27  # 0.5 GB, five times


@dataclass(frozen=True)
class Architecture:
    """A network without its weights."""

    net_arch: list[int]
    activation_fn: str
    initializer: str
    discrete: bool  # observations are the states of a Discrete space
    width: int  # its number of states, or the length of a vector
    program: NDArray[np.int64]  # of rlgrid.kernels.network
    names: list[str]  # of the operations, for errors

    @property
    def parameters(self) -> int:
        """Number of weights and biases, P."""
        from rlgrid.kernels.network import END

        return int(self.program[-1, END])

    @property
    def kept(self) -> int:
        """Numbers that a pass through the network keeps of each observation."""
        from rlgrid.kernels.network import KEPT

        return int(self.program[-1, KEPT])

    def settings(self) -> dict[str, Any]:
        """The policy_kwargs that give this architecture."""
        return {"net_arch": self.net_arch, "activation_fn": self.activation_fn, "initializer": self.initializer}

    def first_weights(self, generator: np.random.Generator) -> NDArray[np.float64]:
        """float64 [P]: weights uniform in He's or Glorot's interval (He et al. 2015; Glorot & Bengio 2010), biases 0.

        The last layer, which is linear, takes Glorot's.
        """
        from rlgrid.kernels.network import BIASES, INPUTS, UNITS, WEIGHTS

        theta = np.zeros(self.parameters)
        for op, row in enumerate(self.program):
            fan_in, fan_out = int(row[INPUTS]), int(row[UNITS])
            if op == 0 and self.discrete:
                fan_in = 1  # one entry of a one-hot row is on, so a unit has one input at a time
            he = op < len(self.program) - 1 and self.initializer == "he"
            limit = math.sqrt(6.0 / fan_in) if he else math.sqrt(6.0 / (fan_in + fan_out))
            weights = theta[row[WEIGHTS] : row[BIASES]]
            weights[:] = limit * (2.0 * generator.random(weights.size) - 1.0)
        return theta

    def network(self, theta: NDArray[np.float64], batch: int, dtype: type = np.float32) -> Any:
        """The `rlgrid.kernels.network.Network` with weights ``theta``, for batches of up to ``batch`` observations."""
        from rlgrid.kernels.network import Network

        theta = theta.astype(dtype)
        return Network(
            program=self.program,
            theta=theta,
            gradient=np.zeros_like(theta),
            mean=np.zeros_like(theta),
            square=np.zeros_like(theta),
            work=np.zeros(batch * self.kept, dtype),
            deltas=np.zeros(batch * self.kept, dtype),
            row=np.zeros(self.kept, dtype),
        )


def architecture_of(
    policy_kwargs: Mapping[str, Any] | None, observations: gym.Space[Any], outputs: int
) -> Architecture:
    """The network that ``policy_kwargs`` describes, from a space of observations to a number of outputs.

    Raises:
        TypeError, ValueError: naming the setting, and what it may be.
    """
    settings: dict[str, Any] = {"net_arch": [64, 64], "activation_fn": "relu", "initializer": None}
    if policy_kwargs is not None:
        if not isinstance(policy_kwargs, Mapping):
            raise TypeError(f"policy_kwargs must be a dict, not {policy_kwargs!r}")
        for name in policy_kwargs:
            check_name("a key of policy_kwargs", name, settings)
        settings |= policy_kwargs
    arch = settings["net_arch"]
    if not isinstance(arch, list | tuple):
        raise TypeError(f"net_arch must be a list of the hidden layers' units such as [64, 64], not {arch!r}")
    net_arch = [check_count("a layer of net_arch", units) for units in arch]
    activation = check_name("activation_fn", settings["activation_fn"], ACTIVATIONS)
    initializer = settings["initializer"]
    if initializer is None:
        initializer = "he" if activation in _HE else "glorot"
    if initializer == "zeros":
        raise ValueError(
            "initializer must not be 'zeros': from all-zero weights every unit of a layer would stay the same; "
            f"take one of {', '.join(INITIALIZERS)}"
        )
    initializer = check_name("initializer", initializer, INITIALIZERS)
    discrete, width = _check_observations(observations)
    sizes = [width, *net_arch, outputs]
    program = _program(sizes, ACTIVATIONS.index(activation))
    names = [f"layer {i + 1} of {len(program)}" for i in range(len(program))]
    architecture = Architecture(net_arch, activation, initializer, discrete, width, program, names)
    if architecture.parameters > MOST_PARAMETERS:
        raise ValueError(
            f"a network of the layers {sizes} has {architecture.parameters} parameters, more than {MOST_PARAMETERS}: "
            "give it fewer units in policy_kwargs={'net_arch': [...]}, or an environment with fewer states"
        )
    return architecture


def _program(sizes: list[int], activation: int) -> NDArray[np.int64]:
    """The program of a dense network from the widths of input, hidden layers and output."""
    from rlgrid.kernels import network as kernels

    program = np.zeros((len(sizes) - 1, kernels.COLUMNS), np.int64)
    parameters = kept = 0
    for op, row in enumerate(program):
        inputs, units = sizes[op], sizes[op + 1]
        hidden = op < len(program) - 1
        row[kernels.INPUTS], row[kernels.UNITS], row[kernels.WEIGHTS] = inputs, units, parameters
        row[kernels.BIASES] = parameters + inputs * units
        parameters += inputs * units + units
        row[kernels.END] = parameters
        row[kernels.OUTPUTS] = kept
        kept += units
        row[kernels.KEPT] = kept
        if hidden:
            row[kernels.ACTIVATION] = activation
            if ACTIVATIONS[activation] == "swish":
                kept += units
    return program


def _check_observations(space: gym.Space[Any]) -> tuple[bool, int]:
    """(whether observations are Discrete, number of states or length of the vector)."""
    if isinstance(space, Discrete):
        return True, int(space.n)
    if isinstance(space, Box) and len(space.shape) == 1 and space.shape[0] > 0 and space.dtype is not None:
        return False, int(space.shape[0])
    remedy = " (gymnasium.wrappers.FlattenObservation makes one of this)"
    raise ValueError(f"DQN takes Discrete observations or a Box of one dimension{remedy}, not {space}")
