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
from dataclasses import dataclass, field, replace
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rlgrid import glyphs
from rlgrid.gridmodel import MOVES
from rlgrid.theme import RGB, Theme, colormap, ink_on, theme_of

Frame = NDArray[np.uint8]
LAYERS = ("values", "q_values", "visits")

_FLAT = 4  # cells smaller than this are one flat colour
_WEDGES = 16  # the least size at which action values get a wedge each
_ARROWS = 7  # the least size at which an arrow can be read
_PIT, _GOAL = glyphs.MARKS.index("pit") + 1, glyphs.MARKS.index("goal") + 1


# --- where things lie -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Layout:
    """Where the cells of a world lie in a picture: cell (r, c) begins at (left + c * cell, top + r * cell).

    Cell borders are rounded to whole pixels, so that edges are sharp whatever ``cell`` is: neighbours then differ by
    at most a pixel in size. Pixel (x, y) covers [x, x + 1) x [y, y + 1).
    """

    cell: float  # pixels
    left: float
    top: float
    rows: int
    columns: int

    @property
    def width(self) -> float:
        """Width of the world in pixels."""
        return self.columns * self.cell

    @property
    def height(self) -> float:
        """Height of the world in pixels."""
        return self.rows * self.cell

    def _edge(self, origin: float, index: float) -> int:
        return int(np.ceil(origin + index * self.cell - 0.5))

    def _index(self, origin: float, pixel: int) -> int:
        index = int(np.floor((pixel + 0.5 - origin) / self.cell))
        if self.cell < 1:
            return index
        while pixel < self._edge(origin, index):
            index -= 1
        while pixel >= self._edge(origin, index + 1):
            index += 1
        return index

    def cell_at(self, x: float, y: float) -> tuple[int, int] | None:
        """(row, column) of the cell at a point of the picture, or None beside the world."""
        row = self._index(self.top, int(np.floor(y)))
        column = self._index(self.left, int(np.floor(x)))
        inside = 0 <= row < self.rows and 0 <= column < self.columns
        return (row, column) if inside else None

    def rect(self, row: int, column: int) -> tuple[int, int, int, int]:
        """(left, top, right, bottom) of a cell in whole pixels, right and bottom outside."""
        return (
            self._edge(self.left, column),
            self._edge(self.top, row),
            self._edge(self.left, column + 1),
            self._edge(self.top, row + 1),
        )

    def centre(self, row: float, column: float) -> tuple[float, float]:
        """(x, y) of the middle of a cell; fractions lie between cells."""

        def middle(origin: float, at: float) -> float:
            whole = int(np.floor(at))
            here = (self._edge(origin, whole) + self._edge(origin, whole + 1)) / 2
            if at == whole:
                return here
            following = (self._edge(origin, whole + 1) + self._edge(origin, whole + 2)) / 2
            return here + (at - whole) * (following - here)

        return middle(self.left, column), middle(self.top, row)

    def zoomed(self, factor: float, x: float, y: float) -> Layout:
        """The layout made larger by a factor, the point (x, y) staying where it is."""
        return replace(
            self, cell=self.cell * factor, left=x - (x - self.left) * factor, top=y - (y - self.top) * factor
        )

    def moved(self, dx: float, dy: float) -> Layout:
        """The layout moved by pixels."""
        return replace(self, left=self.left + dx, top=self.top + dy)


