"""Pictures of worlds: cells coloured by value, the policy as arrows, action values as wedges, the agent and its trail.

`draw` is a pure function from a model and tables over its states to pixels. Where things lie is `Layout`'s business,
for drawing and for finding the cell under a pointer alike. This module says what each cell looks like, the compiled
`rlgrid.kernels.raster` turns the cells that can be seen into pixels.

How much is seen depends on the size of a cell: below a pixel, each pixel mixes the cells behind it; from 1 pixel on,
cells have a colour; from 6 on their marks, from 10 on arrows and the hatch of walls, from 16 on a wedge an action.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rlgrid import glyphs
from rlgrid.appearance import Appearance, appearance_of
from rlgrid.keeping import kept
from rlgrid.layout import Layout, edges, layout, shape_of, visible
from rlgrid.theme import INK_LIMITS, INKS, LINEAR, RGB, WEIGHTS, Theme, diverging, palette_of, sequential, theme_of

__all__ = ["LAYERS", "Layout", "draw", "layout", "scale_of", "shape_of"]

Frame = NDArray[np.uint8]
LAYERS = ("values", "q_values", "visits")

_THIN = 4  # the least size of cell at which walls between cells are drawn
_MARKED = 6  # at which marks are
_WEDGES = 16  # at which action values get a wedge each
_ARROWS = 10  # at which an arrow can be read and leaves the cell's colour to be seen
_HATCH = 10  # at which walls are hatched
_FAINT = 110  # of 255, an arrow of the policy before


# --- tables ---------------------------------------------------------------------------------------------------------


def _table(given: ArrayLike | None, name: str, *shapes: tuple[int, ...]) -> NDArray[Any] | None:
    if given is None:
        return None
    table = np.asarray(given)
    if table.shape not in shapes:
        wanted = " or ".join(str(shape) for shape in shapes)
        raise ValueError(f"{name} must have shape {wanted} for this model, not {table.shape}")
    if table.dtype.kind not in "buif":
        raise TypeError(f"{name} must hold numbers, not {table.dtype}")
    return table


def _policy(given: ArrayLike | None, S: int, A: int, name: str = "policy") -> NDArray[Any] | None:
    table = _table(given, name, (S,), (S, A))
    if table is not None and table.ndim == 1:
        if table.dtype.kind not in "iu":
            raise TypeError(f"{name} [S] must hold whole numbers, the actions, not {table.dtype}")
        wrong = np.flatnonzero((table < -1) | (table >= A))
        if wrong.size:
            raise ValueError(f"{name}: state {wrong[0]} has action {table[wrong[0]]}, not one of -1 to {A - 1}")
    return table


def scale_of(model: Any, values: ArrayLike) -> tuple[float, float]:
    """(lo, hi) of the finite values of the cells that are coloured by them, for [S] or [S, A]; (0, 0) if none is.

    Cells that end an episode and walls are left out: they are drawn as what they are.
    """
    from rlgrid.kernels.map_tables import extent

    look = appearance_of(model)
    table = np.ascontiguousarray(values, np.float64)
    lo, hi = extent(table.reshape(len(table), -1), look.shown)
    if lo > hi:
        return 0.0, 0.0
    # Rounding must not turn costs into values of both signs.
    return (lo if lo < -1e-9 * abs(hi) else max(lo, 0.0)), (hi if hi > 1e-9 * abs(lo) else min(hi, 0.0))


def _greedy(policy: NDArray[Any], num_actions: int) -> NDArray[np.bool_]:
    """bool [n, A] of the actions to show, from int [n] (-1: none), bool [n, A] or probabilities [n, A]."""
    if policy.ndim == 1:
        return np.asarray(policy[:, None] == np.arange(num_actions))
    if policy.dtype == np.bool_:
        return policy
    best = policy.max(axis=1, keepdims=True)
    return np.asarray((policy >= best) & (policy > 0), np.bool_)


# --- the picture ----------------------------------------------------------------------------------------------------


def draw(
    model: Any,
    values: ArrayLike | None = None,
    policy: ArrayLike | None = None,
    q_values: ArrayLike | None = None,
    *,
    visits: ArrayLike | None = None,
    agent: int | tuple[float, float] | None = None,
    path: Sequence[int] | None = None,
    selected: int | None = None,
    scale: tuple[float, float] | None = None,
    cell_size: float | None = None,
    size: tuple[int, int] | None = None,
    theme: str | Theme = "dark",
    layer: str | None = None,
    view: Layout | None = None,
    flash: ArrayLike | None = None,
    before: ArrayLike | None = None,
    extreme: bool = False,
) -> Frame:
    """A picture of a world.

    Args:
        model: a GridModel or an MDP. States that are not a grid are drawn as a near-square array of cells.
        values: float [S], the colour of the cells: cividis for values of one sign, a diverging map for both signs.
        policy: int [S], one arrow each (-1: a dot, nothing is known yet); bool [S, A], an arrow for each tied action
            (none: a dot); or probabilities [S, A], arrows for the most likely actions. Actions without a direction
            are written as their numbers.
        q_values: float [S, A], drawn as one wedge an action where cells are large enough, else their maximum.
        visits: int [S], coloured by their logarithm; never visited cells stay as the floor.
        agent: a state, or (row, column) with fractions between cells.
        path: states, drawn as a trail.
        selected: a state to outline.
        scale: (lo, hi) of the colours; of what is drawn if None (`scale_of`; visits: of log(1 + visits)).
        cell_size: pixels of a cell; the picture is then as large as the world.
        size: (width, height) in pixels; the world is fitted into it.
        theme: "dark", "light" or a Theme.
        layer: "values", "q_values" or "visits": which table colours the cells. If None: q_values if given, else
            values, else visits.
        view: a Layout inside ``size``, to zoom and pan.
        flash: float [S] in [0, 1], how much each cell is lightened.
        before: a policy as above, drawn faintly in the cells where it differs from ``policy``.
        extreme: where cells are smaller than a pixel, show the value farthest from 0 and not the mean.

    Returns:
        uint8 [height, width, 3].

    Raises:
        ValueError, TypeError: naming the argument whose shape, type or range is wrong.
    """
    theme = theme_of(theme)
    S, A = int(model.num_states), int(model.num_actions)
    tables = _Tables(
        values=_table(values, "values", (S,)),
        policy=_policy(policy, S, A),
        q_values=_table(q_values, "q_values", (S, A)),
        visits=_table(visits, "visits", (S,)),
        flash=_table(flash, "flash", (S,)),
        before=_policy(before, S, A, "before"),
        scale=scale,
        layer=_choose_layer(layer, values, q_values, visits),
        extreme=extreme,
    )
    given = view
    width, height, view = _frame_size(model, cell_size, size, view)
    look = appearance_of(model)
    for name, state in (("agent", agent), ("selected", selected)):
        if isinstance(state, int | np.integer) and not 0 <= state < S:
            raise ValueError(f"{name} = {state} is not one of the states 0 to {S - 1}")

    trail = np.asarray(() if path is None else path, np.int64).ravel()
    if trail.size and not 0 <= trail.min() <= trail.max() < S:
        raise ValueError(f"path leads through states {trail.min()} to {trail.max()}; there are 0 to {S - 1}")

    # A world of position and items has a sheet of panels, one for each set of items.
    if (whole := getattr(model, "sheet", None)) is not None:
        sheet, cells = whole
        spread = tables.spread(cells, int(sheet.num_states))
        return draw(
            sheet,
            spread.values,
            spread.policy,
            spread.q_values,
            visits=spread.visits,
            agent=int(cells[agent]) if isinstance(agent, int | np.integer) else agent,
            path=cells[trail].tolist(),
            selected=None if selected is None else int(cells[selected]),
            scale=scale,
            cell_size=cell_size,
            size=size,
            theme=theme,
            view=given,
            layer=tables.layer,
            flash=spread.flash,
            before=spread.before,
            extreme=extreme,
        )

    ground = bytearray(bytes(theme.background)) * (width * height)  # faster than NumPy's spreading of three bytes
    frame = np.frombuffer(ground, np.uint8).reshape(height, width, 3)
    _cells(frame, model, look, tables, view, theme)
    thin = getattr(model, "thin_walls", None)
    if thin is not None and view.cell >= _THIN:
        _thin_walls(frame, view, thin, theme)
    if trail.size:
        _trail(frame, view, trail, theme)
    if selected is not None:
        _outline(frame, view.rect(*divmod(int(selected), view.columns)), theme.second)
    if agent is not None:
        where = divmod(int(agent), view.columns) if isinstance(agent, int | np.integer) else agent
        _agent(frame, view, where, theme)
    return frame


def draw_agent(frame: Frame, model: Any, state: int, cell_size: float | None, theme: str | Theme = "dark") -> None:
    """Draw the agent into a picture that `draw` has made of the model with this ``cell_size`` and theme."""
    _, _, view = _frame_size(model, cell_size, None, None)
    _agent(frame, view, divmod(state, view.columns), theme_of(theme))


def prepare() -> None:
    """Compile what pictures need, or load what was compiled before."""
    from rlgrid.gridmodel import GridModel, TileKind

    model = GridModel([[0, 0]], [TileKind("floor")])
    for cell in (2.0, 0.5):
        draw(model, [0.0, 1.0], cell_size=cell)


def compiled() -> bool:
    """Whether an earlier process has compiled what pictures need."""
    from rlgrid.kernels import map_tables, raster, shrinking

    kernels = (raster.paint, shrinking.shrink, map_tables.extent, map_tables.residual)
    return all(_kept(kernel) for kernel in kernels)


def _kept(kernel: Any) -> bool:
    """Whether a compiled form of a kernel is on disk."""
    index = getattr(getattr(kernel, "_cache", None), "_cache_file", None)
    return index is None or bool(index._load_index())


@dataclass
class _Tables:
    """What `draw` was given over the states, checked."""

    values: NDArray[Any] | None
    policy: NDArray[Any] | None
    q_values: NDArray[Any] | None
    visits: NDArray[Any] | None
    flash: NDArray[Any] | None
    before: NDArray[Any] | None
    scale: tuple[float, float] | None
    layer: str | None
    extreme: bool

    def spread(self, cells: NDArray[np.int64], count: int) -> _Tables:
        """The tables over ``count`` cells, those of the states in their cells and nothing in the others."""

        def over(table: NDArray[Any] | None, nothing: float) -> Any:
            if table is None:
                return None
            kind = np.float64 if np.isnan(nothing) else table.dtype
            result = np.full((count, *table.shape[1:]), nothing, kind)
            result[cells] = table
            return result

        policy, before = (
            None if given is None else over(given, -1 if given.ndim == 1 else 0) for given in (self.policy, self.before)
        )
        return _Tables(
            values=over(self.values, np.nan),
            policy=policy,
            q_values=over(self.q_values, np.nan),
            visits=over(self.visits, 0),
            flash=over(self.flash, 0),
            before=before,
            scale=self.scale,
            layer=self.layer,
            extreme=self.extreme,
        )


def _choose_layer(layer: str | None, values: Any, q_values: Any, visits: Any) -> str | None:
    given = {"q_values": q_values, "values": values, "visits": visits}
    if layer is None:
        return next((name for name, table in given.items() if table is not None), None)
    if layer not in LAYERS:
        raise ValueError(f"layer must be one of {', '.join(LAYERS)}, not {layer!r}")
    if given[layer] is None:
        raise ValueError(f"layer = {layer!r} needs the argument {layer}")
    return layer


def _frame_size(
    model: Any, cell_size: float | None, size: tuple[int, int] | None, view: Layout | None
) -> tuple[int, int, Layout]:
    rows, columns = shape_of(model)
    if cell_size is not None and not (np.isfinite(cell_size) and cell_size > 0):
        raise ValueError(f"cell_size must be a positive number of pixels, not {cell_size!r}")
    if size is not None:
        width, height = (int(n) for n in size)
        if width < 1 or height < 1:
            raise ValueError(f"size must be (width, height) of at least a pixel each, not {size!r}")
        if view is None:
            view = layout(model, width, height)
            if cell_size is not None:
                left, top = (width - columns * cell_size) // 2, (height - rows * cell_size) // 2
                view = Layout(float(cell_size), float(left), float(top), rows, columns)
    else:
        if view is not None:
            raise ValueError("view needs size = (width, height): it places the world in a picture of that size")
        cell = float(cell_size) if cell_size is not None else float(max(1, min(48, 640 // max(rows, columns))))
        if cell_size is None and max(rows, columns) > 2000:
            cell = 2000 / max(rows, columns)
        width, height = max(1, int(np.ceil(columns * cell - 0.5))), max(1, int(np.ceil(rows * cell - 0.5)))
        view = Layout(cell, 0.0, 0.0, rows, columns)
    if (view.rows, view.columns) != (rows, columns):
        raise ValueError(f"view is a layout of {view.rows} x {view.columns} cells, the model has {rows} x {columns}")
    return width, height, view


@dataclass(frozen=True)
class _Glyphs:
    """The ink of the cells that can be seen, for `rlgrid.kernels.raster.paint`."""

    glyph: NDArray[np.int64]
    masks: NDArray[np.uint8]
    ghost: NDArray[np.int64]
    parts: NDArray[np.uint8]


def _cells(frame: Frame, model: Any, look: Appearance, tables: _Tables, view: Layout, theme: Theme) -> None:
    """The cells, their glyphs and the walls."""
    from rlgrid.kernels import raster, shrinking

    height, width = frame.shape[:2]
    size = int(np.ceil(view.cell - 1e-9))
    wedged = tables.layer == "q_values" and has_wedges(view.cell, int(model.num_actions))
    colours, shown = _colours_of(view, theme, model, tables), _shown(model, tables, wedged)
    kinds = _kinds(look, tables.layer is None)
    if view.cell < 1:
        shrinking.shrink(frame, view.cell, view.left, view.top, (view.rows, view.columns), kinds, colours, shown)
        return
    rows = visible(view.top, view.cell, view.rows, height)
    columns = visible(view.left, view.cell, view.columns, width)
    if rows[0] >= rows[1] or columns[0] >= columns[1]:
        return
    ink = _glyphs(look, tables, view, rows, columns, size, int(model.num_actions), wedged)
    raster.paint(
        frame,
        edges(view.top, view.cell, rows),
        edges(view.left, view.cell, columns),
        (rows[0], columns[0]),
        view.columns,
        size,
        -int(np.floor(view.left)) - int(np.floor(view.top)),
        kinds,
        colours,
        shown,
        ink.glyph,
        ink.masks,
        ink.ghost,
        _FAINT,
        ink.parts,
    )


def has_wedges(cell: float, num_actions: int) -> bool:
    """Whether cells of so many pixels show a number for each action."""
    return int(np.ceil(cell - 1e-9)) >= max(_WEDGES, min(num_actions, 255))


# --- colours of cells -----------------------------------------------------------------------------------------------


def lightened(colours: NDArray[np.uint8], flash: NDArray[np.float64]) -> NDArray[np.uint8]:
    """The colours [S, ..., 3] of cells that ``flash`` [S] lightens, as `rlgrid.kernels.raster` mixes them."""
    weight = np.clip(flash, 0.0, 1.0).reshape(-1, *(1,) * (colours.ndim - 1)) * 0.55
    return (colours + (255.0 - colours) * weight + 0.5).astype(np.uint8)


def _scale(model: Any, tables: _Tables) -> tuple[float, float]:
    if tables.scale is not None:
        lo, hi = (float(end) for end in tables.scale)
        return lo, hi
    if tables.layer == "visits":
        assert tables.visits is not None
        return 0.0, float(np.log1p(max(0, tables.visits.max())))
    table = tables.q_values if tables.layer == "q_values" else tables.values
    assert table is not None
    return scale_of(model, table)


def _shown(model: Any, tables: _Tables, wedged: bool) -> Any:
    """The numbers that colour the cells, for `rlgrid.kernels.raster`."""
    from rlgrid.kernels.map_tables import largest
    from rlgrid.kernels.raster import Shown

    flash = np.zeros(0) if tables.flash is None else np.ascontiguousarray(tables.flash, np.float64)
    if tables.layer is None:
        return Shown(np.zeros((1, 0)), 0.0, 0.0, False, False, flash)
    given = {"visits": tables.visits, "q_values": tables.q_values, "values": tables.values}[tables.layer]
    assert given is not None
    table = np.ascontiguousarray(given, np.float64)
    _, lo, hi = palette_of(*_scale(model, tables))
    if table.ndim == 2 and not wedged:
        table = largest(table)
    return Shown(table.reshape(len(table), -1), lo, hi, tables.layer == "visits", tables.extreme, flash)


def _colours_of(view: Layout, theme: Theme, model: Any, tables: _Tables) -> Any:
    """The colours, for `rlgrid.kernels.raster`; walls in cells of a few pixels have no hatch."""
    scale = (0.0, 1.0) if tables.layer is None else _scale(model, tables)
    palette, _, _ = palette_of(*scale, theme)
    return _paints(theme, palette is diverging(theme), _period(view.cell))


def _period(cell: float) -> int:
    """The distance of the lines of a hatch in pixels; 0 where cells are too small for one."""
    if cell < _HATCH:
        return 0
    return 10 if cell >= 20 else 6


_ALWAYS = ("goal", "pit", "end", "door")  # marks whose cells have a colour of their own
_BARE = (*_ALWAYS, "ice", "reward", "key", "switch")  # where no number colours the cells


def _kinds(look: Appearance, bare: bool) -> NDArray[np.uint8]:
    """uint8 [S], what each cell is for `rlgrid.kernels.raster`; worked out once."""
    from rlgrid.kernels.raster import CLOSED, MARKED, WALL

    found = look.kinds.get(bare)
    if found is None:
        has = np.zeros(len(glyphs.MARKS) + 1, np.bool_)
        has[[glyphs.MARKS.index(name) + 1 for name in (_BARE if bare else _ALWAYS)]] = True
        own = has[look.mark] if bare else has[look.mark] & look.closed
        found = np.where(look.wall, WALL, np.where(own, MARKED + look.mark, 0)).astype(np.uint8)
        found += (CLOSED * look.closed).astype(np.uint8)
        look.kinds[bare] = found
    return found


@lru_cache(32)
def _paints(theme: Theme, signed: bool, period: int) -> Any:
    from rlgrid.kernels.raster import Colours

    fixed = {
        "goal": theme.goal,
        "pit": theme.harm,
        "end": theme.raised,
        "door": theme.door,
        "ice": theme.ice,
        "reward": theme.accent,
        "key": theme.accent,
        "switch": theme.accent,
    }
    marked = np.zeros((len(glyphs.MARKS) + 1, 3), np.uint8)
    for name, colour in fixed.items():
        marked[glyphs.MARKS.index(name) + 1] = colour
    hatch = np.array([theme.wall], np.uint8)
    if period:
        # Lines at 45 degrees that run through from wall to wall.
        distance = np.abs((np.arange(period) + period // 2) % period - period // 2) / np.sqrt(2)
        weight = np.clip(1.0 - distance, 0.0, 1.0)[:, None]
        hatch = (np.array(theme.wall) * (1 - weight) + np.array(theme.hatch) * weight + 0.5).astype(np.uint8)
    return Colours(
        palette=(diverging(theme) if signed else sequential()).copy(),
        plain=np.array([theme.floor, theme.gap, theme.wall], np.uint8),
        hatch=hatch,
        marked=marked,
        inks=INKS.copy(),
        limits=INK_LIMITS.copy(),
        linear=np.ascontiguousarray(WEIGHTS[:, None] * LINEAR),
    )


# --- glyphs of cells ------------------------------------------------------------------------------------------------


def _glyphs(
    look: Appearance,
    tables: _Tables,
    view: Layout,
    rows: tuple[int, int],
    columns: tuple[int, int],
    s: int,
    A: int,
    wedged: bool,
) -> _Glyphs:
    """Which glyphs the cells of a range of rows and columns carry, and what these look like."""
    nothing = np.zeros((0, 0), np.int64)
    none = np.zeros((0, 0, 0), np.uint8)
    cover = _bytes(glyphs.cell(s))[None]
    if s < _MARKED:
        return _Glyphs(nothing, cover, nothing, none)
    grid = np.arange(*rows)[:, None] * view.columns + np.arange(*columns)
    states = np.minimum(grid, look.num_states - 1)
    closed = look.closed[states]
    greedy = None if tables.policy is None else _greedy(tables.policy[states.ravel()], A).reshape(*states.shape, A)
    coloured = tables.layer is not None or greedy is not None
    arrowed = np.zeros(states.shape, np.bool_) if greedy is None or s < _ARROWS else ~closed
    if wedged:
        arrowed &= closed
    kinds: dict[tuple[Any, ...], int] = {}
    masks = [cover[0]]
    glyph = _numbered(look, states, closed, greedy, arrowed, coloured, wedged, s, kinds, masks)
    ghost = nothing
    if tables.before is not None and greedy is not None and arrowed.any():
        before = _greedy(tables.before[states.ravel()], A).reshape(*states.shape, A)
        changed = arrowed & (before != greedy).any(axis=2) & before.any(axis=2)
        if changed.any():
            bare = Appearance(
                look.shape,
                look.num_states,
                look.wall,
                np.zeros_like(look.mark),
                look.closed,
                look.start,
                None,
                look.directions,
            )
            found = _numbered(bare, states, closed, before, changed, coloured, wedged, s, kinds, masks)
            ghost = np.where(changed, found, 0)
    if wedged:
        parts = _parts(s, look.directions, A)
        if greedy is not None and look.directions is not None:
            bits = greedy @ (np.int64(1) << np.arange(A))
            glyph = np.where(closed, glyph, bits)
        else:
            glyph = np.where(closed, glyph, 0)
        return _Glyphs(glyph, np.stack(masks), ghost, parts)
    return _Glyphs(glyph, np.stack(masks), ghost, none)


def _numbered(
    look: Appearance,
    states: NDArray[np.int64],
    closed: NDArray[np.bool_],
    greedy: NDArray[np.bool_] | None,
    arrowed: NDArray[np.bool_],
    coloured: bool,
    wedged: bool,
    s: int,
    kinds: dict[tuple[Any, ...], int],
    masks: list[NDArray[np.uint8]],
) -> NDArray[np.int64]:
    """int64 [n, m]: the numbers of the cells' masks, of which new ones are appended. 0 is none."""
    marks = look.mark[states].astype(np.int64)
    winds = np.zeros((1, 2), np.int64)
    blown = np.zeros(states.shape, np.int64)
    if look.wind is not None and s >= 20:
        found, which = np.unique(look.wind[states].reshape(-1, 2), axis=0, return_inverse=True)
        winds = np.concatenate([winds, found])
        blown = np.where(closed | wedged, 0, 1 + which.reshape(states.shape))
    # A mark must not hide the colour of a cell that has a value.
    aside = ~closed & coloured
    keys = marks + 16 * aside + 32 * blown
    sets: NDArray[np.bool_] = np.zeros((1, 1), np.bool_)
    if greedy is not None and arrowed.any():
        A = greedy.shape[-1]
        flat = greedy.reshape(-1, A)
        if A <= 32:
            codes, which = np.unique(flat @ (np.int64(1) << np.arange(A)), return_inverse=True)
            sets = (codes[:, None] >> np.arange(A)) & 1 == 1
        else:
            sets, which = np.unique(flat, axis=0, return_inverse=True)
        keys += 32 * len(winds) * np.where(arrowed, 1 + which.reshape(states.shape), 0)
    found, which = np.unique(keys, return_inverse=True)
    numbers = np.zeros(len(found), np.int64)
    for n, key in enumerate(found.tolist()):
        rest, mark = divmod(key, 16)
        rest, corner = divmod(rest, 2)
        arrow, blow = divmod(rest, len(winds))
        actions = tuple(np.flatnonzero(sets[arrow - 1]).tolist()) if arrow else None
        kind = (mark, corner, actions, tuple(winds[blow].tolist()))
        if kind == (0, kind[1], None, (0, 0)):
            continue
        if kind not in kinds:
            kinds[kind] = len(masks)
            masks.append(_mask(s, mark, bool(corner), actions, kind[3], look.directions))
        numbers[n] = kinds[kind]
    return numbers[which.reshape(states.shape)]


