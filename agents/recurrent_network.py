"""The shape of a network with a memory as it is written in ``policy_kwargs``, checked, and as the kernels take it.

    policy_kwargs={"net_arch": [32, {"gru": 64}, 32], "activation_fn": "tanh"}

net_arch         dense layers and recurrent ones, {"lstm": units} or {"gru": units}, in their order; where there is no
                 recurrent one, the policy's stands in front of them. The last layer, linear, is added
lstm_hidden_size units of the LSTM of an "MlpLstmPolicy" (sb3-contrib's name)
activation_fn    of dense layers (`rlgrid.agents.net_arch.ACTIVATIONS`)
normalize        "min-max" takes vectors from the bounds of their space to 0 and 1, as is done with bytes in any case
optimizer_class, optimizer_kwargs
                 as of every network (`rlgrid.agents.optimisers`)

Weights begin uniform: He's before activations of the ReLU family, Glorot's before others and of what a recurrent layer
reads, and of what it reads of itself within 1 / sqrt(units), as PyTorch's. Biases begin at 0, but those of what makes a
layer remember at 1: the forget gates of an LSTM (Jozefowicz, Zaremba & Sutskever 2015), z of a GRU.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from rlgrid.agents.architecture import BOUNDLESS, MOST_PARAMETERS, Observations
from rlgrid.agents.base import check_count, check_name
from rlgrid.agents.net_arch import ACTIVATIONS, MOST_LAYERS, layer_of
from rlgrid.agents.optimisers import check_optimizer, optimiser_of

POLICIES = {"MlpLstmPolicy": "lstm", "MlpGruPolicy": "gru"}
UNITS = 32  # of a policy's recurrent layer
_HE = ("relu", "leaky_relu", "elu", "swish")
_DEFAULTS: dict[str, Any] = {
    "net_arch": [],
    "activation_fn": "relu",
    "normalize": None,
    "optimizer_class": "adam",
    "optimizer_kwargs": {},
}


@dataclass(frozen=True)
class RecurrentArchitecture:
    """A network with a memory, without its weights."""

    given: dict[str, Any]  # the policy_kwargs, the policy's recurrent layer among them
    observations: Observations
    program: NDArray[np.int64]  # of rlgrid.kernels.recurrent
    shift: NDArray[np.float64]  # [D]
    scale: NDArray[np.float64]  # [D]
    names: list[str]  # of the operations, for errors
    parameters: int  # P
    kept: int  # numbers that a pass keeps of each row, K
    state: int  # numbers of a state, S

    def policy_kwargs(self) -> dict[str, Any]:
        """What gives this architecture again, as JSON can hold it."""
        return {name: value for name, value in self.given.items() if name == "net_arch" or value != _DEFAULTS[name]}

    def first_weights(self, generator: np.random.Generator) -> NDArray[np.float64]:
        """float64 [P], as the module's text says."""
        from rlgrid.kernels import program as columns
        from rlgrid.kernels.recurrent import GATES

        theta = np.zeros(self.parameters)
        for op, row in enumerate(self.program):
            kind, inputs, units = int(row[columns.KIND]), int(row[columns.INPUTS]), int(row[columns.UNITS])
            gates, first = GATES.get(kind, 1), int(row[columns.WEIGHTS])
            seen = 1 if op == 0 and self.observations.discrete else inputs  # of a one-hot row one entry is on
            he = kind not in GATES and ACTIVATIONS[int(row[columns.ACTIVATION])] in _HE
            limit = math.sqrt(6.0 / seen) if he else math.sqrt(6.0 / (seen + units))
            biases = int(row[columns.BIASES])
            theta[first:biases] = limit * (2.0 * generator.random(biases - first) - 1.0)
            if kind in GATES:
                theta[biases + units : biases + 2 * units] = 1.0  # f of an LSTM and z of a GRU are both the second part
                own, size = biases + gates * units, gates * units * units
                theta[own : own + size] = (2.0 * generator.random(size) - 1.0) / math.sqrt(units)
        return theta

    def optimiser(self, max_norm: float, epsilon: float) -> Any:
        """The optimiser as `rlgrid.kernels.optimisers` takes it; ``epsilon`` is Adam's where its settings lack one."""
        name, settings = self.given["optimizer_class"], self.given["optimizer_kwargs"]
        return optimiser_of(name, ({"eps": epsilon} if name == "adam" else {}) | settings, max_norm)

    def network(self, theta: NDArray[np.float64], batch: int, times: int, dtype: type = np.float32) -> Any:
        """The network with the weights ``theta`` [P], for up to ``times`` observations of ``batch`` sequences."""
        from rlgrid.kernels import program as columns
        from rlgrid.kernels.recurrent import GATES, RecurrentNetwork

        largest, carried = 1, 0
        for row in self.program:
            kind, inputs, units = int(row[columns.KIND]), int(row[columns.INPUTS]), int(row[columns.UNITS])
            gates = GATES.get(kind, 1)
            largest = max(largest, inputs * gates * units, gates * units * units if kind in GATES else 0)
            carried = max(carried, 4 * batch * units if kind in GATES else 0)
        return RecurrentNetwork(
            program=self.program,
            theta=theta.astype(dtype),
            gradient=np.zeros(self.parameters, dtype),
            mean=np.zeros(self.parameters, dtype),
            square=np.zeros(self.parameters, dtype),
            shift=self.shift.astype(dtype),
            scale=self.scale.astype(dtype),
            work=np.zeros(batch * times * self.kept, dtype),
            deltas=np.zeros(batch * times * self.kept, dtype),
            row=np.zeros(self.kept, dtype),
            scratch=np.zeros(largest + carried, dtype),
        )