def shape_of(model: Any) -> tuple[int, int]:
    """(rows, columns) in which a model's states are drawn: its grid, or a near-square for states without one."""
    if getattr(model, "shape", None) is not None:
        rows, columns = model.shape
        return int(rows), int(columns)
    columns = int(np.ceil(np.sqrt(model.num_states)))
    return -(-int(model.num_states) // columns), columns


def layout(model: Any, width: int, height: int, margin: int = 0) -> Layout:
    """The largest layout of a world in width x height pixels, centred.

    Cells are whole pixels wide where that costs little of the space (always from 10 pixels up).
    """
    rows, columns = shape_of(model)
    cell = max(min((width - 2 * margin) / columns, (height - 2 * margin) / rows), 1e-6)
    if np.floor(cell) >= 0.9 * cell:
        cell = float(np.floor(cell))
    return Layout(
        cell=cell,
        left=float(np.floor((width - columns * cell) / 2)),
        top=float(np.floor((height - rows * cell) / 2)),
        rows=rows,
        columns=columns,
    )


# --- what a model looks like, whatever is drawn on it -----------------------------------------------------------------


@dataclass
class _Scene:
    """The parts of a model's look that no table changes."""

    shape: tuple[int, int]
    num_states: int
    wall: NDArray[np.bool_]  # [S]
    mark: NDArray[np.uint8]  # [S]: 0, or 1 + the index into glyphs.MARKS
    closed: NDArray[np.bool_]  # [S]: cells in which no action is taken (terminal, or it sends the agent on)
    start: NDArray[np.bool_]  # [S]
    directions: tuple[tuple[int, int], ...] | None  # (rows, columns) of each action; None if they have none
    ground: dict[Any, Frame] = field(default_factory=dict)


_SCENES: WeakKeyDictionary[Any, _Scene] = WeakKeyDictionary()


def _scene(model: Any) -> _Scene:
    scene = _SCENES.get(model)
    if scene is None:
        scene = _grid_scene(model) if hasattr(model, "kinds") else _mdp_scene(model)
        _SCENES[model] = scene
    return scene


def _grid_scene(model: Any) -> _Scene:
    tiles = model.tiles.ravel()
    names = {name: k + 1 for k, name in enumerate(glyphs.MARKS)}
    marks = [names.get(kind.glyph, names["end"] if kind.terminal and not kind.wall else 0) for kind in model.kinds]
    closed = [kind.wall or kind.terminal or kind.enter_to is not None for kind in model.kinds]
    wall = np.array([kind.wall for kind in model.kinds])[tiles]
    mark = np.array(marks, np.uint8)[tiles]
    few = model.start_states.size <= max(4, model.num_states // 8)
    start = np.zeros(model.num_states, np.bool_)
    if few:
        start[model.start_states] = True
    mark[(mark == 0) & start] = names["start"]
    if not few:
        mark[mark == names["start"]] = 0
    return _Scene(
        shape=shape_of(model),
        num_states=model.num_states,
        wall=wall,
        mark=mark,
        closed=np.array(closed)[tiles],
        start=start,
        directions=tuple(MOVES[name] for name in model.actions),
    )


def _mdp_scene(model: Any) -> _Scene:
    """An explicit MDP says nothing of walls and goals: they are read off its outcomes.

    A state that ends the episode is a goal if no other such state is entered with a larger reward, else a pit; one
    that nothing leads to is a wall. Actions have directions if the states are a grid and each moves one way.
    """
    absorbing = np.asarray(model.absorbing)
    mark = np.zeros(model.num_states, np.uint8)
    owner = np.repeat(np.arange(model.num_states), np.diff(model.offsets[:: model.num_actions]))
    entering = absorbing[model.next_state] & (owner != model.next_state) & (model.probability > 0)
    best = np.full(model.num_states, -np.inf)
    np.maximum.at(best, model.next_state[entering], model.reward[entering])
    entered = absorbing & np.isfinite(best)
    if entered.any():
        mark[entered] = np.where(best[entered] >= best[entered].max(), _GOAL, _PIT)
    start = np.zeros(model.num_states, np.bool_)
    if model.start_states.size <= max(4, model.num_states // 8):
        start[model.start_states] = True
        mark[start & (mark == 0)] = glyphs.MARKS.index("start") + 1
    return _Scene(
        shape=shape_of(model),
        num_states=model.num_states,
        wall=absorbing & ~entered & (model.start == 0),
        mark=mark,
        closed=absorbing,
        start=start,
        directions=_directions_of(model, owner),
    )


def _directions_of(model: Any, owner: NDArray[np.int64]) -> tuple[tuple[int, int], ...] | None:
    """The move that each action of a grid-shaped MDP most often makes, if those are different neighbours."""
    if model.shape is None:
        return None
    width = model.shape[1]
    pair = np.repeat(np.arange(model.offsets.size - 1), np.diff(model.offsets))
    moves = (model.next_state != owner) & ~np.asarray(model.absorbing)[owner]
    found: list[tuple[int, int]] = []
    for action in range(model.num_actions):
        chosen = moves & (pair % model.num_actions == action)
        rows = model.next_state[chosen] // width - owner[chosen] // width
        columns = model.next_state[chosen] % width - owner[chosen] % width
        near = (np.abs(rows) <= 1) & (np.abs(columns) <= 1)
        weight = np.bincount((rows[near] + 1) * 3 + columns[near] + 1, model.probability[chosen][near], minlength=9)
        row, column = divmod(int(weight.argmax()), 3)
        found.append((row - 1, column - 1) if weight.any() else (0, 0))
    return tuple(found) if len(set(found)) == len(found) else None


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


def scale_of(model: Any, values: ArrayLike) -> tuple[float, float]:
    """(lo, hi) of the finite values of the cells that are coloured by them, for [S] or [S, A]; (0, 0) if none is.

    Cells that end an episode and walls are left out: they are drawn as what they are.
    """
    scene = _scene(model)
    table = np.asarray(values, np.float64)
    shown = table[~scene.wall & ~scene.closed]
    shown = shown[np.isfinite(shown)]
    return (float(shown.min()), float(shown.max())) if shown.size else (0.0, 0.0)


def _greedy(policy: NDArray[Any], num_actions: int) -> NDArray[np.bool_]:
    """bool [n, A] of the actions to show, from int [n] (-1: none), bool [n, A] or probabilities [n, A]."""
    if policy.ndim == 1:
        return policy[:, None] == np.arange(num_actions)
    if policy.dtype == np.bool_:
        flags: NDArray[np.bool_] = policy
        return flags
    best = policy.max(axis=1, keepdims=True)
    result: NDArray[np.bool_] = (policy >= best) & (policy > 0)
    return result


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
        policy=_table(policy, "policy", (S,), (S, A)),
        q_values=_table(q_values, "q_values", (S, A)),
        visits=_table(visits, "visits", (S,)),
        flash=_table(flash, "flash", (S,)),
        scale=scale,
        layer=_choose_layer(layer, values, q_values, visits),
    )
    width, height, view = _frame_size(model, cell_size, size, view)
    scene = _scene(model)
    for name, state in (("agent", agent), ("selected", selected)):
        if isinstance(state, int | np.integer) and not 0 <= state < S:
            raise ValueError(f"{name} = {state} is not one of the states 0 to {S - 1}")

    frame = _ground(scene, view, width, height, theme)
    rows, columns = (
        _visible(view.top, view.cell, view.rows, height),
        _visible(view.left, view.cell, view.columns, width),
    )
    if rows[0] < rows[1] and columns[0] < columns[1]:
        if view.cell < _FLAT:
            _flat(frame, model, scene, tables, view, theme)
        else:
            _tiled(frame, model, scene, tables, view, rows, columns, theme)
    if path is not None and len(path):
        _trail(frame, view, np.asarray(path, np.int64), theme.accent)
    if selected is not None:
        _outline(frame, view.rect(*divmod(int(selected), view.columns)), theme.second)
    if agent is not None:
        where = divmod(int(agent), view.columns) if isinstance(agent, int | np.integer) else agent
        _agent(frame, view, where, theme)
    return frame


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


def _visible(origin: float, cell: float, count: int, pixels: int) -> tuple[int, int]:
    """The half-open range of rows (or columns) of which something can be seen."""
    first = int(np.floor(-origin / cell)) - 1
    last = int(np.ceil((pixels - origin) / cell)) + 1
    return max(0, min(first, count)), max(0, min(last, count))


def _pixel_cells(origin: float, cell: float, count: int, pixels: int) -> tuple[slice, NDArray[np.int64]]:
    """Which pixels of a line show the world, and the row (or column) under the middle of each."""
    index = np.floor((np.arange(pixels) + 0.5 - origin) / cell).astype(np.int64)
    first, last = np.searchsorted(index, [0, count])
    return slice(int(first), int(last)), index[first:last]


def _ground(scene: _Scene, view: Layout, width: int, height: int, theme: Theme) -> Frame:
    """The background and the walls with their hatch; kept from frame to frame, since only looking around changes it."""
    key = (view, width, height, theme)
    kept = scene.ground.get(key)
    if kept is None:
        kept = np.empty((height, width, 3), np.uint8)
        kept[:] = theme.background
        if scene.wall.any() and view.cell >= 1:
            ys, rows = _pixel_cells(view.top, view.cell, view.rows, height)
            xs, columns = _pixel_cells(view.left, view.cell, view.columns, width)
            states = rows[:, None] * view.columns + columns
            if scene.num_states < view.rows * view.columns:
                states = np.minimum(states, scene.num_states - 1)
            walls = scene.wall[states]
            hatched = _hatch(view, ys, xs, theme) if view.cell >= _FLAT else np.array(theme.wall, np.uint8)
            np.copyto(kept[ys, xs], hatched, where=walls[:, :, None])
        scene.ground.clear()
        scene.ground[key] = kept
    return kept.copy()


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


def _colours(model: Any, scene: _Scene, tables: _Tables, states: NDArray[np.int64], theme: Theme) -> Frame:
    """uint8 [n, 3]: the colour of each of the states."""
    marks = scene.mark[states]
    closed = scene.closed[states]
    fixed = {"goal": theme.goal, "pit": theme.harm, "end": theme.raised}
    if tables.layer is None:
        fixed |= {"ice": theme.ice, "reward": theme.accent}
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


def _flat(frame: Frame, model: Any, scene: _Scene, tables: _Tables, view: Layout, theme: Theme) -> None:
    """Cells of a few pixels or less: one colour each."""
    height, width = frame.shape[:2]
    ys, rows = _pixel_cells(view.top, view.cell, view.rows, height)
    xs, columns = _pixel_cells(view.left, view.cell, view.columns, width)
    # Colour each cell that is hit once, and spread the colours over the pixels.
    some_rows, to_row = np.unique(rows, return_inverse=True)
    some_columns, to_column = np.unique(columns, return_inverse=True)
    states = (some_rows[:, None] * view.columns + some_columns).ravel()
    present = states < scene.num_states
    states = np.minimum(states, scene.num_states - 1)
    colours = _colours(model, scene, tables, states, theme)
    colours[scene.wall[states]] = theme.wall
    colours[~present] = theme.background
    grid = colours.reshape(some_rows.size, some_columns.size, 3)
    frame[ys, xs] = grid[to_row][:, to_column]


def _tiled(
    frame: Frame,
    model: Any,
    scene: _Scene,
    tables: _Tables,
    view: Layout,
    rows: tuple[int, int],
    columns: tuple[int, int],
    theme: Theme,
) -> None:
    """Cells of 4 pixels and more: a tile each."""
    s = int(np.ceil(view.cell - 1e-9))
    grid = np.arange(*rows)[:, None] * view.columns + np.arange(*columns)
    present = (grid < scene.num_states) & ~scene.wall[np.minimum(grid, scene.num_states - 1)]
    r, c = np.nonzero(present)
    states = grid[r, c]
    colours = _colours(model, scene, tables, states, theme)
    height, width = frame.shape[:2]
    left, top, _, _ = view.rect(rows[0], columns[0])
    whole = view.cell == s
    if whole and left >= 0 and top >= 0 and left + s * grid.shape[1] <= width and top + s * grid.shape[0] <= height:
        canvas = frame[top : top + s * grid.shape[0], left : left + s * grid.shape[1]]
        canvas = canvas.reshape(grid.shape[0], s, grid.shape[1], s, 3)
        assert np.shares_memory(canvas, frame)
        _paint(canvas, r, c, states, colours, scene, tables, model, theme)
        return
    canvas = np.empty((grid.shape[0], s, grid.shape[1], s, 3), np.uint8)
    _paint(canvas, r, c, states, colours, scene, tables, model, theme)
    ys, from_y = _squeezed(view.top, view.cell, s, rows, height)
    xs, from_x = _squeezed(view.left, view.cell, s, columns, width)
    tiles = canvas.reshape(grid.shape[0] * s, grid.shape[1] * s, 3)
    cut = tiles[from_y][:, from_x]
    shown = present[from_y // s][:, from_x // s]
    np.copyto(frame[ys, xs], cut, where=shown[:, :, None])


def _squeezed(
    origin: float, cell: float, s: int, span: tuple[int, int], pixels: int
) -> tuple[slice, NDArray[np.int64]]:
    """For each pixel of a line that shows the cells of a span, its place in a row of tiles of s pixels.

    Where a cell is a pixel smaller than its tile, the pixel that is dropped lies between the rim and the glyph.
    """
    edges = np.ceil(origin + np.arange(span[0], span[1] + 1) * cell - 0.5).astype(np.int64)
    sizes = np.diff(edges)
    cells = np.repeat(np.arange(sizes.size), sizes)
    inside = np.arange(edges[-1] - edges[0]) - (edges[:-1] - edges[0])[cells]
    drop = max(1, s // 8)
    place = cells * s + inside + ((sizes[cells] < s) & (inside >= drop))
    first, last = max(0, -int(edges[0])), min(int(edges[-1]), pixels) - int(edges[0])
    return slice(int(edges[0]) + first, int(edges[0]) + last), place[first:last]


def _paint(
    canvas: Frame,
    r: NDArray[np.int64],
    c: NDArray[np.int64],
    states: NDArray[np.int64],
    colours: Frame,
    scene: _Scene,
    tables: _Tables,
    model: Any,
    theme: Theme,
) -> None:
    """Write the tiles of the states into canvas [rows, s, columns, s, 3], group by group of equal glyphs."""
    s = canvas.shape[1]
    A = int(model.num_actions)
    closed = scene.closed[states]
    greedy = None
    if tables.policy is not None:
        greedy = _greedy(tables.policy[states], A)
    wedged = ~closed & (tables.layer == "q_values") & (s >= _WEDGES)
    order: list[NDArray[np.int64]] = []
    tiles = np.empty((states.size, s * s * 3), np.float32)
    done = 0
    if wedged.any():
        chosen = np.flatnonzero(wedged)
        tiles[: chosen.size] = _wedge_tiles(chosen, states, greedy, scene, tables, model, s, theme)
        order.append(chosen)
        done = chosen.size
    plain = np.flatnonzero(~wedged)
    inks = ink_on(colours)
    for members, ink in _groups(plain, states, closed, greedy, scene, s, A):
        both = np.concatenate([colours[members], inks[members]], axis=1)
        weights = np.stack([glyphs.cell(s) * (1 - ink), glyphs.cell(s) * ink])
        tiles[done : done + members.size] = _mix(both, weights, theme.gap)
        order.append(members)
        done += members.size
    at = np.concatenate(order) if order else np.zeros(0, np.int64)
    canvas[r[at], :, c[at]] = tiles.reshape(-1, s, s, 3).astype(np.uint8)


def _mix(colours: NDArray[Any], weights: glyphs.Mask, gap: RGB) -> NDArray[np.float32]:
    """float32 [n, s * s * 3]: k colours [n, k * 3] by weights [k, s, s]; the gap's colour takes what is left of 1."""
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
    result: NDArray[np.float32] = left @ spread.reshape(k * 3 + 1, s * s * 3)
    return result


def _groups(
    plain: NDArray[np.int64],
    states: NDArray[np.int64],
    closed: NDArray[np.bool_],
    greedy: NDArray[np.bool_] | None,
    scene: _Scene,
    s: int,
    A: int,
) -> list[tuple[NDArray[np.int64], glyphs.Mask]]:
    """The cells that carry the same glyphs, with the mask of the ink."""
    marks = scene.mark[states[plain]].astype(np.int64)
    arrowed = np.zeros(plain.size, np.bool_) if greedy is None or s < _ARROWS else ~closed[plain]
    if s < 6:
        marks[:] = 0
    keys = marks
    sets: NDArray[np.bool_] = np.zeros((1, A), np.bool_)
    if greedy is not None and arrowed.any():
        if A <= 32:
            bits = greedy[plain] @ (np.int64(1) << np.arange(A))
            codes, which = np.unique(bits, return_inverse=True)
            sets = (codes[:, None] >> np.arange(A)) & 1 == 1
        else:
            sets, which = np.unique(greedy[plain], axis=0, return_inverse=True)
        keys = marks + 16 * np.where(arrowed, 1 + which.ravel(), 0)
    found, which = np.unique(keys, return_inverse=True)
    order = np.argsort(which, kind="stable")
    ends = np.cumsum(np.bincount(which, minlength=found.size))
    groups = []
    for n, key in enumerate(found.tolist()):
        members = plain[order[ends[n - 1] if n else 0 : ends[n]]]
        mark, arrow = key % 16, key // 16
        ink = np.zeros((s, s), np.float32)
        if arrow:
            actions = tuple(np.flatnonzero(sets[arrow - 1]).tolist())
            if not actions:
                ink = glyphs.dot(s)
            elif scene.directions is None:
                ink = glyphs.numbers(s, actions)
            else:
                ink = glyphs.arrows(s, tuple(scene.directions[a] for a in actions))
        if mark:
            ink = np.maximum(ink, glyphs.mark(s, glyphs.MARKS[mark - 1], corner=bool(arrow)))
        groups.append((members, ink))
    return groups


def _wedge_tiles(
    chosen: NDArray[np.int64],
    states: NDArray[np.int64],
    greedy: NDArray[np.bool_] | None,
    scene: _Scene,
    tables: _Tables,
    model: Any,
    s: int,
    theme: Theme,
) -> NDArray[np.float32]:
    """Cells as one wedge (or bar) an action, the greedy ones marked."""
    assert tables.q_values is not None
    q = tables.q_values[states[chosen]]
    n, A = q.shape
    colours = colormap(q, *_scale(model, tables), theme)
    if scene.directions is None:
        parts, marks = glyphs.bars(s, A), glyphs.bars(s, A) * 0
    else:
        parts, marks = glyphs.wedges(s, scene.directions), glyphs.wedge_marks(s, scene.directions)
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
    at: NDArray[np.float64] = np.arange(count) + 0.5
    return x0, y0, (at + x0 - x)[None, :], (at + y0 - y)[:, None]


def _agent(frame: Frame, view: Layout, where: tuple[float, float], theme: Theme) -> None:
    """The agent: a disc with a ring that sets it off from any cell."""
    x, y = view.centre(*where)
    radius = max(0.24 * view.cell, 2.5)
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


def _trail(frame: Frame, view: Layout, path: NDArray[np.int64], colour: RGB) -> None:
    """Lines between the cells that were visited one after the other; a jump across the grid leaves a gap."""
    height, width = frame.shape[:2]
    half = min(max(0.0375 * view.cell, 0.75), 4.0)
    row, column = np.divmod(path, view.columns)
    joined = (np.maximum(np.abs(np.diff(row)), np.abs(np.diff(column))) <= 3) & (np.diff(path) != 0)
    steps = np.stack([path[:-1], path[1:]], axis=1)[joined]
    lines = np.unique(np.sort(steps, axis=1), axis=0)
    if not len(lines):
        return
    weight = np.zeros((height, width), np.float32)
    for a, b in lines.tolist():
        (ax, ay), (bx, by) = (view.centre(*divmod(state, view.columns)) for state in (a, b))
        left, right = int(np.floor(min(ax, bx) - half - 1)), int(np.ceil(max(ax, bx) + half + 1))
        top, bottom = int(np.floor(min(ay, by) - half - 1)), int(np.ceil(max(ay, by) + half + 1))
        left, top, right, bottom = max(left, 0), max(top, 0), min(right, width), min(bottom, height)
        if left >= right or top >= bottom:
            continue
        x = (np.arange(left, right) + 0.5)[None, :]
        y = (np.arange(top, bottom) + 0.5)[:, None]
        mask = glyphs.coverage(glyphs.segment(x, y, (ax, ay), (bx, by), half))
        part = weight[top:bottom, left:right]
        np.maximum(part, mask, out=part)
    _blend(frame, 0, 0, weight * np.float32(0.8), colour)
