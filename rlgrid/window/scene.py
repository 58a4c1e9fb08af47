"""The scene: state and size in, picture out.

The window is five regions (bar, left, map, right, bottom) and what lies over them. Each region is painted on a
surface of its own and kept for as long as nothing that it shows has changed, so a frame costs what changed in it,
and the screen is told which parts those are.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import pygame

from rlgrid.layout import state_at
from rlgrid.picture import Layout
from rlgrid.theme import THEMES
from rlgrid.window import (
    bar,
    driving,
    inspector,
    mapview,
    overlays,
    palette,
    plots,
    raceview,
    scaling,
    shapes,
    side,
    teaching,
)
from rlgrid.window.planned import LARGE
from rlgrid.window.state import Same, State
from rlgrid.window.widgets import Canvas, Control

LINE = 10  # pixels between the middles of controls that stand in one line, at most
SMALLEST = (640, 480)
WALKED = 12  # right panels that are kept of the places that the walker comes through


@dataclass(frozen=True)
class Regions:
    """Where the regions lie; absent ones have no size."""

    bar: pygame.Rect
    left: pygame.Rect
    map: pygame.Rect
    right: pygame.Rect
    bottom: pygame.Rect

    def all(self) -> dict[str, pygame.Rect]:
        """Those that are there, by name."""
        named = {"bar": self.bar, "left": self.left, "map": self.map, "right": self.right, "bottom": self.bottom}
        return {name: rect for name, rect in named.items() if rect.width and rect.height}


def arrange(size: tuple[int, int], drawer: str = "") -> Regions:
    """The regions of a window of this size. Below 1000 pixels the side panels are drawers, one open at most."""
    width, height = size
    top = bar.height(width)
    foot = plots.height(height)
    body = height - top - foot
    nothing = pygame.Rect(0, 0, 0, 0)
    head = pygame.Rect(0, 0, width, top)
    if width >= bar.DRAWERS:
        left = pygame.Rect(0, top, side.WIDTH, height - top)
        rest = width - side.WIDTH
        right = pygame.Rect(width - inspector.WIDTH, top, inspector.WIDTH, body)
        middle = pygame.Rect(side.WIDTH, top, rest - inspector.WIDTH, body)
        return Regions(head, left, middle, right, pygame.Rect(side.WIDTH, height - foot, rest, foot))
    bottom = pygame.Rect(0, height - foot, width, foot)
    if drawer == "left":
        left = pygame.Rect(0, top, side.WIDTH, body)
        return Regions(head, left, pygame.Rect(side.WIDTH, top, width - side.WIDTH, body), nothing, bottom)
    if drawer == "right":
        wide = min(inspector.WIDTH, width // 2)
        right = pygame.Rect(width - wide, top, wide, body)
        return Regions(head, nothing, pygame.Rect(0, top, width - wide, body), right, bottom)
    return Regions(head, nothing, pygame.Rect(0, top, width, body), nothing, bottom)


def _whole(region: pygame.Rect, scale: float) -> pygame.Rect:
    """A region in pixels of the window."""
    with scaling.within(scale):
        return scaling.rect(region)


def _in_lesson(state: State) -> bool:
    """Whether a lesson has the right panel; a pinned cell takes its place."""
    return state.pinned is None and teaching.present(state) is not None


def _paint_right(canvas: Canvas, state: State) -> None:
    (teaching if _in_lesson(state) else inspector).paint(canvas, state)


def _right_key(state: State) -> object:
    return ("lesson", state.lesson) if _in_lesson(state) else inspector.key(state)


_PAINTERS: dict[str, tuple[Callable[[Canvas, State], None], Callable[[State], object]]] = {
    "bar": (bar.paint, bar.key),
    "left": (side.paint, side.key),
    "right": (_paint_right, _right_key),
    "bottom": (plots.paint, plots.key),
}


class Scene:
    """Draws states, and remembers where the controls and the texts of the last one lie."""

    def __init__(self) -> None:
        self._surface: pygame.Surface | None = None
        self._kept: dict[str, tuple[object, Canvas]] = {}
        self._walked: deque[tuple[object, Canvas]] = deque(maxlen=WALKED)  # the right panel, newest last
        self._walked_in: object = None  # the tables that it was drawn from
        self._cells: tuple[object, pygame.Surface] | None = None
        self._minimap: tuple[tuple[tuple[int, int], tuple[object, ...]], pygame.Surface] | None = None
        self._owes = False  # the minimap is still that of the snapshot before
        self._race = raceview.RaceView()
        self._last: tuple[object, object] = (None, None)  # what the overlays and the map were drawn from
        self._walker_at: tuple[float, float] | None = None  # where it was drawn last
        self._under: tuple[pygame.Surface, pygame.Rect] | None = None  # what the walker covers, and where
        self._alive: object = None  # the model, which keys name by its id: held so that no other gets it
        self._layout: Layout | None = None
        self._state: State | None = None  # what was drawn last
        self.changed: list[pygame.Rect] = []  # the parts of the picture that the last call drew
        self.controls: list[Control] = []
        self.texts: list[tuple[str, pygame.Rect]] = []
        self.regions = arrange((1280, 800))
        self.scale = 1.0  # of the last picture
        self.map_place = pygame.Rect(0, 0, 0, 0)
        self.ready: Callable[[], bool] = lambda: True  # whether the map can be drawn without waiting
        self.in_turns = False  # the minimap of a large world is drawn one frame after its map, not in the same

    def render(self, state: State, size: tuple[int, int], hovered: str | None = None) -> pygame.Surface:
        """The picture of a state. The surface is the scene's own; `changed` says which parts of it are new."""
        self.scale = scaling.fitting(state.scale, size, SMALLEST)
        with scaling.within(self.scale):
            return self._render(state, size, hovered)

    def _render(self, state: State, size: tuple[int, int], hovered: str | None) -> pygame.Surface:
        regions = arrange(self.layout_size(size), state.drawer)
        strip = driving.strip(state, regions.map)
        regions.map.height -= strip.height
        menu = state.menu
        over = (
            size,
            self.scale,
            state.theme,
            state.drawer,
            state.help,
            state.error,
            menu and (menu.name, menu.lit, menu.typed, len(menu.entries)),
            state.ring,
            hovered if state.help or state.error or menu else None,
            state.tip,
        )
        everything = self._surface is None or over != self._last[0] or bool(menu) or state.help
        everything = everything or bool(state.tip or state.ring)
        tables = (state.stamp, Same(state.model), size, state.lane)
        if self._walked_in != tables:
            self._walked_in = tables
            self._walked.clear()
        if self._surface is None or self._surface.get_size() != size:
            self._surface = pygame.Surface(size)
        surface = self._surface
        if everything:
            surface.fill(THEMES[state.theme].background)
        self.regions, self.controls, self.texts, self.changed = regions, [], [], []
        on_map = self._paint_map(surface, state, regions.map, hovered, everything)
        for name, rect in regions.all().items():
            if name in _PAINTERS:
                paint, key = _PAINTERS[name]
                self.place_region(surface, name, rect, state, hovered, paint, key(state), everything)
        if strip.height:
            depends = driving.key(state)
            self.place_region(
                surface, "strip", strip, state, hovered, driving.paint, depends, everything or on_map != self._last[1]
            )
        if everything:
            self._paint_overlays(surface, state, hovered)
            self.changed = [surface.get_rect()]
        elif state.error:
            self._paint_overlays(surface, state, hovered)
        self._alive, self._state = state.model, state
        self._last = (over, on_map)
        return surface

    def place_region(
        self,
        surface: pygame.Surface,
        name: str,
        rect: pygame.Rect,
        state: State,
        hovered: str | None,
        paint: Callable[[Canvas, State], None],
        depends: object,
        again: bool,
    ) -> None:
        """Blit a region, painted anew only if something that it depends on has changed."""
        old = self._kept.get(name)
        inside = hovered if old is None or any(c.name in (hovered, old[1].hovered) for c in old[1].controls) else None
        key = (tuple(rect), self.scale, state.theme, inside, depends)
        drawn = scaling.rect(rect)
        if old is not None and old[0] != key and name == "right":
            old = next((one for one in self._walked if one[0] == key), None)
            again = again or old is not None
        if old is None or old[0] != key:
            canvas = Canvas(pygame.Surface(drawn.size), THEMES[state.theme], rect.left, rect.top, hovered=inside)
            canvas.surface.fill(canvas.theme.background)
            paint(canvas, state)
            old = (key, canvas)
            again = True
            if name == "right":
                self._walked.append(old)
        self._kept[name] = old
        if again:
            surface.blit(old[1].surface, drawn)
            self.changed.append(drawn)
        self.controls += old[1].controls
        self.texts += old[1].texts

    def _paint_map(
        self, surface: pygame.Surface, state: State, region: pygame.Rect, hovered: str | None, again: bool
    ) -> object:
        """The map, its legend and the words over it; what it was drawn from."""
        ready = self.ready()
        on_map = (
            tuple(region),
            self.scale,
            state.view,
            mapview.cells_key(state),
            state.snapshot.trail,
            state.behind,
            state.pinned,
            state.hover,
            state.lit,
            state.doing,
            state.notice,
            state.error,
            ready,
            state.mode,
            state.cursor,
            state.stroke,
            state.lesson,
            self._race.key(state) if state.lanes else None,
        )
        glided, at = on_map == self._last[1] and state.walker_at != self._walker_at, state.walker_at
        self._walker_at = at
        theme = THEMES[state.theme]
        again = again or on_map != self._last[1] or (glided and self._under is None) or self._owes
        if again:
            self._under = None
            surface.fill(theme.background, scaling.rect(region))
            self.changed.append(scaling.rect(region))
        legend = mapview.has_legend(region)
        if state.model is None:
            self._layout = None
            if again:
                self._paint_frame(surface, state, region)
        elif not ready:
            self._layout = None
        elif state.lanes:
            self._race.paint(self, surface, state, region, again, hovered)
            chosen = self._race.spots[state.lane]
            self.map_place, self._layout = chosen.place, chosen.view
        else:
            place, view = mapview.view_of(state, region)
            self.map_place, self._layout = place, view
            drawn, seen = scaling.rect(place), view.zoomed(self.scale, 0.0, 0.0)
            key = (drawn.size, seen, mapview.cells_key(state))
            with scaling.within(1.0, self.scale):  # the map is drawn in pixels of the window
                if self._cells is None or self._cells[0] != key:
                    self._cells = (key, mapview.cells(state, drawn.size, seen))
                surface.set_clip(_whole(region, self.scale) if state.view.fits else drawn)
                if glided and self._under is not None and not again:
                    surface.blit(*self._under)
                    self.changed.append(self._under[1])
                    self._paint_walker(surface, state, drawn, seen)
                    self.changed += [] if self._under is None else [self._under[1]]
                if again:
                    surface.blit(self._cells[1], drawn)
                    mapview.overlay(surface, state, drawn, seen, theme)
                    self._paint_walker(surface, state, drawn, seen)
                    palette.paint_marks(surface, state, drawn, seen, theme)
                    teaching.paint_marks(surface, state, drawn, seen, theme)
                surface.set_clip(None)
            if state.view.fits:
                self._owes = False
            else:
                self._paint_minimap(surface, state, place, region, again)
            if legend:
                spot = mapview.legend_place(state, place, region)
                depends = (mapview.cells_key(state), state.snapshot.converged)
                self.place_region(surface, "legend", spot, state, hovered, mapview.paint_legend, depends, again)
        if again:
            canvas = Canvas(surface, theme)
            doing = state.doing or ("" if ready else "preparing to draw the world")
            if doing and not state.error:
                overlays.paint_doing(canvas, doing, region)
            if state.notice:
                overlays.paint_notice(canvas, state.notice, region)
        return on_map

    def _paint_walker(self, surface: pygame.Surface, state: State, drawn: pygame.Rect, seen: Layout) -> None:
        """The walker; what it covers is kept where nothing lies over it, so that it alone is drawn while it glides."""
        area = mapview.walker_area(state, drawn, seen).clip(surface.get_clip())
        covered = (
            not state.view.fits
            or bool(state.doing or state.notice or state.error or teaching.marks(state))
            or state.mode == "paint"
        )
        self._under = None if covered or not area else (surface.subsurface(area).copy(), area)
        mapview.walker(surface, state, drawn, seen, THEMES[state.theme])

    def _paint_minimap(
        self, surface: pygame.Surface, state: State, place: pygame.Rect, region: pygame.Rect, again: bool
    ) -> None:
        """The whole world, small, a control of its own."""
        spot = mapview.minimap_place(state.model, place, region)
        drawn, on = scaling.rect(spot), scaling.rect(place)
        key = (drawn.size, mapview.cells_key(state))
        kept = self._minimap
        assert self._layout is not None
        with scaling.within(1.0, self.scale):
            if kept is None or kept[0] != key:
                newer = kept is not None and (kept[0][0], kept[0][1][1:]) == (key[0], key[1][1:])  # but for the stamp
                self._owes = newer and self.in_turns and not self._owes and state.model.num_states > LARGE
                if not self._owes:
                    self._minimap = kept = (key, mapview.minimap(state, drawn.size))
            assert kept is not None
            if again:
                seen = self._layout.zoomed(self.scale, 0.0, 0.0)
                mapview.paint_minimap(surface, state, drawn, kept[1], on, seen)
        self.controls.append(Control("minimap", spot, "minimap", "where this is: click or drag to go there"))

    def _paint_frame(self, surface: pygame.Surface, state: State, region: pygame.Rect) -> None:
        """The picture that a foreign environment draws of itself."""
        self.map_place = pygame.Rect(region.center, (0, 0))
        frame = state.snapshot.frame
        if frame is None:
            return
        region = scaling.rect(region)
        high, wide = frame.shape[:2]
        factor = min((region.width - 32) / wide, (region.height - 32) / high)
        picture = pygame.image.frombuffer(frame.tobytes(), (wide, high), "RGB")
        shown = pygame.transform.smoothscale(picture, (max(1, round(wide * factor)), max(1, round(high * factor))))
        surface.blit(shown, shown.get_rect(center=region.center))

    def _paint_overlays(self, surface: pygame.Surface, state: State, hovered: str | None) -> None:
        canvas = Canvas(surface, THEMES[state.theme], hovered=hovered)
        if state.error:
            remedy = "Map and numbers are kept. Another agent: A. A stroke back: Ctrl Z."
            if state.watched:
                remedy = "Map and numbers are kept. The terminal has the traceback."
            overlays.paint_error(canvas, state.error, self.regions.map, remedy)
        if state.menu is not None:
            anchor = next((c.rect for c in self.controls if c.name == state.menu.name), pygame.Rect(88, 9, 168, 30))
            overlays.paint_menu(canvas, state.menu, anchor)
        if state.help:
            canvas.controls, canvas.texts = [], []
            overlays.paint_help(canvas)
            self.controls, self.texts = [], []
        elif state.tip is not None:
            tips = Canvas(surface, canvas.theme)  # words that lie over others for a moment
            overlays.paint_tip(tips, *state.tip)
        ring = next((c for c in (*canvas.controls, *self.controls) if c.name == state.ring), None)
        if ring is not None:
            shapes.frame(surface, ring.rect.inflate(4, 4), THEMES[state.theme].second, 8, 2.0)
        # What lies on top answers first.
        self.controls = canvas.controls + self.controls
        self.texts += canvas.texts

    def layout_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """The size of a window in pixels of the layout."""
        return round(size[0] / self.scale), round(size[1] / self.scale)

    def control_at(self, x: int, y: int) -> Control | None:
        """The control under a point."""
        return next((control for control in self.controls if control.rect.collidepoint(x, y)), None)

    def in_order(self) -> list[Control]:
        """The controls as they are read: what lies on top first, then region by region, line by line."""
        if self._state is not None and self._state.menu is not None:
            return self.controls
        regions = [self.regions.bar, self.regions.left, self.regions.map, self.regions.right, self.regions.bottom]

        def region(control: Control) -> int:
            return next((n for n, one in enumerate(regions) if one.collidepoint(control.rect.center)), len(regions))

        found: list[Control] = []
        waiting = sorted(self.controls, key=lambda control: (region(control), control.rect.centery))
        while waiting:
            first = waiting[0]
            line = [c for c in waiting if region(c) == region(first) and c.rect.centery - first.rect.centery <= LINE]
            found += sorted(line, key=lambda control: control.rect.left)
            waiting = waiting[len(line) :]
        return found

    def spot_at(self, x: int, y: int) -> tuple[int, int] | None:
        """The (row, column) of the picture of the world under a point, or None."""
        if self._layout is None or self._state is None or not self.regions.map.collidepoint(x, y):
            return None
        if self._state.lanes:
            lane = self.lane_at(x, y)
            if lane is None:
                return None
            place, view = self._race.spots[lane].place, self._race.spots[lane].view
        else:
            place, view = mapview.view_of(self._state, self.regions.map)  # which may have changed since it was drawn
        return view.cell_at(x - place.left, y - place.top) if place.collidepoint(x, y) else None

    def lane_at(self, x: int, y: int) -> int | None:
        """The lane of a race whose map lies under a point."""
        return self._race.at((x, y)) if self._state is not None and self._state.lanes else None

    def area_at(self, point: tuple[int, int] | None) -> tuple[pygame.Rect, bool]:
        """The region that the map under a point is laid out in, and whether a legend lies in it too."""
        state, spots = self._state, self._race.spots
        if state is None or not state.lanes or not spots:
            return self.regions.map, mapview.has_legend(self.regions.map)
        lane = None if point is None else self.lane_at(*point)
        lane = state.lane if lane is None else lane
        return spots[min(lane, len(spots) - 1)].area, False  # one that has just joined is not laid out yet

    def cell_at(self, x: int, y: int, state: State) -> int | None:
        """The state under a point of the map, or None."""
        cell = self.spot_at(x, y)
        return None if cell is None or state.model is None else state_at(state.model, *cell)
