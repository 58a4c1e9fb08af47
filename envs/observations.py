"""What an agent sees of a state: `Observer`, by the name of the kind of observation.

    index         the number of the state, or of what is seen of it in a world that is partly observed
    one_hot       float32 [O], 1 at that number and 0 elsewhere
    coordinates   float32 [K], the numbers that the state is made of: row and column, cars, position and items, ...
    planes        uint8 [C, H, W], the map as image planes (`rlgrid.envs.planes`)
    rgb           uint8 [H, W, 3], the picture (`rlgrid.envs.rgb`)
    view          uint8 [C, V, V], what can be seen in a window around the agent (`rlgrid.envs.planes`)

An observation is a function of the state and of the map that is in force: of the state alone where the world is seen
whole, and of ``observation_of[state]`` where it is only partly observed, so that no kind tells what a world hides.
Where a kind would, the part of it that tells is left out (a coordinate), or the kind is refused (a picture of where one
is). A kind may hide more than that: an egocentric window does. `Observer.observation_of` is the function as numbers,
O(o|s).
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

import numpy as np
from gymnasium import spaces
from numpy.typing import ArrayLike, NDArray

from rlgrid.envs.models import checked_model, checked_observations, checked_state, num_observations
from rlgrid.gridmodel import GridModel
from rlgrid.itemworld import ItemWorld
from rlgrid.mdp import MDP

if TYPE_CHECKING:
    from scipy import sparse

    from rlgrid.envs.scene import Scene

KINDS = ("index", "one_hot", "coordinates", "planes", "rgb", "view")
"""The kinds of observation."""

_MOST_BYTES = 1 << 27  # of one observation
_WHOLE_FLOATS = 1 << 24  # whole numbers less than this are all different in float32


class Unfit(ValueError):
    """A kind of observation does not fit a world; the message says why, as a sentence about the world."""


def checked_size(shape: tuple[int, ...], itemsize: int = 1, remedy: str = "") -> tuple[int, ...]:
    """The shape of an observation, if it is not too large to be made at every step."""
    size = itemsize * int(np.prod(shape, dtype=np.float64))
    if size > _MOST_BYTES:
        raise Unfit(f"one observation would take {size:,} bytes, and {_MOST_BYTES:,} is the most{remedy}")
    return shape


class Observer:
    """What is seen of each state of a model; `observer` makes one.

    Attributes:
        kind: the name of the kind of observation.
        space: of one observation.
    """

    kind: str
    space: spaces.Space[Any]

    def __init__(self, model: GridModel | MDP) -> None:
        self.num_states = int(model.num_states)

    @property
    def observation_of(self) -> NDArray[np.int64] | None:
        """int64 [S], read-only: the number of what is seen of each state, 0 to O - 1; equal where it is equal.

        None where no two states look the same. Worked out when it is first asked for.
        """
        raise NotImplementedError

    @property
    def num_observations(self) -> int:
        """O: one more than the greatest number of an observation, whether or not every number below is one's."""
        numbers = self.observation_of
        return self.num_states if numbers is None else int(numbers.max()) + 1

    def observation_matrix(self) -> sparse.csr_array:
        """The observation function O(o|s) of the POMDP: float64 [S, O], sparse, with a single 1 in each row."""
        from scipy import sparse

        numbers = np.arange(self.num_states) if self.observation_of is None else self.observation_of
        parts = np.ones(self.num_states), numbers, np.arange(self.num_states + 1)
        return sparse.csr_array(parts, shape=(self.num_states, self.num_observations))

    def one(self, state: int) -> Any:
        """The observation of a state, an object of the caller's own.

        Raises:
            ValueError: if there is no such state.
        """
        return self.one_of(checked_state(self, state))

    def many(self, states: ArrayLike, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """The observations of states, integers [N], as one array [N, ...] of the space's type; in ``out`` if given.

        Raises:
            ValueError: if some number is none of a state, or if ``out`` is not such an array, contiguous.
        """
        given = np.asarray(states)
        if given.ndim != 1 or (given.dtype.kind not in "iu" and given.size):
            raise ValueError(f"states must be whole numbers [N], not {given.dtype} {given.shape}")
        wrong = np.flatnonzero((given < 0) | (given >= self.num_states))
        if wrong.size:
            raise ValueError(
                f"states[{wrong[0]}] = {given[wrong[0]]} is not one of the states 0 to {self.num_states - 1}"
            )
        return self.many_of(given.astype(np.int64, copy=False), out)

    def one_of(self, state: int) -> Any:
        """`one` of a number that is known to be one of a state; any other one reads whatever is there."""
        return self.many_of(np.array([state]))[0]

    def many_of(self, states: NDArray[np.int64], out: NDArray[Any] | None = None) -> NDArray[Any]:
        """`many` of numbers that are known to be of states; for others, memory is read that is not theirs."""
        shape = (states.size, *self._shape)
        if out is None:
            out = np.empty(shape, self.space.dtype)
        elif out.shape != shape or out.dtype != self.space.dtype or not out.flags.c_contiguous:
            raise ValueError(f"out must be a contiguous {self.space.dtype} {shape}, not {out.dtype} {out.shape}")
        self._write(states, out)
        return out

    def _write(self, states: NDArray[np.int64], out: NDArray[Any]) -> None:
        """The observations of states int64 [N] into an array [N, ...]."""
        raise NotImplementedError

    def ground(self) -> NDArray[Any] | None:
        """What is seen of the map alone, from which `many_on` makes observations; None where there is no such form."""
        return None

    def many_on(
        self, grounds: NDArray[Any], which: NDArray[np.int64], states: NDArray[np.int64], out: NDArray[Any]
    ) -> None:
        """The observations of states int64 [N], of which state i is in the map of grounds[which[i]]."""
        raise NotImplementedError

    def check_hides(self, seen: NDArray[np.int64] | None) -> None:
        """Refuse to tell states apart that ``seen`` does not.

        Raises:
            Unfit: naming two such states.
        """
        if seen is None:
            return
        _, first, which = np.unique(seen, return_index=True, return_inverse=True)
        numbers = np.arange(self.num_states) if self.observation_of is None else self.observation_of
        wrong = np.flatnonzero(numbers != numbers[first][which])
        if wrong.size:
            raise Unfit(
                f"it is partly observed, states {first[which[wrong[0]]]} and {wrong[0]} are seen alike, and here they "
                "would differ"
            )

    @property
    def _shape(self) -> tuple[int, ...]:
        shape = self.space.shape
        assert shape is not None
        return shape

    def __repr__(self) -> str:
        return f"<observations {self.kind!r}: {self.space}>"


class IndexObserver(Observer):
    """The number of the state, or of what is seen of it."""

    kind = "index"

    def __init__(self, model: GridModel | MDP, seen: NDArray[np.int64] | None) -> None:
        super().__init__(model)
        self._seen = seen
        self.space = spaces.Discrete(num_observations(model, seen))

    @property
    def observation_of(self) -> NDArray[np.int64] | None:
        return self._seen

    def one_of(self, state: int) -> int:
        return state if self._seen is None else int(self._seen[state])

    def _write(self, states: NDArray[np.int64], out: NDArray[Any]) -> None:
        out[...] = states if self._seen is None else self._seen[states]


class OneHotObserver(Observer):
    """A vector that is 1 at the number of what is seen, and 0 elsewhere."""

    kind = "one_hot"

    def __init__(self, model: GridModel | MDP, seen: NDArray[np.int64] | None) -> None:
        super().__init__(model)
        self._seen = seen
        shape = checked_size((num_observations(model, seen),), 4)
        self.space = spaces.Box(0.0, 1.0, shape, np.float32)

    @property
    def observation_of(self) -> NDArray[np.int64] | None:
        return self._seen

    def one_of(self, state: int) -> NDArray[np.float32]:
        vector = np.zeros(self._shape, np.float32)
        vector[state if self._seen is None else self._seen[state]] = 1.0
        return vector

    def _write(self, states: NDArray[np.int64], out: NDArray[Any]) -> None:
        out[...] = 0.0
        out[np.arange(states.size), states if self._seen is None else self._seen[states]] = 1.0


class CoordinatesObserver(Observer):
    """The numbers that a state is made of, as float32 [K], within the least and the greatest that each can be.

    Of a map they are row and column, and behind them for each item 1 where it is on and 0 where it is off
    (`ItemWorld.items`). Of a world whose states have labels they are the numbers of the label: cars at two locations,
    row, column and velocity, and so on. A state that is over and whose label is no numbers (the finish of a racetrack)
    has one less than the least in every place. In a partly observed world only those are left that what is seen tells.
    """

    kind = "coordinates"

    def __init__(self, model: GridModel | MDP, seen: NDArray[np.int64] | None) -> None:
        super().__init__(model)
        self._seen = seen
        self._parts = _parts_of(model)
        every = np.arange(self.num_states)
        if seen is None and not isinstance(self._parts, _Table):
            lows, highs = self._parts.bounds()
        else:
            table = self._parts(every)
            if seen is not None:
                _, first, which = np.unique(seen, return_index=True, return_inverse=True)
                told = (table == table[first][which]).all(axis=0)
                table = table[:, told]
                self._parts = _Table(table)
            self._check_tells(table)
            lows, highs = table.min(axis=0), table.max(axis=0)
        # A number that never changes would make a space without an inside.
        self.space = spaces.Box(lows, np.where(lows < highs, highs, lows + 1.0).astype(np.float32), dtype=np.float32)

    def _check_tells(self, table: NDArray[np.float32]) -> None:
        """States that are seen as different have different coordinates."""
        if table.shape[1]:
            _, first, which = np.unique(table, axis=0, return_index=True, return_inverse=True)
            alike = first[which.ravel()]
        else:
            alike = np.zeros(self.num_states, np.int64)
        numbers = np.arange(self.num_states) if self._seen is None else self._seen
        wrong = np.flatnonzero(numbers != numbers[alike])
        if wrong.size:
            what = "labels" if self._seen is None else "labels, as far as they are seen,"
            raise Unfit(f"the numbers in its {what} do not tell states {alike[wrong[0]]} and {wrong[0]} apart")

    @property
    def observation_of(self) -> NDArray[np.int64] | None:
        return self._seen

    def _write(self, states: NDArray[np.int64], out: NDArray[Any]) -> None:
        out[...] = self._parts(states)


# --- the numbers that states are made of ----------------------------------------------------------------------------


class _Table:
    """Numbers that are written out: float32 [S, K]."""

    def __init__(self, table: NDArray[np.float32]) -> None:
        self.table = table

    def __call__(self, states: NDArray[np.int64]) -> NDArray[np.float32]:
        return self.table[states]


class _Cells:
    """Row and column of a cell."""

    def __init__(self, shape: tuple[int, int]) -> None:
        if max(shape) > _WHOLE_FLOATS:
            raise Unfit(f"it has {max(shape):,} rows or columns, and float32 tells {_WHOLE_FLOATS:,} apart")
        self.shape = shape

    def bounds(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        return np.zeros(2, np.float32), np.array(self.shape, np.float32) - 1

    def __call__(self, states: NDArray[np.int64]) -> NDArray[np.float32]:
        return np.stack(np.divmod(states, self.shape[1]), axis=1).astype(np.float32)


class _CellsAndItems:
    """Row and column of a cell, and whether each item is on."""

    def __init__(self, model: ItemWorld) -> None:
        self.model = model
        self.cells = _Cells(model.map_shape)
        configurations = np.array([model.configuration(n) for n in range(model.configurations)], np.uint64)
        self.on = ((configurations[:, None] >> np.arange(len(model.items), dtype=np.uint64)) & np.uint64(1)) != 0

    def bounds(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        lows, highs = self.cells.bounds()
        count = len(self.model.items)
        return np.append(lows, np.zeros(count, np.float32)), np.append(highs, np.ones(count, np.float32))

    def __call__(self, states: NDArray[np.int64]) -> NDArray[np.float32]:
        where = self.cells(self.model.cells[states])
        return np.concatenate([where, self.on[self.model.numbers[states]]], axis=1, dtype=np.float32)


def _parts_of(model: GridModel | MDP) -> _Table | _Cells | _CellsAndItems:
    if isinstance(model, ItemWorld):
        return _CellsAndItems(model)
    labels = getattr(model, "states", None)
    if labels is not None:
        return _Table(_numbers_in(labels, model.absorbing))
    if model.shape is None:
        raise Unfit("its states have neither cells nor labels")
    return _Cells(model.shape)


def _numbers_in(labels: list[Any], over: NDArray[np.bool_]) -> NDArray[np.float32]:
    """float32 [S, K]: the first K parts of each label, as many as are numbers in every one."""
    found = [_leading_numbers(label) for label in labels]
    without = [state for state, numbers in enumerate(found) if not numbers]
    for state in without:
        if not over[state]:
            raise Unfit(f"the label of state {state}, {labels[state]!r}, does not begin with a number")
    if len(without) == len(found):
        raise Unfit("its labels are no numbers")
    count = min(len(numbers) for numbers in found if numbers)
    table = np.array([numbers[:count] if numbers else [np.nan] * count for numbers in found], np.float64)
    table[without] = np.nanmin(table, axis=0) - 1.0
    return table.astype(np.float32)


def _leading_numbers(label: Any) -> list[float]:
    numbers: list[float] = []
    for part in label if isinstance(label, tuple) else (label,):
        if not isinstance(part, int | float | np.integer | np.floating) or not np.isfinite(np.float32(part)):
            break
        numbers.append(float(part))
    return numbers


# --- by name --------------------------------------------------------------------------------------------------------


def observer(
    model: GridModel | MDP,
    kind: str = "index",
    *,
    observation_of: ArrayLike | None = None,
    scene: Scene | None = None,
    view_size: int = 7,
    see_through_walls: bool = False,
    cell_size: float | None = None,
    theme: str = "dark",
    thin_walls: bool | None = None,
) -> Observer:
    """What is seen of the states of a model.

    Args:
        model: of the world.
        kind: of observation, one of `KINDS`.
        observation_of: int [S], what is seen of each state, of a world that is only partly observed.
        scene: how states are shown where the model is not a grid, for "rgb".
        view_size: cells of a side of the window of "view", an odd number.
        see_through_walls: whether walls do not stop the sight of "view".
        cell_size, theme: of the pictures of "rgb"; 8 pixels or so where ``cell_size`` is None.
        thin_walls: whether "planes" and "view" have planes for walls between cells; where the model has some if None.
            For the models of a map that changes, which must have the same space.

    Raises:
        ValueError, TypeError: naming the argument that is wrong, or the kinds that fit the world.
    """
    seen = checked_observations(checked_model(model), observation_of)

    def rgb() -> Observer:
        from rlgrid.envs.rgb import RGBObserver

        return RGBObserver(model, seen, scene=scene, cell_size=cell_size, theme=theme)

    def planes() -> Observer:
        from rlgrid.envs.planes import PlanesObserver

        return PlanesObserver(model, seen, thin_walls=thin_walls)

    def view() -> Observer:
        from rlgrid.envs.planes import ViewObserver

        return ViewObserver(
            model, seen, view_size=view_size, see_through_walls=see_through_walls, thin_walls=thin_walls
        )

    makers: dict[str, Callable[[], Observer]] = {
        "index": lambda: IndexObserver(model, seen),
        "one_hot": lambda: OneHotObserver(model, seen),
        "coordinates": lambda: CoordinatesObserver(model, seen),
        "planes": planes,
        "rgb": rgb,
        "view": view,
    }
    if not isinstance(kind, str) or kind not in makers:
        near = difflib.get_close_matches(kind, KINDS, 1, 0.5) if isinstance(kind, str) else []
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(KINDS)}"
        raise ValueError(f"there is no observation {kind!r}: {hint}")
    key = None
    if seen is None and kind in ("planes", "rgb", "view"):
        key = id(model), id(scene), repr((kind, view_size, see_through_walls, cell_size, theme, thin_walls))
        shared = _SHARED.get(key)
        if shared is not None:
            return shared
    try:
        made = makers[kind]()
    except Unfit as unfit:
        fitting = [other for other in KINDS if other != kind and _fits(makers[other])]
        raise ValueError(
            f"the observation {kind!r} does not fit this world: {unfit}. What fits: {', '.join(fitting)}"
        ) from None
    if key is not None:
        _SHARED[key] = made
    return made


# Kinds that keep what they have drawn, by the ids of the model and the scene, which they hold, and the arguments: one
# for all environments, a thousand of which would keep it a thousand times.
_SHARED: WeakValueDictionary[tuple[int, int, str], Observer] = WeakValueDictionary()


def observers(models: Sequence[GridModel | MDP], scene: Scene | None, seeing: Mapping[str, Any]) -> list[Observer]:
    """An observer for each model of a world whose map changes; ``seeing`` are the further arguments of `observer`.

    Raises:
        ValueError, TypeError: as `observer`, for whichever model it does not fit.
    """
    found = []
    for number, model in enumerate(models):
        try:
            found.append(observer(model, scene=scene, **seeing))
        except ValueError as error:
            raise (ValueError(f"after change {number} of the map: {error}") if number else error) from None
    return found


def check_new_maps(kind: str, observation_of: ArrayLike | None) -> None:
    """Refuse to show maps that are not made yet in a world that hides something: nobody can say what they would tell.

    Raises:
        ValueError: naming the kind of observation.
    """
    if observation_of is not None and kind in ("planes", "rgb", "view"):
        raise ValueError(
            f"observation_of goes with no observation {kind!r} where each reset makes a new map, which may tell apart "
            "what is to be seen alike: 'index', 'one_hot' and 'coordinates' do not show the map"
        )


def _fits(make: Callable[[], Observer]) -> bool:
    try:
        make()
    except ValueError:
        return False
    return True
