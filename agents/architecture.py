"""The shape of a neural network as it is written in ``policy_kwargs``, checked, and as the kernels take it.

    policy_kwargs={"net_arch": [64, 64], "activation_fn": "tanh", "initializer": "glorot"}

net_arch        the hidden layers: units of dense ones, or layers of other kinds (`rlgrid.agents.net_arch`); the last
                layer is added: one unit for each output, no activation
activation_fn   of dense and convolutional layers; None takes "tanh" over Discrete observations, where units of the ReLU
                family die while there are no rewards, and "relu" over others
initializer     of their weights: "he" or "glorot" (uniform), "he_normal", "glorot_normal", "orthogonal"; None takes
                He's for activations of the ReLU family, Glorot's otherwise. Biases begin at 0
normalize       of observations: "min-max" (from the bounds of their space to 0 and 1), {"mean": ..., "std": ...}
                (z-scores by known numbers) or "running" (z-scores by the mean and variance of what the network was
                trained on, cut off at 10); None leaves vectors as they are and takes "min-max" for bytes
dueling         True for two streams, of the state's value and of the actions' advantages, behind the hidden layers; a
                list of hidden layers that each stream has to itself
optimizer_class, optimizer_kwargs
                the optimiser and its settings (`rlgrid.agents.optimisers`)
n_atoms, v_min, v_max
                of a network of distributions, one for each action over ``n_atoms`` returns (51), evenly spaced from
                ``v_min`` to ``v_max``: these are behind the last layer, which has a unit for each atom of each action
channels        "first" or "last": where a Box of three dimensions has its channels; None takes the end with fewer

Observations are Discrete, vectors, or images: Box [height, width], [height, width, channels] or
[channels, height, width].
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

from rlgrid.agents.base import check_count, check_name, check_number
from rlgrid.agents.net_arch import ACTIVATIONS, Layer, check_initializer, check_net_arch, parsed
from rlgrid.agents.optimisers import check_optimizer, optimiser_of

NORMALIZATIONS = ("min-max", "running")
_HE = ("relu", "leaky_relu", "elu", "swish")  # activations whose weights are He's by default
_DEFAULTS: dict[str, Any] = {
    "net_arch": [64, 64],
    "activation_fn": None,
    "initializer": None,
    "normalize": None,
    "dueling": False,
    "channels": None,
    "optimizer_class": "adam",
    "optimizer_kwargs": {},
    "n_atoms": None,
    "v_min": None,
    "v_max": None,
}
ATOMS = 51  # of a distribution, unless given (Bellemare, Dabney & Munos 2017)

MOST_PARAMETERS = 2**27  # 0.5 GB, five times
MOST_RETURN = 1e30  # that an atom may stand for
MOST_ATOMS = 10_000
BOUNDLESS = 1e30  # a bound of a space beyond this says nothing


@dataclass(frozen=True)
class Observations:
    """What a network reads: its space as the kernels see it."""

    discrete: bool
    width: int  # number of states, or numbers of an observation
    shape: tuple[int, ...]  # of an observation: (width,) or (height, width, channels)
    channels_first: bool  # they come as [channels, height, width]
    low: NDArray[np.float64]  # [width], in the order of ``shape``
    high: NDArray[np.float64]
    dtype: type  # int32 of states, uint8 of bytes, else float32: what a replay memory should hold

    @classmethod
    def of(cls, space: gym.Space[Any], channels: str | None) -> Observations:
        """Of a space; ``channels`` as in policy_kwargs."""
        empty = np.zeros(0)
        if isinstance(space, Discrete):
            return cls(True, int(space.n), (), False, empty, empty, np.int32)
        if not isinstance(space, Box) or space.dtype is None or len(space.shape) not in (1, 2, 3) or 0 in space.shape:
            remedy = " (gymnasium.wrappers.FlattenObservation makes one of this)"
            raise ValueError(
                f"DQN takes Discrete observations or a Box of one to three dimensions{remedy}, not {space}"
            )
        low, high, shape = space.low.astype(np.float64), space.high.astype(np.float64), tuple(space.shape)
        first = False
        if len(shape) == 3:
            first = shape[0] < shape[2] if channels is None else channels == "first"
            if first:
                low, high, shape = low.transpose(1, 2, 0), high.transpose(1, 2, 0), (*shape[1:], shape[0])
        elif channels is not None:
            raise ValueError(f"channels are of images of three dimensions; the observations are {space}")
        elif len(shape) == 2:
            shape = (*shape, 1)
        kind = np.uint8 if space.dtype == np.uint8 else np.float32
        return cls(False, math.prod(shape), shape, first, low.ravel(), high.ravel(), kind)


@dataclass(frozen=True)
class Architecture:
    """A network without its weights."""

    given: dict[str, Any]  # the policy_kwargs
    observations: Observations
    program: NDArray[np.int64]  # of rlgrid.kernels.program
    settings: NDArray[np.float64]
    layers: list[Layer | None]  # of the operations: what asked for each
    names: list[str]  # of the operations, for errors
    parameters: int  # weights and biases, P
    statistics: NDArray[np.float64]  # [R], what stands behind the weights at the beginning
    kept: int  # numbers that a pass through the network keeps of each observation, K
    dense: bool  # of dense layers alone
    atoms: NDArray[np.float64]  # [Z], the returns of a network of distributions; [0] where it gives numbers

    @property
    def discrete(self) -> bool:
        """Whether observations are the states of a Discrete space."""
        return self.observations.discrete

    @property
    def width(self) -> int:
        """Number of states, or of numbers of an observation."""
        return self.observations.width

    def policy_kwargs(self) -> dict[str, Any]:
        """What gives this architecture again, as JSON can hold it."""
        defaults = _DEFAULTS | {"activation_fn": _activation_over(self.discrete)}
        return {name: value for name, value in self.given.items() if name == "net_arch" or value != defaults[name]}

    def first_weights(self, generator: np.random.Generator) -> NDArray[np.float64]:
        """float64 [P + R]: weights by each layer's initialiser, biases 0, and the statistics.

        He et al. 2015; Glorot & Bengio 2010; orthogonal: Saxe et al. 2014, times sqrt 2 before the ReLU family. The
        last layer, which is linear, takes Glorot's where others take He's.
        """
        from rlgrid.kernels import program as columns

        theta = np.concatenate((np.zeros(self.parameters), self.statistics))
        for op, row in enumerate(self.program):
            weights = theta[row[columns.WEIGHTS] : row[columns.BIASES]]
            if row[columns.KIND] == columns.BATCH_NORM:
                weights[:] = 1.0
            elif weights.size:
                self._initialize(weights, op, generator)
        return theta

    def _initialize(self, weights: NDArray[np.float64], op: int, generator: np.random.Generator) -> None:
        from rlgrid.kernels import program as columns

        row, layer = self.program[op], self.layers[op]
        seen = int(row[columns.SIZE]) ** 2
        outputs = int(row[columns.OUT_CHANNELS])
        fan_in, fan_out = weights.size // outputs, seen * outputs
        if self.discrete and row[columns.FROM] < 0:
            fan_in = 1  # one entry of a one-hot row is on, so a unit has one input at a time
        initializer = (layer and layer.initializer) or self.given["initializer"]
        family = ((layer and layer.activation) or self.given["activation_fn"]) in _HE
        if initializer is None:
            initializer = "he" if family else "glorot"
        if layer is None:  # the last one is linear
            initializer, family = initializer.replace("he", "glorot"), False
        if initializer == "orthogonal":
            tall, wide = weights.size // outputs, outputs
            q, r = np.linalg.qr(generator.normal(size=(max(tall, wide), min(tall, wide))))
            q *= np.sign(np.diag(r))
            weights[:] = (math.sqrt(2.0 if family else 1.0) * (q if tall >= wide else q.T)).ravel()
        elif initializer.endswith("normal"):
            variance = 2.0 / fan_in if initializer.startswith("he") else 2.0 / (fan_in + fan_out)
            weights[:] = math.sqrt(variance) * generator.normal(size=weights.size)
        else:
            limit = math.sqrt(6.0 / fan_in) if initializer == "he" else math.sqrt(6.0 / (fan_in + fan_out))
            weights[:] = limit * (2.0 * generator.random(weights.size) - 1.0)

    def optimiser(self, max_norm: float, epsilon: float | None = None) -> Any:
        """The optimiser as `rlgrid.kernels.optimisers` takes it.

        Args:
            max_norm: gradients are scaled down to this global norm.
            epsilon: "eps" of Adam where optimizer_kwargs do not say it.
        """
        name, settings = self.given["optimizer_class"], self.given["optimizer_kwargs"]
        own = {"eps": epsilon} if name == "adam" and epsilon is not None else {}
        return optimiser_of(name, own | settings, max_norm)

    def network(self, theta: NDArray[np.float64], batch: int, dtype: type = np.float32, rows: int = 1) -> Any:
        """The network of `rlgrid.kernels.program` with ``theta`` [P + R], for batches of up to ``batch`` observations.

        Actions are asked for ``rows`` observations at a time.

        Raises:
            ValueError: for batch normalisation of single observations.
        """
        from rlgrid.kernels import program as columns

        if batch < 2 and (self.program[:, columns.KIND] == columns.BATCH_NORM).any():
            raise ValueError("batch_norm needs a batch_size of 2 or more: one observation has no variance")
        theta = theta.astype(dtype)
        made = columns.Network if self.dense else columns.LayeredNetwork
        inner = made(
            program=self.program[:-1] if self.atoms.size else self.program,
            settings=self.settings,
            theta=theta,
            gradient=np.zeros(self.parameters, dtype),
            mean=np.zeros(self.parameters, dtype),
            square=np.zeros(self.parameters, dtype),
            work=np.zeros(batch * self.kept, dtype),
            deltas=np.zeros(batch * self.kept, dtype),
            row=np.zeros(rows * self.kept, dtype),
            scratch=np.zeros(self._scratch(max(batch, rows)), dtype),
        )
        if not self.atoms.size:
            return inner
        both = ("theta", "gradient", "mean", "square", "work", "deltas", "row")
        return columns.DistributionalNetwork(
            program=self.program,
            inner=inner,
            atoms=self.atoms,
            probabilities=np.zeros(self.atoms.size),
            targets=np.zeros((batch, self.atoms.size)),
            **{name: getattr(inner, name) for name in both},
        )

    def _scratch(self, batch: int) -> int:
        """Numbers that the operations need while they work, and beside them slopes that wait to be added."""
        from rlgrid.kernels import program as columns

        most, added = 1, 0
        for row in self.program:
            room = int(row[columns.BIASES] - row[columns.WEIGHTS])
            if row[columns.KIND] == columns.DENSE:
                room = max(room, batch * int(row[columns.INPUTS]))
            if row[columns.KIND] == columns.CONVOLUTION:
                patch = int(row[columns.SIZE] ** 2 * row[columns.CHANNELS])
                room += int(row[columns.OUT_HEIGHT] * row[columns.OUT_WIDTH]) * patch
            most = max(most, room)
            if row[columns.ADDS]:
                added = max(added, batch * int(row[columns.INPUTS]))
        return most + added


def architecture_of(
    policy_kwargs: Mapping[str, Any] | None, observations: gym.Space[Any], outputs: int, distributions: bool = False
) -> Architecture:
    """The network that ``policy_kwargs`` describes, from a space of observations to a number of outputs.

    Args:
        distributions: each output is the mean of a distribution over the atoms that ``policy_kwargs`` say.

    Raises:
        TypeError, ValueError: naming the setting, and what it may be.
    """
    given = dict(_DEFAULTS)
    if policy_kwargs is not None:
        if not isinstance(policy_kwargs, Mapping):
            raise TypeError(f"policy_kwargs must be a dict, not {policy_kwargs!r}")
        for name in policy_kwargs:
            check_name("a key of policy_kwargs", name, given)
        given |= policy_kwargs
    given["net_arch"] = check_net_arch(given["net_arch"])
    if given["activation_fn"] is None:
        given["activation_fn"] = _activation_over(isinstance(observations, Discrete))
    check_name("activation_fn", given["activation_fn"], ACTIVATIONS)
    if given["initializer"] is not None:
        check_initializer("initializer", given["initializer"])
    if given["channels"] is not None:
        check_name("channels", given["channels"], ("first", "last"))
    given["optimizer_class"], given["optimizer_kwargs"] = check_optimizer(
        given["optimizer_class"], given["optimizer_kwargs"]
    )
    if not isinstance(given["dueling"], bool):
        given["dueling"] = check_net_arch(given["dueling"])
    atoms = _check_atoms(given) if distributions else np.zeros(0)
    if not distributions:
        for name in ("n_atoms", "v_min", "v_max"):
            if given[name] is not None:
                raise ValueError(f"{name} in policy_kwargs is of distributions: loss='cross_entropy' learns them")
    built = _Builder(given, Observations.of(observations, given["channels"]), observations)
    for i, layer in enumerate(parsed(given["net_arch"])):
        built.add(layer, f"layer {i + 1} of net_arch")
    built.head(outputs, max(atoms.size, 1))
    if distributions:
        built.means(outputs)
    return built.architecture(atoms)


def _check_atoms(given: dict[str, Any]) -> NDArray[np.float64]:
    """float64 [Z], the atoms that ``given`` says, whose numbers it then has as JSON can hold them."""
    number = ATOMS if given["n_atoms"] is None else given["n_atoms"]
    given["n_atoms"] = check_count("n_atoms", number, least=2, most=MOST_ATOMS)
    for name in ("v_min", "v_max"):
        if given[name] is None:
            raise ValueError(
                f"loss='cross_entropy' needs {name}: say which discounted returns there can be, "
                "policy_kwargs={'v_min': ..., 'v_max': ...}"
            )
        given[name] = check_number(name, given[name], -MOST_RETURN, MOST_RETURN)
    low, high = given["v_min"], given["v_max"]
    if low >= high:
        raise ValueError(f"v_min={low:g} must be below v_max={high:g}, the least and the largest return there can be")
    atoms = np.linspace(low, high, given["n_atoms"])
    if not (np.diff(atoms) > 0).all():
        raise ValueError(f"between v_min={low!r} and v_max={high!r} there are no n_atoms={given['n_atoms']} numbers")
    return atoms


def _activation_over(discrete: bool) -> str:
    return "tanh" if discrete else "relu"


class _Builder:
    """A program, operation by operation."""

    def __init__(self, given: dict[str, Any], observations: Observations, space: gym.Space[Any]) -> None:
        from rlgrid.kernels import program as columns

        self.columns, self.given, self.observations, self.space = columns, given, observations, space
        self.rows: list[NDArray[np.int64]] = []
        self.settings: list[tuple[float, float]] = []
        self.layers: list[Layer | None] = []
        self.names: list[str] = []
        self.parameters = self.kept = 0
        self.statistics: list[NDArray[np.float64]] = []
        self.shape = (observations.width,) if observations.discrete else observations.shape
        self.source = -1  # the operation that the next one reads
        if not self._plain():
            self._take_in()

    def _plain(self) -> bool:
        """Whether dense kernels will do, which read observations as they are."""
        if self.observations.discrete:
            if self.given["normalize"] is not None:
                raise ValueError(f"normalize does not apply to {self.space}: each of its states has weights of its own")
            return True
        dense = all(layer.kind in ("dense", "flatten") for layer in parsed(self.given["net_arch"]))
        plain = dense and self.given["dueling"] is False and self.given["normalize"] is None
        return plain and self.observations.dtype == np.float32 and not self.observations.channels_first

    def _row(self, name: str, kind: int, units: int, layer: Layer | None, **values: int) -> int:
        """Add an operation; its number."""
        columns, row = self.columns, np.zeros(self.columns.COLUMNS, np.int64)
        row[columns.KIND], row[columns.UNITS], row[columns.FROM] = kind, units, self.source
        row[columns.INPUTS] = math.prod(self.shape)
        row[columns.SIZE] = row[columns.STRIDE] = 1
        row[columns.WEIGHTS] = row[columns.BIASES] = row[columns.END] = self.parameters
        row[columns.OUTPUTS] = self.kept
        row[columns.OUT_CHANNELS] = units
        for column, value in values.items():
            row[getattr(columns, column)] = value
        self.kept += units
        row[columns.KEPT] = self.kept
        row[columns.STATISTICS] = sum(one.size for one in self.statistics)
        if row[columns.ACTIVATION] == ACTIVATIONS.index("swish") or kind == columns.DROPOUT:
            self.kept += units
        self.rows.append(row)
        self.settings.append((layer.rate, layer.epsilon) if layer else (0.0, 0.0))
        self.layers.append(layer)
        self.names.append(name)
        self.source = len(self.rows) - 1
        return self.source

    def _weigh(self, row: NDArray[np.int64], weights: int, biases: int) -> None:
        row[self.columns.BIASES] = self.parameters + weights
        self.parameters += weights + biases
        row[self.columns.END] = self.parameters

    # --- observations -------------------------------------------------------------------------------------------------

    def _take_in(self) -> None:
        columns, seen, normalize = self.columns, self.observations, self.given["normalize"]
        if normalize is None and seen.dtype == np.uint8:
            normalize = "min-max"
        kind, numbers = columns.INPUT, np.zeros(0)
        if normalize == "min-max":
            bad = np.flatnonzero(
                ~((np.abs(seen.low) < BOUNDLESS) & (np.abs(seen.high) < BOUNDLESS) & (seen.low < seen.high))
            )
            if bad.size:
                raise ValueError(
                    f"normalize='min-max' needs bounds, and number {int(bad[0])} of an observation of {self.space} has "
                    f"[{seen.low[bad[0]]:g}, {seen.high[bad[0]]:g}]: take 'running'"
                )
            kind, numbers = columns.SCALED, np.concatenate((seen.low, seen.high - seen.low))
        elif normalize == "running":
            kind, numbers = columns.RUNNING, np.concatenate((np.zeros(seen.width), np.ones(seen.width), [0.0]))
        elif isinstance(normalize, Mapping):
            kind, numbers = columns.SCALED, _scores(normalize, seen)
            self.given["normalize"] = {"mean": numbers[: seen.width].tolist(), "std": numbers[seen.width :].tolist()}
        elif normalize is not None:
            check_name("normalize (or {'mean': ..., 'std': ...})", normalize, NORMALIZATIONS)
        height, width, channels = seen.shape if len(seen.shape) == 3 else (1, 1, seen.width)
        place = {"HEIGHT": height, "WIDTH": width, "CHANNELS": channels, "CHANNELS_FIRST": int(seen.channels_first)}
        self._row("the observations", kind, seen.width, None, **place)
        self.statistics.append(numbers)

    # --- layers -------------------------------------------------------------------------------------------------------

    def add(self, layer: Layer, name: str) -> None:
        """A hidden layer behind the present one."""
        name = f"{name} ({layer})"
        activation = layer.activation or self.given["activation_fn"]
        if layer.kind == "flatten":
            self.shape = (math.prod(self.shape),)
        elif layer.kind == "dense":
            self._dense(name, layer.units, layer, activation)
        elif layer.kind == "conv":
            self._convolution(name, layer, activation)
        elif layer.kind in ("max_pool", "avg_pool"):
            self._image(name)
            rows, _ = self._steps(name, layer, self.shape[0], 0, 0)
            wide, _ = self._steps(name, layer, self.shape[1], 0, 0)
            kind = self.columns.MAX_POOL if layer.kind == "max_pool" else self.columns.AVERAGE_POOL
            self._seeing(name, layer, kind, (rows, wide, self.shape[2]), {})
        else:
            self._aside(name, layer)

    def _dense(self, name: str, units: int, layer: Layer | None, activation: str) -> None:
        index = ACTIVATIONS.index(activation)
        inputs = math.prod(self.shape)
        op = self._row(name, self.columns.DENSE, units, layer, ACTIVATION=index)
        self._weigh(self.rows[op], inputs * units, units)
        self.shape = (units,)

    def _image(self, name: str) -> None:
        if len(self.shape) != 3:
            raise ValueError(
                f"{name} needs an image, and gets {math.prod(self.shape)} numbers in a row; the observations are "
                f"{self.space}"
            )

    def _steps(self, name: str, layer: Layer, length: int, before: int, after: int) -> tuple[int, int]:
        """(N = (W - F + 2P) / S + 1, rounded down, the zeros before)."""
        if length + before + after < layer.size:
            raise ValueError(f"{name} does not fit into an image of {self.shape[0]} by {self.shape[1]} pixels")
        return (length + before + after - layer.size) // layer.stride + 1, before

    def _convolution(self, name: str, layer: Layer, activation: str) -> None:
        self._image(name)
        sides = []
        for length in self.shape[:2]:
            if layer.padding == "same":  # as many as there are pixels, divided by the stride and rounded up
                count = -(-length // layer.stride)
                zeros = max((count - 1) * layer.stride + layer.size - length, 0)
                sides.append((count, zeros // 2))
            else:
                pixels = 0 if layer.padding == "valid" else int(layer.padding)
                sides.append(self._steps(name, layer, length, pixels, pixels))
        weights = layer.size**2 * self.shape[2] * layer.units
        padding = {"TOP": sides[0][1], "LEFT": sides[1][1], "ACTIVATION": ACTIVATIONS.index(activation)}
        op = self._seeing(name, layer, self.columns.CONVOLUTION, (sides[0][0], sides[1][0], layer.units), padding)
        self._weigh(self.rows[op], weights, layer.units)

    def _seeing(self, name: str, layer: Layer, kind: int, shape: tuple[int, int, int], values: dict[str, int]) -> int:
        """An operation that reads an image and gives one of ``shape``."""
        given = dict(zip(("HEIGHT", "WIDTH", "CHANNELS"), self.shape, strict=True))
        given |= dict(zip(("OUT_HEIGHT", "OUT_WIDTH", "OUT_CHANNELS"), shape, strict=True))
        given |= {"SIZE": layer.size, "STRIDE": layer.stride} | values
        op = self._row(name, kind, math.prod(shape), layer, **given)
        self.shape = shape
        return op

    def _aside(self, name: str, layer: Layer) -> None:
        """What changes numbers and leaves the shape: dropout, batch normalisation, an activation."""
        columns, units, features = self.columns, math.prod(self.shape), self.shape[-1]
        if self.source < 0:
            raise ValueError(f"{name} must come behind a layer with weights: {self.space} has no numbers")
        if layer.kind == "dropout":
            self._row(name, columns.DROPOUT, units, layer)
        elif layer.kind == "batch_norm":
            op = self._row(name, columns.BATCH_NORM, units, layer, OUT_CHANNELS=features)
            self._weigh(self.rows[op], features, features)
            self.statistics.append(np.concatenate((np.zeros(features), np.ones(features))))
        else:
            self._row(name, columns.COPY, units, layer, ACTIVATION=ACTIVATIONS.index(str(layer.activation)))

    # --- the end ------------------------------------------------------------------------------------------------------

    def head(self, outputs: int, atoms: int) -> None:
        """The outputs: a linear layer, or the two streams of a dueling head."""
        if self.given["dueling"] is False:
            self._dense("the last layer", outputs * atoms, None, "linear")
            return
        hidden = parsed([] if self.given["dueling"] is True else self.given["dueling"])
        trunk, shape, ends = self.source, self.shape, []
        for stream, units in (("advantages", outputs * atoms), ("values", atoms)):
            self.source, self.shape = trunk, shape
            first = len(self.rows)
            for i, layer in enumerate(hidden):
                self.add(layer, f"layer {i + 1} of the {stream}")
            self._dense(f"the last layer of the {stream}", units, None, "linear")
            ends.append(self.source)
            if stream == "advantages" and trunk >= 0:
                self.rows[first][self.columns.ADDS] = 1
        self.shape = (atoms,)
        self._row("the dueling head", self.columns.DUELING, outputs * atoms, None, SECOND=ends[0])

    def means(self, outputs: int) -> None:
        """The means of the distributions that the outputs so far are logits of."""
        self._row("the means", self.columns.MEANS, outputs, None)

    def architecture(self, atoms: NDArray[np.float64]) -> Architecture:
        """What was built; its outputs have distributions over ``atoms`` [Z], or [0] where they have none.

        Raises:
            ValueError: if it has too many weights.
        """
        if self.parameters > MOST_PARAMETERS:
            sizes = [self.observations.width, *(int(row[self.columns.UNITS]) for row in self.rows)]
            raise ValueError(
                f"a network of the layers {sizes} has {self.parameters} parameters, more than {MOST_PARAMETERS}: give "
                "it fewer units in policy_kwargs={'net_arch': [...]}, or an environment with fewer states"
            )
        program = np.array(self.rows)
        program[:, self.columns.STATISTICS] += self.parameters
        statistics = np.concatenate(self.statistics) if self.statistics else np.zeros(0)
        return Architecture(
            given=self.given,
            observations=self.observations,
            program=program,
            settings=np.array(self.settings),
            layers=self.layers,
            names=self.names,
            parameters=self.parameters,
            statistics=statistics,
            kept=self.kept,
            dense=all(row[self.columns.KIND] in (self.columns.DENSE, self.columns.MEANS) for row in program),
            atoms=atoms,
        )


def _scores(given: Mapping[str, Any], seen: Observations) -> NDArray[np.float64]:
    """[2 * width]: mean and standard deviation of every number."""
    if set(given) != {"mean", "std"}:
        raise ValueError(f"normalize must have 'mean' and 'std' where it is a dict, not {sorted(map(str, given))}")
    both = []
    for name in ("mean", "std"):
        numbers = np.asarray(given[name], np.float64)
        if numbers.ndim and numbers.size != seen.width:
            raise ValueError(f"normalize: {name} must be a number or {seen.width} of them, not {numbers.size}")
        numbers = np.broadcast_to(numbers.ravel(), seen.width) if numbers.size > 1 else np.full(seen.width, numbers)
        if not np.isfinite(numbers).all() or (name == "std" and (numbers <= 0).any()):
            raise ValueError(f"normalize: {name} must be finite{' and positive' if name == 'std' else ''}")
        both.append(numbers)
    return np.concatenate(both)
