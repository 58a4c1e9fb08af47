"""Maps made from a seed: mazes, caves, rooms, random walls and lakes, each of which can be solved.

    spec = rlgrid.generate("wilson", 21, 31, seed=7)           # a GridSpec
    model = rlgrid.generate_model("caves", 2000, 2000, seed=7)  # a GridModel, of any size
    tiles = rlgrid.generate_tiles("rooms", 100, 100, seed=7)    # uint8 [H, W] of the codes of rlgrid.mapoptions

`GENERATORS` lists them; `rlgrid.mazes` and `rlgrid.terrain` say what each makes, with its options and its source. The
same name, size, seed and options give the same map, on every machine.

A map has one start and one goal, between which there is a way (a map of one cell has a start alone). They lie where
``ends`` says, among the cells that are joined to the first free one in reading order:

    "farthest"   as far apart as a search from any cell, and a second one from the cell farthest from it, finds: in a
                 maze without loops the ends of its longest way (the diameter of the tree), elsewhere often near to it
    "corners"    the cells nearest to the upper left and to the lower right corner, in steps without walls
    "random"     two different cells, each pair as likely

Of the first two the start is the one that comes first in reading order, or is nearest to the upper left corner. A map
with one free cell gets another beside it.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from typing import Any, NamedTuple

import numpy as np

from rlgrid import mazes, terrain
from rlgrid.gridmap import MAX_CELLS, GridSpec
from rlgrid.gridmodel import GridModel
from rlgrid.mapoptions import FREE, GOAL, START, Random, Tiles, random_of, whole

__all__ = ["ENDS", "GENERATORS", "MapGenerator", "generate", "generate_model", "generate_tiles", "random_frozen_lake"]

ENDS = ("farthest", "corners", "random")
MAX_TILES = 2**31 - 1
"""The most cells of a map."""


class MapGenerator(NamedTuple):
    """One way of making maps."""

    make: Callable[..., Tiles]  # (height, width, Random, **options); its docstring says what it makes
    title: str
    citation: str
    ends: str = "farthest"  # where start and goal lie if nothing else is asked for
    perfect: bool = False  # whether its mazes are trees, without further options
    floor: str = "."  # the character of free cells
    settings: Mapping[str, Any] = {}  # further arguments of the GridSpec

    @property
    def options(self) -> dict[str, Any]:
        """The options with their defaults."""
        return dict(_options_of(self.make))


@cache
def _options_of(make: Callable[..., Tiles]) -> tuple[tuple[str, Any], ...]:
    """Read once: environments that make a map at each reset ask each time."""
    parameters = inspect.signature(make).parameters.values()
    return tuple((p.name, p.default) for p in parameters if p.kind is p.KEYWORD_ONLY)


_BUCK = "Buck, Mazes for Programmers (2015)"
_ICE: dict[str, Any] = {
    "legend": {"F": {"name": "ice", "glyph": "ice"}},
    "moves": ("left", "down", "right", "up"),
    # The two sides get (1 - 1/3) / 2 each, as Gymnasium's floats have it.
    "slip": {"forward": 1.0 / 3.0, "left": (1.0 - 1.0 / 3.0) / 2.0, "right": (1.0 - 1.0 / 3.0) / 2.0},
}

GENERATORS: dict[str, MapGenerator] = {
    "depth_first": MapGenerator(mazes.depth_first, "Depth-first maze", _BUCK, perfect=True),
    "prim": MapGenerator(mazes.prim, "Prim's maze", f"Prim (1957); {_BUCK}", perfect=True),
    "kruskal": MapGenerator(mazes.kruskal, "Kruskal's maze", f"Kruskal (1956); {_BUCK}", perfect=True),
    "wilson": MapGenerator(mazes.wilson, "Wilson's maze", "Wilson (1996)", perfect=True),
    "aldous_broder": MapGenerator(
        mazes.aldous_broder, "Aldous and Broder's maze", "Aldous (1990); Broder (1989)", perfect=True
    ),
    "hunt_and_kill": MapGenerator(mazes.hunt_and_kill, "Hunt-and-kill maze", _BUCK, perfect=True),
    "eller": MapGenerator(mazes.eller, "Eller's maze", f"Eller (1982); {_BUCK}", perfect=True),
    "recursive_division": MapGenerator(mazes.recursive_division, "Recursive division", _BUCK, perfect=True),
    "binary_tree": MapGenerator(mazes.binary_tree, "Binary tree maze", _BUCK, perfect=True),
    "sidewinder": MapGenerator(mazes.sidewinder, "Sidewinder maze", _BUCK, perfect=True),
    "growing_tree": MapGenerator(mazes.growing_tree, "Growing tree maze", f"Pullen; {_BUCK}", perfect=True),
    "braided": MapGenerator(mazes.braided, "Braided maze", f"Pullen; {_BUCK}"),
    "caves": MapGenerator(terrain.caves, "Caves", "Johnson, Yannakakis & Togelius (2010)"),
    "rooms": MapGenerator(terrain.rooms, "Rooms and corridors", "Shaker, Togelius & Nelson (2016)"),
    "random_walls": MapGenerator(terrain.random_walls, "Random walls", "Broadbent & Hammersley (1957)", ends="corners"),
    "frozen_lake": MapGenerator(
        terrain.frozen_lake,
        "Random frozen lake",
        "Gymnasium, toy_text FrozenLake-v1 (Towers et al. 2024, arXiv:2407.17032)",
        ends="corners",
        floor="F",
        settings=_ICE,
    ),
}
"""The generators by name."""


def generate(
    name: str, height: int, width: int, *, seed: int | None = None, ends: str | None = None, **options: Any
) -> GridSpec:
    """The map of a generator as a `GridSpec`: walls, one start, and one goal that pays 1, at gamma 0.99.

    A lake has the moves and the slip of Gymnasium's. `GridSpec.with_changes` makes it slippery, gives its steps a cost,
    and so on.

    Args:
        name: one of `GENERATORS`.
        height, width: of the map in cells.
        seed: a whole number >= 0; None draws one, which the spec's name tells.
        ends: where start and goal lie, one of `ENDS`; the generator's own choice if None.
        options: those of the generator.

    Raises:
        ValueError, TypeError: naming the argument or the option that is wrong; ValueError also for a map of one cell,
            which has no room for a goal, and for one of more cells than a map file may have (`generate_model` has no
            such limit).
    """
    _check_size(height, width)
    if height * width < 2:
        raise ValueError("a map of 1 x 1 cell has no room for a goal: ask for two cells or more")
    if height * width > MAX_CELLS:
        raise ValueError(
            f"a map of {height} x {width} cells has more than the {MAX_CELLS} of a map's text: use "
            "rlgrid.generate_model, which makes the model without one"
        )
    seed = _seed(seed)
    tiles = generate_tiles(name, height, width, seed=seed, ends=ends, **options)
    characters = np.frombuffer(_characters(name).encode("ascii"), np.uint8)
    lines = [row.tobytes().decode("ascii") for row in characters[tiles]]
    return _spec(name, lines, height, width, seed)


def generate_model(
    name: str, height: int, width: int, *, seed: int | None = None, ends: str | None = None, **options: Any
) -> GridModel:
    """The map of a generator as a `GridModel`, of any size: that of `generate(...).compile()` where that can be made.

    Raises:
        ValueError, TypeError: naming the argument or the option that is wrong.
    """
    seed = _seed(seed)
    tiles = generate_tiles(name, height, width, seed=seed, ends=ends, **options)
    used = np.flatnonzero(np.bincount(tiles.ravel(), minlength=GOAL + 1))
    characters, sample = _characters(name), _sample(name)
    kinds = {kind.character: kind for kind in sample.kinds}
    number = np.zeros(GOAL + 1, np.uint8)
    number[used] = np.arange(used.size)
    return GridModel(
        number[tiles],
        [kinds[characters[code]] for code in used],
        gamma=sample.gamma,
        actions=sample.actions,
        slip=sample.slip,
        step_reward=sample.step_reward,
        start=int((tiles == START).argmax()),
        max_episode_steps=sample.max_episode_steps,
        name=_name(name, height, width, seed),
        citation=sample.citation,
    )


def generate_tiles(
    name: str, height: int, width: int, *, seed: int | None = None, ends: str | None = None, **options: Any
) -> Tiles:
    """The map of a generator as uint8 [H, W]: FREE 0, WALL 1, HOLE 2, START 3, GOAL 4 (`rlgrid.mapoptions`).

    Raises:
        ValueError, TypeError: naming the argument or the option that is wrong.
    """
    generator = generator_named(name)
    _check_size(height, width)
    ends = generator.ends if ends is None else ends
    if ends not in ENDS:
        raise ValueError(f"ends must be one of {', '.join(ENDS)}, not {ends!r}")
    known = generator.options
    for option in options:
        if option not in known:
            near = difflib.get_close_matches(option, [*known, "seed", "ends"], 1)
            hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(known)}"
            raise TypeError(f"the generator {name!r} has no option {option!r}: {hint}")
    random = random_of(_seed(seed))
    tiles = generator.make(int(height), int(width), random, **options)
    _place(tiles, ends, random)
    return tiles


def generator_named(name: str) -> MapGenerator:
    """The generator of this name.

    Raises:
        ValueError: if there is none, with the nearest name.
    """
    if name not in tuple(GENERATORS):
        near = difflib.get_close_matches(name, GENERATORS, 1) if isinstance(name, str) else []
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(GENERATORS)}"
        raise ValueError(f"no generator is named {name!r}: {hint}")
    return GENERATORS[name]


def random_frozen_lake(size: int = 8, p: float = 0.8, seed: int | None = None, *, is_slippery: bool = True) -> GridSpec:
    """A random frozen lake; its rows are what Gymnasium's `generate_random_map(size, p, seed)` gives, cell for cell.

    Source: `gymnasium.envs.toy_text.frozen_lake` (Towers et al., 2024).

    Args:
        size: of each side, 2 at least (with one cell Gymnasium's function does not return).
        p: the probability that a cell is ice. Where hardly any lake can be solved, see `rlgrid.terrain.frozen_lake`.
        seed: a whole number >= 0; None draws one.
        is_slippery: whether a move goes to each of the two sides a third of the time.

    Returns:
        A spec with Gymnasium's moves, slip and rewards, and a step cap of 25 * size: Gymnasium's for sizes 4 and 8.

    Raises:
        ValueError, TypeError: naming the argument that is wrong.
    """
    size = whole("size", size, 2)
    spec = generate("frozen_lake", size, size, seed=seed, p=p)
    changes: dict[str, Any] = {"max_episode_steps": 25 * size}
    if not is_slippery:
        changes["slip"] = {"forward": 1.0}
    return spec.with_changes(**changes)


def _check_size(height: Any, width: Any) -> None:
    whole("height", height, 1)
    whole("width", width, 1)
    if int(height) * int(width) > MAX_TILES:
        raise ValueError(f"a map of {height} x {width} cells has more than {MAX_TILES} cells")


def _seed(seed: Any) -> int:
    """A seed, drawn from the operating system's randomness if there is none."""
    return int(np.random.SeedSequence().generate_state(1)[0]) if seed is None else whole("seed", seed, 0)


def _characters(name: str) -> str:
    """What stands in a map's text for each code."""
    return f"{GENERATORS[name].floor}#HSG"


def _name(name: str, height: int, width: int, seed: int) -> str:
    return f"{name}_{height}x{width}_{seed}"


@lru_cache(maxsize=len(GENERATORS))
def _sample(name: str) -> GridModel:
    """A row with every kind of tile, which knows what each is. It is solvable, start beside goal."""
    row = "SG" + _characters(name)[:START]
    grid = _spec(name, [row], 1, len(row), 0).compile()
    assert isinstance(grid, GridModel)
    return grid


def _spec(name: str, rows: list[str], height: int, width: int, seed: int) -> GridSpec:
    generator = GENERATORS[name]
    return GridSpec(
        rows,
        name=_name(name, height, width, seed),
        title=f"{generator.title}, {height} x {width}, seed {seed}",
        citation=generator.citation,
        **generator.settings,
    )


def _place(tiles: Tiles, ends: str, random: Random) -> None:
    """Put start and goal on free cells that are joined to the first of them, in place."""
    from rlgrid.kernels import flood

    rows, columns = tiles.shape
    cells = tiles.reshape(-1)
    first = int((cells == FREE).argmax())
    steps = flood.distances(cells == FREE, rows, columns, first)
    if cells.size > 1 and steps.max() == 0:
        beside = first + 1 if first % columns < columns - 1 else first + columns
        if beside >= cells.size:  # it is the lower right corner
            beside = first - 1 if columns > 1 else first - columns
        cells[beside] = FREE
        steps = flood.distances(cells == FREE, rows, columns, first)
    if ends == "farthest":
        one = int(steps.argmax())
        other = int(flood.distances(cells == FREE, rows, columns, one).argmax())
        start, goal = min(one, other), max(one, other)
    else:
        reached = np.flatnonzero(steps >= 0)
        if ends == "corners":
            diagonal = reached // columns + reached % columns
            start, goal = int(reached[diagonal.argmin()]), int(reached[diagonal.argmax()])
        else:
            start = goal = int(reached[0])
            if reached.size > 1:
                start, goal = reached[random.generator.choice(reached.size, 2, replace=False)].tolist()
    cells[goal] = GOAL
    cells[start] = START  # last: in a map of one cell it is the start that stays