@kept
def _mask(
    s: int,
    mark: int,
    corner: bool,
    actions: tuple[int, ...] | None,
    wind: tuple[int, int],
    directions: tuple[glyphs.Direction, ...] | None,
) -> NDArray[np.uint8]:
    """The ink of a cell: arrows (or numbers, or the dot of nothing known), a mark, chevrons of wind."""
    ink: glyphs.Mask = np.zeros((s, s), np.float32)
    if actions is not None:
        if not actions:
            ink = glyphs.dot(s)
        elif directions is None:
            ink = glyphs.numbers(s, actions)
        else:
            ink = glyphs.arrows(s, tuple(directions[a] for a in actions))
    if mark:
        ink = np.maximum(ink, glyphs.mark(s, glyphs.MARKS[mark - 1], corner=corner))
    if any(wind):
        ink = np.maximum(ink, glyphs.wind(s, *wind))
    return _bytes(ink)


@kept
def _parts(s: int, directions: tuple[glyphs.Direction, ...] | None, A: int) -> NDArray[np.uint8]:
    """uint8 [3, s, s]: the wedge (or bar) that a pixel belongs to, its cover, and the mark in the greedy ones."""
    if directions is None:
        covers, marks = glyphs.bars(s, A), np.zeros((A, s, s), np.float32)
    else:
        covers, marks = glyphs.wedges(s, directions), glyphs.wedge_marks(s, directions)
    part = covers.argmax(axis=0)
    mark = np.take_along_axis(marks, part[None], axis=0)[0]
    return np.stack([part.astype(np.uint8), _bytes(covers.sum(axis=0)), _bytes(mark)])


