"""Pictures of worlds: cells coloured by value, the policy as arrows, action values as wedges, the agent and its trail.

`draw` is a pure function from a model and tables over its states to pixels; it needs NumPy alone. Where things lie is
`Layout`'s business, for drawing and for finding the cell under a pointer alike.

How a frame is made: within a cell every pixel is a weighted sum of a few colours (the gap, the cell, the ink), with
weights that are the same for all cells that carry the same glyphs. So each such group of cells is one matrix product,
colours [n, k] by weights [k, pixels], written into the frame as tiles. Cells of 4 pixels and more are drawn so; smaller
ones are one flat colour, and where a cell is smaller than a pixel each pixel shows the cell at its middle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rlgrid import glyphs
from rlgrid.appearance import Appearance, appearance_of
from rlgrid.layout import Layout, layout, pixel_cells, shape_of, squeezed, visible
from rlgrid.theme import RGB, Theme, colormap, ink_on, theme_of

__all__ = ["LAYERS", "Layout", "draw", "layout", "scale_of", "shape_of"]

Frame = NDArray[np.uint8]
LAYERS = ("values", "q_values", "visits")

_FLAT = 4  # cells smaller than this are one flat colour
_WEDGES = 16  # the least size at which action values get a wedge each
# Matrix products are cut into pieces of at most so many multiplications: OpenBLAS would start threads for larger ones,
# which cost more than they bring and take the core on which an agent learns.
_PRODUCT = 250_000
_ARROWS = 10  # the least size at which an arrow can be read and leaves the cell's colour to be seen
_HATCH = 10  # the least size of cell at which walls are hatched


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


def _policy(given: ArrayLike | None, S: int, A: int) -> NDArray[Any] | None:
    table = _table(given, "policy", (S,), (S, A))
    if table is not None and table.ndim == 1:
        if table.dtype.kind not in "iu":
            raise TypeError(f"policy [S] must hold whole numbers, the actions, not {table.dtype}")
        wrong = np.flatnonzero((table < -1) | (table >= A))
        if wrong.size:
            raise ValueError(f"policy: state {wrong[0]} has action {table[wrong[0]]}, not one of -1 to {A - 1}")
    return table


def scale_of(model: Any, values: ArrayLike) -> tuple[float, float]:
    """(lo, hi) of the finite values of the cells that are coloured by them, for [S] or [S, A]; (0, 0) if none is.

    Cells that end an episode and walls are left out: they are drawn as what they are.
    """
    look = appearance_of(model)
    table = np.asarray(values, np.float64)
    shown = table[look.shown]
    shown = shown[np.isfinite(shown)]
    if not shown.size:
        return 0.0, 0.0
    lo, hi = float(shown.min()), float(shown.max())
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
        scale=scale,
        layer=_choose_layer(layer, values, q_values, visits),
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
        )

    frame = _ground(look, view, width, height, theme)
    rows, columns = (
        visible(view.top, view.cell, view.rows, height),
        visible(view.left, view.cell, view.columns, width),
    )
    if rows[0] < rows[1] and columns[0] < columns[1]:
        if view.cell < _FLAT:
            _flat(frame, model, look, tables, view, theme)
        else:
            _tiled(frame, model, look, tables, view, rows, columns, theme)
    thin = getattr(model, "thin_walls", None)
    if thin is not None and view.cell >= _FLAT:
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


@dataclass
class _Tables:
    """What `draw` was given over the states, checked."""

    values: NDArray[Any] | None
    policy: NDArray[Any] | None
    q_values: NDArray[Any] | None
    visits: NDArray[Any] | None
    flash: NDArray[Any] | None
    scale: tuple[float, float] | None
    layer: str | None

    def spread(self, cells: NDArray[np.int64], count: int) -> _Tables:
        """The tables over ``count`` cells, those of the states in their cells and nothing in the others."""

        def over(table: NDArray[Any] | None, nothing: float) -> Any:
            if table is None:
                return None
            kind = np.float64 if np.isnan(nothing) else table.dtype
            result = np.full((count, *table.shape[1:]), nothing, kind)
            result[cells] = table
            return result

        policy = None if self.policy is None else over(self.policy, -1 if self.policy.ndim == 1 else 0)
        values, q_values = over(self.values, np.nan), over(self.q_values, np.nan)
        return _Tables(
            values, policy, q_values, over(self.visits, 0), over(self.flash, 0), scale=self.scale, layer=self.layer
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


def _ground(look: Appearance, view: Layout, width: int, height: int, theme: Theme) -> Frame:
    """The background and the walls with their hatch; kept from frame to frame, since only looking around changes it."""
    key = (view, width, height, theme)
    kept = look.ground.get(key)
    if kept is None:
        kept = np.empty((height, width, 3), np.uint8)
        kept[:] = theme.background
        if look.wall.any() and view.cell >= 1:
            ys, rows = pixel_cells(view.top, view.cell, view.rows, height)
            xs, columns = pixel_cells(view.left, view.cell, view.columns, width)
            states = rows[:, None] * view.columns + columns
            if look.num_states < view.rows * view.columns:
                states = np.minimum(states, look.num_states - 1)
            walls = look.wall[states]
            hatched = _hatch(view, ys, xs, theme) if view.cell >= _HATCH else np.array(theme.wall, np.uint8)
            hatched = np.ascontiguousarray(np.broadcast_to(hatched, (*walls.shape, 3)))
            np.copyto(_pixels(kept)[ys, xs], _pixels(hatched), where=walls)
        look.ground.clear()
        look.ground[key] = kept
    return kept.copy()


def _thin_walls(frame: Frame, view: Layout, walls: NDArray[np.uint8], theme: Theme) -> None:
    """The walls between cells, as `rlgrid.gridmodel.GridModel.to_mdp` numbers them."""
    thick = max(2, int(view.cell / 8))
    height, width = frame.shape[:2]
    for cell in np.flatnonzero(walls).tolist():
        left, top, right, bottom = view.rect(*divmod(cell, view.columns))
        for side, (x, y, to_x, to_y) in (
            (1, (right - thick // 2, top - thick // 2, right + thick - thick // 2, bottom + thick - thick // 2)),
            (2, (left - thick // 2, bottom - thick // 2, right + thick - thick // 2, bottom + thick - thick // 2)),
        ):
            if walls[cell] & side:
                frame[max(0, y) : min(max(0, to_y), height), max(0, x) : min(max(0, to_x), width)] = theme.hatch


def _hatch(view: Layout, ys: slice, xs: slice, theme: Theme) -> Frame:
    """Lines at 45 degrees that run through from wall to wall."""
    period = 10 if view.cell >= 20 else 6
    distance = np.abs((np.arange(period) + period // 2) % period - period // 2) / np.sqrt(2)
    weight = np.clip(1.0 - distance, 0.0, 1.0)[:, None]
    line = (np.array(theme.wall) * (1 - weight) + np.array(theme.hatch) * weight + 0.5).astype(np.uint8)
    x = np.arange(xs.start, xs.stop) - int(np.floor(view.left))
    y = np.arange(ys.start, ys.stop) - int(np.floor(view.top))
    return np.asarray(line[(x[None, :] + y[:, None]) % period])


# --- colours of cells -----------------------------------------------------------------------------------------------


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


def _colours(model: Any, look: Appearance, tables: _Tables, states: NDArray[np.int64], theme: Theme) -> Frame:
    """uint8 [n, 3]: the colour of each of the states."""
    marks = look.mark[states]
    closed = look.closed[states]
    fixed = {"goal": theme.goal, "pit": theme.harm, "end": theme.raised, "door": theme.door}
    if tables.layer is None:
        fixed |= {"ice": theme.ice, "reward": theme.accent, "key": theme.accent, "switch": theme.accent}
        closed = np.ones_like(closed)
        colours = np.empty((states.size, 3), np.uint8)
        colours[:] = theme.floor
    else:
        if tables.layer == "visits":
            assert tables.visits is not None
            visits = np.maximum(tables.visits[states], 0)
            seen = np.where(visits > 0, np.log1p(visits), np.nan)
        elif tables.layer == "q_values":
            assert tables.q_values is not None
            seen = tables.q_values[states].max(axis=1)
        else:
            assert tables.values is not None
            seen = tables.values[states]
        colours = colormap(seen, *_scale(model, tables), theme)
    palette = np.zeros((len(glyphs.MARKS) + 1, 3), np.uint8)
    has = np.zeros(len(palette), np.bool_)
    for name, colour in fixed.items():
        palette[glyphs.MARKS.index(name) + 1] = colour
        has[glyphs.MARKS.index(name) + 1] = True
    chosen = has[marks] & closed
    colours[chosen] = palette[marks[chosen]]
    if tables.flash is not None:
        weight = np.clip(tables.flash[states], 0.0, 1.0)[:, None] * 0.55
        colours = (colours + (255 - colours.astype(np.float64)) * weight + 0.5).astype(np.uint8)
    return colours


def _flat(frame: Frame, model: Any, look: Appearance, tables: _Tables, view: Layout, theme: Theme) -> None:
    """Cells of a few pixels or less: one colour each."""
    height, width = frame.shape[:2]
    ys, rows = pixel_cells(view.top, view.cell, view.rows, height)
    xs, columns = pixel_cells(view.left, view.cell, view.columns, width)
    # Colour each cell that is hit once, and spread the colours over the pixels.
    some_rows, to_row = np.unique(rows, return_inverse=True)
    some_columns, to_column = np.unique(columns, return_inverse=True)
    states = (some_rows[:, None] * view.columns + some_columns).ravel()
    present = states < look.num_states
    states = np.minimum(states, look.num_states - 1)
    colours = _colours(model, look, tables, states, theme)
    colours[look.wall[states]] = theme.wall
    colours[~present] = theme.background
    grid = colours.reshape(some_rows.size, some_columns.size, 3)
    frame[ys, xs] = grid[to_row][:, to_column]


def _tiled(
    frame: Frame,
    model: Any,
    look: Appearance,
    tables: _Tables,
    view: Layout,
    rows: tuple[int, int],
    columns: tuple[int, int],
    theme: Theme,
) -> None:
    """Cells of 4 pixels and more: a tile each."""
    s = int(np.ceil(view.cell - 1e-9))
    grid = np.arange(*rows)[:, None] * view.columns + np.arange(*columns)
    present = (grid < look.num_states) & ~look.wall[np.minimum(grid, look.num_states - 1)]
    r, c = np.nonzero(present)
    states = grid[r, c]
    colours = _colours(model, look, tables, states, theme)
    height, width = frame.shape[:2]
    left, top, _, _ = view.rect(rows[0], columns[0])
    whole = view.cell == s
    if whole and left >= 0 and top >= 0 and left + s * grid.shape[1] <= width and top + s * grid.shape[0] <= height:
        canvas = frame[top : top + s * grid.shape[0], left : left + s * grid.shape[1]]
        canvas = canvas.reshape(grid.shape[0], s, grid.shape[1], s, 3)
        assert np.shares_memory(canvas, frame)
        _paint(canvas, r, c, states, colours, look, tables, model, theme)
        return
    canvas = np.empty((grid.shape[0], s, grid.shape[1], s, 3), np.uint8)
    _paint(canvas, r, c, states, colours, look, tables, model, theme)
    ys, from_y = squeezed(view.top, view.cell, s, rows, height)
    xs, from_x = squeezed(view.left, view.cell, s, columns, width)
    tiles = canvas.reshape(grid.shape[0] * s, grid.shape[1] * s, 3)
    if not from_y.size or not from_x.size:
        return
    high = tiles[from_y]
    cut = np.empty((from_y.size, from_x.size, 3), np.uint8)
    ends = np.append(np.flatnonzero(np.diff(from_x) != 1) + 1, from_x.size).tolist()
    for first, last in pairwise([0, *ends]):  # whole runs of columns: NumPy gathers single pixels slowly
        cut[:, first:last] = high[:, from_x[first] : from_x[last - 1] + 1]
    shown = present[from_y // s][:, from_x // s]
    np.copyto(_pixels(frame)[ys, xs], _pixels(cut), where=shown)


def _pixels(frame: Frame) -> NDArray[np.void]:
    """A view [H, W] of a frame, a pixel an element."""
    return frame.view("V3")[:, :, 0]


def _paint(
    canvas: Frame,
    r: NDArray[np.int64],
    c: NDArray[np.int64],
    states: NDArray[np.int64],
    colours: Frame,
    look: Appearance,
    tables: _Tables,
    model: Any,
    theme: Theme,
) -> None:
    """Write the tiles of the states into canvas [rows, s, columns, s, 3], group by group of equal glyphs."""
    s = canvas.shape[1]
    A = int(model.num_actions)
    closed = look.closed[states]
    greedy = None
    if tables.policy is not None:
        greedy = _greedy(tables.policy[states], A)
    wedged = ~closed & (tables.layer == "q_values") & (s >= _WEDGES)
    order: list[NDArray[np.int64]] = []
    tiles = np.empty((states.size, s * s * 3), np.uint8)
    done = 0
    if wedged.any():
        chosen = np.flatnonzero(wedged)
        tiles[: chosen.size] = _wedge_tiles(chosen, states, greedy, look, tables, model, s, theme)
        order.append(chosen)
        done = chosen.size
    plain = np.flatnonzero(~wedged)
    inks = ink_on(colours)
    for members, ink in _groups(
        plain, states, closed, greedy, tables.layer is not None or greedy is not None, look, s, A
    ):
        both = np.concatenate([colours[members], inks[members]], axis=1)
        weights = np.stack([glyphs.cell(s) * (1 - ink), glyphs.cell(s) * ink])
        tiles[done : done + members.size] = _mix(both, weights, theme.gap)
        order.append(members)
        done += members.size
    at = np.concatenate(order) if order else np.zeros(0, np.int64)
    canvas[r[at], :, c[at]] = tiles.reshape(-1, s, s, 3)


def _mix(colours: NDArray[Any], weights: glyphs.Mask, gap: RGB) -> Frame:
    """uint8 [n, s * s * 3]: k colours [n, k * 3] by weights [k, s, s]; the gap's colour takes what is left of 1."""
    k, s = weights.shape[0], weights.shape[1]
    spread = np.zeros((k * 3 + 1, s * s, 3), np.float32)
    flat = weights.reshape(k, s * s)
    for part in range(k):
        for channel in range(3):
            spread[part * 3 + channel, :, channel] = flat[part]
    # Half a unit on top, so that cutting off the fraction rounds.
    spread[-1] = (1 - flat.sum(axis=0))[:, None] * np.array(gap, np.float32) + 0.5
    left = np.ones((len(colours), k * 3 + 1), np.float32)
    left[:, :-1] = colours
    right = spread.reshape(k * 3 + 1, s * s * 3)
    result = np.empty((len(left), right.shape[1]), np.uint8)
    step = max(1, _PRODUCT // right.size)
    for first in range(0, len(left), step):
        result[first : first + step] = left[first : first + step] @ right
    return result


def _groups(
    plain: NDArray[np.int64],
    states: NDArray[np.int64],
    closed: NDArray[np.bool_],
    greedy: NDArray[np.bool_] | None,
    coloured: bool,
    look: Appearance,
    s: int,
    A: int,
) -> list[tuple[NDArray[np.int64], glyphs.Mask]]:
    """The cells that carry the same glyphs, with the mask of the ink."""
    marks = look.mark[states[plain]].astype(np.int64)
    arrowed = np.zeros(plain.size, np.bool_) if greedy is None or s < _ARROWS else ~closed[plain]
    if s < 6:
        marks[:] = 0
    winds = np.zeros((1, 2), np.int64)
    blown = np.zeros(plain.size, np.int64)
    if look.wind is not None and s >= 20:
        found, which = np.unique(look.wind[states[plain]], axis=0, return_inverse=True)
        winds = np.concatenate([winds, found])
        blown = np.where(closed[plain], 0, 1 + which.ravel())
    # A mark must not hide the colour of a cell that has a value.
    aside = ~closed[plain] & coloured
    keys = marks + 16 * aside + 32 * blown
    sets: NDArray[np.bool_] = np.zeros((1, A), np.bool_)
    if greedy is not None and arrowed.any():
        if A <= 32:
            bits = greedy[plain] @ (np.int64(1) << np.arange(A))
            codes, which = np.unique(bits, return_inverse=True)
            sets = (codes[:, None] >> np.arange(A)) & 1 == 1
        else:
            sets, which = np.unique(greedy[plain], axis=0, return_inverse=True)
        keys += 32 * len(winds) * np.where(arrowed, 1 + which.ravel(), 0)
    found, which = np.unique(keys, return_inverse=True)
    order = np.argsort(which, kind="stable")
    ends = np.cumsum(np.bincount(which, minlength=found.size))
    groups = []
    for n, key in enumerate(found.tolist()):
        members = plain[order[ends[n - 1] if n else 0 : ends[n]]]
        rest, mark = divmod(key, 16)
        rest, corner = divmod(rest, 2)
        arrow, blow = divmod(rest, len(winds))
        ink = np.zeros((s, s), np.float32)
        if arrow:
            actions = tuple(np.flatnonzero(sets[arrow - 1]).tolist())
            if not actions:
                ink = glyphs.dot(s)
            elif look.directions is None:
                ink = glyphs.numbers(s, actions)
            else:
                ink = glyphs.arrows(s, tuple(look.directions[a] for a in actions))
        if mark:
            ink = np.maximum(ink, glyphs.mark(s, glyphs.MARKS[mark - 1], corner=bool(corner)))
        if winds[blow].any():
            ink = np.maximum(ink, glyphs.wind(s, *winds[blow].tolist()))
        groups.append((members, ink))
    return groups


def _wedge_tiles(
    chosen: NDArray[np.int64],
    states: NDArray[np.int64],
    greedy: NDArray[np.bool_] | None,
    look: Appearance,
    tables: _Tables,
    model: Any,
    s: int,
    theme: Theme,
) -> Frame:
    """Cells as one wedge (or bar) an action, the greedy ones marked."""
    assert tables.q_values is not None
    q = tables.q_values[states[chosen]]
    n, A = q.shape
    colours = colormap(q, *_scale(model, tables), theme)
    if look.directions is None:
        parts, marks = glyphs.bars(s, A), glyphs.bars(s, A) * 0
    else:
        parts, marks = glyphs.wedges(s, look.directions), glyphs.wedge_marks(s, look.directions)
    if greedy is None:
        return _mix(colours.reshape(n, A * 3), parts, theme.gap)
    # A mark that is not wanted has the colour of its wedge.
    inks = np.where(greedy[chosen][:, :, None], ink_on(colours), colours)
    both = np.concatenate([colours.reshape(n, A * 3), inks.reshape(n, A * 3)], axis=1)
    return _mix(both, np.concatenate([parts * (1 - marks), parts * marks]), theme.gap)


# --- things on top of the cells -------------------------------------------------------------------------------------


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
