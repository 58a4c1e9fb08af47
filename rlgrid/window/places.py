"""The worlds that can be chosen: registered ones, built-in maps and map files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any


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


def find_place(world: str) -> Place:
    """A world by its id, the name of a built-in map or the path of a map file.

    Raises:
        ValueError, FileNotFoundError: naming the nearest that there is.
    """
    from rlgrid.envs import WORLDS
    from rlgrid.gridmap import GridSpec

    known = {name: map_name for name, (map_name, _) in WORLDS.items()}
    short = {name.partition("/")[2]: name for name in known}
    by_map = {map_name: name for name, map_name in known.items()}
    name = short.get(world, by_map.get(world, world))
    if name in known or world in GridSpec.builtin_names():
        spec = GridSpec.builtin(known.get(name, world))
        text = None
    else:
        path = Path(world)
        if path.suffix != ".toml" and not path.is_file():
            import difflib

            near = difflib.get_close_matches(world, [*known, *short, *GridSpec.builtin_names()], 1, 0.4)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(short)}"
            raise ValueError(f"there is no world {world!r}: {hint} (a map file's path ends in .toml)")
        if not path.is_file():
            raise FileNotFoundError(f"there is no map file {world}")
        spec = GridSpec.load(path)
        text = path.read_text(encoding="utf-8")
    model = spec.compile()
    title = WORLDS[name][1] if name in WORLDS else (spec.title or spec.name or Path(world).stem)
    return Place(name, title, text, model, described(spec), spec=spec)


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