def recurrent_architecture(
    policy: Any, policy_kwargs: Mapping[str, Any] | None, space: gym.Space[Any], outputs: int
) -> RecurrentArchitecture:
    """The network that a policy and its ``policy_kwargs`` describe, from observations to a number of outputs.

    Raises:
        TypeError, ValueError: naming the setting, and what it may be.
    """
    kind = POLICIES[check_name("policy", policy, POLICIES)]
    if policy_kwargs is not None and not isinstance(policy_kwargs, Mapping):
        raise TypeError(f"policy_kwargs must be a dict, not {policy_kwargs!r}")
    asked = dict(policy_kwargs or {})
    units = UNITS
    if kind == "lstm" and "lstm_hidden_size" in asked:
        units = check_count("lstm_hidden_size", asked.pop("lstm_hidden_size"))
    for name in asked:
        check_name("a key of policy_kwargs", name, _DEFAULTS)
    given = _DEFAULTS | asked
    check_name("activation_fn", given["activation_fn"], ACTIVATIONS)
    given["optimizer_class"], given["optimizer_kwargs"] = check_optimizer(
        given["optimizer_class"], given["optimizer_kwargs"]
    )
    layers = given["net_arch"]
    if not isinstance(layers, list | tuple) or len(layers) > MOST_LAYERS:
        raise TypeError(f"net_arch must be a list of at most {MOST_LAYERS} layers such as [32], not {layers!r}")
    given["net_arch"] = [_checked(layer, f"layer {i + 1} of net_arch") for i, layer in enumerate(layers)]
    if not any(isinstance(layer, dict) and set(layer) & {"lstm", "gru"} for layer in given["net_arch"]):
        given["net_arch"].insert(0, {kind: units})
    elif "lstm_hidden_size" in (policy_kwargs or {}):
        raise ValueError(
            "lstm_hidden_size is of the policy's own layer, and net_arch has a recurrent layer of its own: give its "
            "units there, as in {'lstm': 64}"
        )
    observations = Observations.of(space, None)
    return _build(given, observations, space, outputs)


