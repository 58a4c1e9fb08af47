"""Environments whose map a generator makes (`rlgrid.generators`), once or anew at each reset.

Once, the map is that of ``map_seed``: ``rlgrid.generate_model(generator, rows, columns, seed=map_seed, ...)``.

With ``new_map_each_reset`` every reset draws a map. The first number of a reset, u = ``np_random.random()``, gives the
seed of the map, ``int(u * 2**31)``; the next one draws the start, as in other environments. So the maps follow from the
seed of the environment, and two environments that are in step have the same maps. All maps have one shape, hence the
same spaces. Before the first reset the map is that of ``map_seed``.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from rlgrid.envs.models import change_model, refuse_unknown
from rlgrid.gridmodel import GridModel
from rlgrid.mapoptions import whole

MAP_SEEDS = 2**31
"""The seeds of drawn maps are less than this."""


@dataclass(frozen=True)
class MapMaker:
    """A generator with its arguments.

    Attributes:
        generator, rows, columns: the generator by its name, and the shape of the maps in cells.
        seed: of the first map.
        options: the options of the generator, `ends` among them.
        changes: what is different from the generator's worlds, see `rlgrid.envs.models.change_model`.
    """

    generator: str
    rows: int
    columns: int
    seed: int
    options: tuple[tuple[str, Any], ...]
    changes: tuple[tuple[str, Any], ...]

    def model(self, seed: int) -> GridModel:
        """The map of a seed.

        Raises:
            ValueError, TypeError: naming the argument or the option that is wrong.
        """
        from rlgrid.generators import generate_model

        model = generate_model(self.generator, self.rows, self.columns, seed=seed, **dict(self.options))
        return change_model(model, dict(self.changes)) if self.changes else model

    def shared_model(self) -> GridModel:
        """The first map, one model for all environments that ask for the same."""
        try:
            return _kept(self)
        except TypeError:  # a change that has no hash (or one that is wrong, which says so again)
            return self.model(self.seed)


@lru_cache(maxsize=16)
def _kept(maker: MapMaker) -> GridModel:
    return maker.model(maker.seed)


def drawn_seed(u: float) -> int:
    """The seed of the map that a reset makes whose first number is ``u``."""
    return int(u * MAP_SEEDS)


def maker_of(
    world: type,
    generator: str | None,
    rows: int | None,
    columns: int | None,
    map_seed: int | None,
    new_map_each_reset: bool,
    given: Mapping[str, Any],
) -> MapMaker | None:
    """The generator that the arguments of an environment of a class mean, or None.

    ``given`` are its options, and changes.

    Raises:
        ValueError, TypeError: naming what is wrong, as far as no map must be made to find out.
    """
    if not isinstance(new_map_each_reset, bool):
        raise TypeError(f"new_map_each_reset must be True or False, not {new_map_each_reset!r}")
    if generator is None:
        alone = {"rows": rows, "columns": columns, "map_seed": map_seed}
        names = [name for name, value in alone.items() if value is not None]
        if new_map_each_reset or names:
            raise TypeError(f"{[*names, 'new_map_each_reset'][0]} goes with a generator: generator='wilson', say")
        return None
    for name, value in (("rows", rows), ("columns", columns)):
        if value is None:
            raise TypeError(f"a generator makes maps of a given size: {name} is missing")
    from rlgrid.generators import generator_named

    known = ("ends", *generator_named(generator).options)
    changes = {name: value for name, value in given.items() if name not in known}
    refuse_unknown(world, changes, options=known)
    if new_map_each_reset and "start" in changes:
        raise TypeError("start cannot be changed where each reset makes a new map: the generator places it (see ends)")
    options = tuple((name, value) for name, value in given.items() if name in known)
    seed = 0 if map_seed is None else whole("map_seed", map_seed, 0, sys.maxsize)
    size = whole("rows", rows, 1), whole("columns", columns, 1)
    return MapMaker(generator, *size, seed, options, tuple(changes.items()))
