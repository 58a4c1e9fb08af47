"""The worlds that can be chosen: registered ones, built-in maps, generated ones and map files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

SIDES = {"frozen_lake": 8, "caves": 24, "rooms": 24}
"""Rows and columns of generated maps at first, where they are not 15."""


@dataclass(frozen=True)
class Made:
    """What a map was made from: a generator of `rlgrid.generators`, its size, its seed."""

    generator: str
    rows: int
    columns: int
    seed: int = 0


@dataclass(frozen=True)
class Place:
    """A world that can be chosen: what the worker builds it from, and what the window draws."""

    name: str
    title: str
    map_text: str | None
    model: Any
    note: str
    spec: Any = None  # the GridSpec that it is made of; None for a world that is no map
    painted: bool = False  # in the window, so that it is in no file
    made: Made | None = None  # what it was made from, where a generator made it
    scene: Any = None  # how the states of a world that is no map are called (`rlgrid.envs.scene.Scene`)


def find_place(world: str) -> Place:
    """A world by its id, the name of a built-in map, of another world or of a generator, or the path of a map file.

    Raises:
        ValueError, FileNotFoundError: naming the nearest that there is.
    """
    from rlgrid.envs import CLASSICS, GENERATED, MAPS
    from rlgrid.generators import GENERATORS
    from rlgrid.gridmap import GridSpec

    by_map = {entry.map: name for name, entry in MAPS.items()} | {entry.name: n for n, entry in GENERATED.items()}
    by_map |= {entry.world: name for name, entry in reversed(CLASSICS.items())}  # the first is the plain form
    short = {name.partition("/")[2]: name for name in (*MAPS, *GENERATED, *CLASSICS)}
    name = short.get(world, by_map.get(world, world))
    titles = {title.lower(): key for key, title in reversed(catalogue()) if key}
    if name not in MAPS | GENERATED | CLASSICS and not Path(world).is_file():
        name = titles.get(world.lower(), name)  # what the menu calls it
    if name in GENERATED:
        settings = GENERATED[name].settings
        return made_place(Made(settings["generator"], settings["rows"], settings["columns"]))
    if name.removeprefix("made:") in GENERATORS:
        generator = name.removeprefix("made:")
        side = SIDES.get(generator, 15)
        return made_place(Made(generator, side, side))
    if name in CLASSICS:
        return _classic(name)
    if name in MAPS or world in GridSpec.builtin_names():
        spec = GridSpec.builtin(MAPS[name].map if name in MAPS else world)
        title = MAPS[name].title if name in MAPS else (spec.title or spec.name)
        return Place(name, title, None, spec.compile(), described(spec), spec=spec)
    path = Path(world)
    if path.suffix != ".toml" and not path.is_file():
        import difflib

        known = [*short, *short.values(), *GENERATORS, *GridSpec.builtin_names()]
        near = difflib.get_close_matches(world, known, 1, 0.4)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(short)}"
        raise ValueError(f"there is no world {world!r}: {hint} (a map file's path ends in .toml)")
    if not path.is_file():
        raise FileNotFoundError(f"there is no map file {world}")
    spec = GridSpec.load(path)
    text = path.read_text(encoding="utf-8")
    return Place(world, spec.title or spec.name or path.stem, text, spec.compile(), described(spec), spec=spec)


def catalogue() -> list[tuple[str, str]]:
    """(name for `find_place`, title) of every world that comes with the package, under headings without a name."""
    from rlgrid.envs import CLASSICS, MAPS
    from rlgrid.generators import GENERATORS

    maps = [(name, entry.title) for name, entry in MAPS.items()]
    classics = [(name, entry.title) for name, entry in CLASSICS.items()]
    made = [(f"made:{name}", generator.title) for name, generator in GENERATORS.items()]
    return [("", "Maps"), *maps, ("", "Other worlds"), *classics, ("", "Made from a seed"), *made]


def made_place(made: Made) -> Place:
    """The map that a generator makes from a seed.

    Raises:
        ValueError: if the generator has no map of this size.
    """
    from rlgrid.generators import GENERATORS, generate

    spec = generate(made.generator, made.rows, made.columns, seed=made.seed)
    generator = GENERATORS[made.generator]
    note = described(spec)
    if not spec.citation:
        note += f"\n{generator.citation}"
    name, title = f"made:{made.generator}", generator.title
    return Place(name, title, spec.dump(), spec.compile(), note, spec=spec, made=made)


def _classic(name: str) -> Place:
    """A world that is no map."""
    from rlgrid.envs import CLASSICS
    from rlgrid.envs.classics import parts_of

    classic = CLASSICS[name]
    parts = parts_of(classic.world, classic.settings)
    model = parts.model
    note = f"{model.num_states:,} states and {model.num_actions} actions, which the agent sees whole."
    if classic.max_episode_steps:
        note += f" Episodes end after {classic.max_episode_steps:,} steps."
    return Place(name, classic.title, None, model, f"{note}\n{classic.citation}", scene=parts.scene)


def place_of_text(name: str, map_text: str | None) -> Place:
    """A world by the text of its map, which may be a draft; by its name alone where there is no text.

    Raises:
        ValueError: if it is no map.
    """
    from rlgrid.window.editing import draft_of

    if map_text is None:
        return find_place(name)
    spec = draft_of(map_text, name)
    return Place(name, spec.title or spec.name or name, map_text, spec.compile(), described(spec), spec=spec)


def described(spec: Any) -> str:
    """What there is to say of a map: its size, its step cap, its source."""
    from rlgrid.itemworld import ItemWorld

    model = spec.compile()
    if isinstance(model, ItemWorld):
        rows, columns = model.map_shape
        note = f"{rows} × {columns} cells, {model.num_states:,} states: a panel for each set of items."
    else:
        rows, columns = model.shape or (1, model.num_states)
        free = int((~model.walls).sum()) if hasattr(model, "walls") else model.num_states
        note = f"{rows} × {columns} cells, {free:,} of them free."
    if model.max_episode_steps:
        note += f" Episodes end after {model.max_episode_steps:,} steps."
    if spec.citation:
        note += f"\n{spec.citation[0].upper()}{spec.citation[1:]}"
    return note