def _bytes(mask: glyphs.Mask) -> NDArray[np.uint8]:
    return (np.clip(mask, 0.0, 1.0) * 255 + 0.5).astype(np.uint8)


# --- things on top of the cells -------------------------------------------------------------------------------------


def _thin_walls(frame: Frame, view: Layout, walls: NDArray[np.uint8], theme: Theme) -> None:
    """The walls between cells, as `rlgrid.gridmodel.GridModel.to_mdp` numbers them."""
    thick = max(2, int(view.cell / 8))
    height, width = frame.shape[:2]
    rows, columns = visible(view.top, view.cell, view.rows, height), visible(view.left, view.cell, view.columns, width)
    grid = np.arange(*rows)[:, None] * view.columns + np.arange(*columns)
    for cell in grid[walls[grid] > 0].tolist():
        left, top, right, bottom = view.rect(*divmod(cell, view.columns))
        for side, (x, y, to_x, to_y) in (
            (1, (right - thick // 2, top - thick // 2, right + thick - thick // 2, bottom + thick - thick // 2)),
            (2, (left - thick // 2, bottom - thick // 2, right + thick - thick // 2, bottom + thick - thick // 2)),
        ):
            if walls[cell] & side:
                frame[max(0, y) : min(max(0, to_y), height), max(0, x) : min(max(0, to_x), width)] = theme.hatch


def _blend(frame: Frame, x0: int, y0: int, alpha: glyphs.Mask, colour: RGB) -> None:
    """Lay a colour over the frame with coverage alpha [h, w] whose upper left pixel is (x0, y0)."""
    height, width = frame.shape[:2]
    top, left = max(0, y0), max(0, x0)
    bottom, right = min(height, y0 + alpha.shape[0]), min(width, x0 + alpha.shape[1])
    if bottom <= top or right <= left:
        return
    weight = alpha[top - y0 : bottom - y0, left - x0 : right - x0, None]
    part = frame[top:bottom, left:right]
    part[:] = part + (np.array(colour, np.float32) - part) * weight + 0.5


def _around(x: float, y: float, reach: float) -> tuple[int, int, NDArray[np.float64], NDArray[np.float64]]:
    """A square of pixels around a point: its corner, and the pixels' distances in x [1, n] and y [n, 1]."""
    x0, y0 = int(np.floor(x - reach)), int(np.floor(y - reach))
    count = int(np.ceil(2 * reach)) + 2
    at = np.arange(count, dtype=np.float64) + 0.5
    return x0, y0, (at + x0 - x)[None, :], (at + y0 - y)[:, None]


def _agent(frame: Frame, view: Layout, where: tuple[float, float], theme: Theme) -> None:
    """The agent: a disc with a ring that sets it off from any cell."""
    x, y = view.centre(*where)
    radius = max(0.24 * view.cell, 3.5)
    ring = min(max(0.065 * view.cell, 1.2), 6.0)
    x0, y0, dx, dy = _around(x, y, radius + ring + 1)
    _blend(frame, x0, y0, glyphs.coverage(glyphs.disc(dx, dy, radius + ring)), theme.background)
    _blend(frame, x0, y0, glyphs.coverage(glyphs.disc(dx, dy, radius)), theme.accent)


def _outline(frame: Frame, rect: tuple[int, int, int, int], colour: RGB) -> None:
    """A rounded frame on the border of a cell."""
    left, top, right, bottom = rect
    cell = max(right - left, bottom - top)
    line = min(max(0.075 * cell, 2.0), 4.0)
    x0, y0, dx, dy = _around((left + right) / 2, (top + bottom) / 2, cell / 2 + line + 1)
    half_width, half_height = (right - left) / 2, (bottom - top) / 2
    edge = glyphs.box(dx, dy, half_width, half_height, radius=min(max(0.09 * cell, 1.0), 6.0))
    _blend(frame, x0, y0, glyphs.coverage(np.abs(edge) - line / 2), colour)


def _trail(frame: Frame, view: Layout, path: NDArray[np.int64], theme: Theme) -> None:
    """Lines between the cells that were visited one after the other; a jump across the grid leaves a gap.

    A faint rim of the background's colour keeps the line apart from cells of a like colour.
    """
    height, width = frame.shape[:2]
    half = min(max(0.0375 * view.cell, 0.75), 4.0)
    rim = min(0.03 * view.cell, 2.0)
    reach = half + rim + 1
    row, column = np.divmod(path, view.columns)
    joined = (np.maximum(np.abs(np.diff(row)), np.abs(np.diff(column))) <= 3) & (np.diff(path) != 0)
    steps = np.stack([path[:-1], path[1:]], axis=1)[joined]
    lines = np.unique(np.sort(steps, axis=1), axis=0)
    if not len(lines):
        return
    ends = [[view.centre(*divmod(state, view.columns)) for state in line] for line in lines.tolist()]
    xs, ys = np.array(ends)[:, :, 0], np.array(ends)[:, :, 1]
    x0, x1 = (int(np.clip(x, 0, width)) for x in (xs.min() - reach - 1, xs.max() + reach + 2))
    y0, y1 = (int(np.clip(y, 0, height)) for y in (ys.min() - reach - 1, ys.max() + reach + 2))
    distance = np.full((y1 - y0, x1 - x0), np.inf, np.float32)
    for (ax, ay), (bx, by) in ends:
        left, right = int(np.floor(min(ax, bx) - reach)), int(np.ceil(max(ax, bx) + reach))
        top, bottom = int(np.floor(min(ay, by) - reach)), int(np.ceil(max(ay, by) + reach))
        left, top, right, bottom = max(left, x0), max(top, y0), min(right, x1), min(bottom, y1)
        if left >= right or top >= bottom:
            continue
        x = (np.arange(left, right) + 0.5)[None, :]
        y = (np.arange(top, bottom) + 0.5)[:, None]
        part = distance[top - y0 : bottom - y0, left - x0 : right - x0]
        np.minimum(part, glyphs.segment(x, y, (ax, ay), (bx, by), half), out=part)
    # Lines cover few of the pixels, so only those are blended.
    near = distance < rim + 0.5
    below, away = frame[y0:y1, x0:x1], distance[near]
    colours = below[near].astype(np.float32)
    for weight, colour in (
        (0.4 * glyphs.coverage(away - rim), theme.background),
        (0.9 * glyphs.coverage(away), theme.accent),
    ):
        colours += (np.array(colour, np.float32) - colours) * weight[:, None]
    below[near] = (colours + 0.5).astype(np.uint8)