def _checked(given: Any, name: str) -> Any:
    """A layer as JSON can hold it."""
    if isinstance(given, Mapping) and set(given) & set(POLICIES.values()):
        (kind,) = set(given) & set(POLICIES.values()) if len(given) == 1 else (None,)
        if kind is None:
            raise ValueError(
                f"{name}: a recurrent layer has its units alone, as in {{'lstm': 32}}, not {dict(given)!r}"
            )
        return {kind: check_count(f"{name}: {kind!r}", given[kind])}
    layer = layer_of(given, name)
    if layer.kind != "dense" or layer.initializer is not None:
        raise ValueError(
            f"{name} must be a number of units, {{'dense': 32, 'activation': 'tanh'}}, {{'lstm': 32}} or "
            f"{{'gru': 32}}, not {given!r}"
        )
    if isinstance(given, Mapping):
        return {"dense": layer.units} | ({"activation": layer.activation} if layer.activation else {})
    return layer.units


def _build(given: dict[str, Any], seen: Observations, space: gym.Space[Any], outputs: int) -> RecurrentArchitecture:
    from rlgrid.kernels import program as columns
    from rlgrid.kernels.recurrent import GATES, GRU, LSTM, STATE

    kinds = {"lstm": LSTM, "gru": GRU}
    kept = 0 if seen.discrete else seen.width
    inputs, parameters, state = seen.width, 0, 0
    rows, names = [], []
    for i, layer in enumerate([*given["net_arch"], {"dense": outputs, "activation": "linear"}]):
        written = layer if isinstance(layer, dict) else {"dense": layer}
        word = next(name for name in ("dense", "lstm", "gru") if name in written)
        units, kind = int(written[word]), kinds.get(word, columns.DENSE)
        gates, row = GATES.get(kind, 1), np.zeros(columns.COLUMNS, np.int64)
        row[columns.KIND], row[columns.INPUTS], row[columns.UNITS], row[columns.FROM] = kind, inputs, units, i - 1
        row[columns.WEIGHTS], row[columns.BIASES] = parameters, parameters + inputs * gates * units
        row[columns.OUTPUTS], row[columns.KEPT] = kept, kept + units
        parameters += (inputs + 1) * gates * units
        kept += units
        if kind in GATES:
            parameters += (units + 1) * gates * units
            row[STATE] = state
            state += units * (2 if kind == LSTM else 1)
            kept += 2 * gates * units + 2 * units
        else:
            activation = written.get("activation", given["activation_fn"])
            row[columns.ACTIVATION] = ACTIVATIONS.index(activation)
            kept += units if activation == "swish" else 0
        row[columns.END] = parameters
        if parameters > MOST_PARAMETERS:
            raise ValueError(
                f"net_arch {given['net_arch']} over {space} has more than {MOST_PARAMETERS} parameters: give it fewer "
                "units in policy_kwargs={'net_arch': [...]}"
            )
        rows.append(row)
        names.append(
            f"layer {i + 1} of net_arch ({units} {word} units)" if i < len(given["net_arch"]) else "the last layer"
        )
        inputs = units
    shift, scale = _normalized(given["normalize"], seen, space)
    return RecurrentArchitecture(given, seen, np.array(rows), shift, scale, names, parameters, kept, state)


def _normalized(
    normalize: Any, seen: Observations, space: gym.Space[Any]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(shift, scale) of vectors, in the order of their space."""
    if normalize is not None:
        check_name("normalize", normalize, ("min-max",))
        if seen.discrete:
            raise ValueError(f"normalize does not apply to {space}: each of its states has weights of its own")
    if normalize is None and seen.dtype != np.uint8:
        return np.zeros(seen.width), np.ones(seen.width)
    low, high = (np.asarray(bound, np.float64).ravel() for bound in (space.low, space.high))  # type: ignore[attr-defined]
    bad = np.flatnonzero(~((np.abs(low) < BOUNDLESS) & (np.abs(high) < BOUNDLESS) & (low < high)))
    if bad.size:
        raise ValueError(
            f"normalize='min-max' needs bounds, and number {int(bad[0])} of an observation of {space} has "
            f"[{low[bad[0]]:g}, {high[bad[0]]:g}]"
        )
    return low, 1.0 / (high - low)
