"""The map of the window: layers against slow oracles, views that find the right cell, ghosts of policies."""

from __future__ import annotations

import os

os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")

import itertools
import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pygame
import pytest

from rlgrid.kernels import map_tables
from rlgrid.layout import cell_of
from rlgrid.theme import luminance
from rlgrid.window import inspector, layers, mapview, view
from rlgrid.window.app import App
from rlgrid.window.engine import Engine
from rlgrid.window.layers import coloured
from rlgrid.window.local import LocalLink
from rlgrid.window.planned import Planned
from rlgrid.window.scenario import Scenario
from rlgrid.window.scene import Scene
from rlgrid.window.state import Snapshot, State
from rlgrid.window.view import View


class World:
    """As much of a model as a layout asks for."""

    sheet = None

    def __init__(self, rows: int, columns: int) -> None:
        self.shape = (rows, columns)
        self.num_states = rows * columns


@pytest.fixture(scope="module", autouse=True)
def _display():
    pygame.display.init()
    yield
    pygame.display.quit()


def an_app(world="FourRooms-v0", agent="value_iteration", seconds=2.0, size=(1280, 800), **settings):
    link = LocalLink()
    app = App(link, size, clock=link.clock, **settings)
    app.open(world, agent)
    run(app, seconds)
    return app


def run(app, seconds, step=0.1):
    for _ in range(round(seconds / step)):
        app.link.pass_time(step)
        app.update()
        app.update()
    return app.draw()


def send(app, kind, **rest):
    app.handle(pygame.event.Event(kind, **rest))


def point(app, at):
    send(app, pygame.MOUSEMOTION, pos=at, rel=(0, 0), buttons=(0, 0, 0))


def test_a_gliding_walker_alone_is_drawn_and_the_picture_is_that_of_a_whole_drawing():
    app = an_app("rlgrid/FrozenLake-v1", seconds=0.0)
    app.set_speed(200.0)
    run(app, 4.0)
    parts, whole = 0, app.scene.regions.map
    for number in range(60):
        shown = run(app, 1 / 30, 1 / 30)
        areas = [part for part in app.scene.changed if whole.contains(part)]
        parts += bool(areas) and whole not in areas
        if number % 4 == 0:
            anew = Scene().render(app.state, app.size)
            assert pygame.image.tobytes(shown, "RGB") == pygame.image.tobytes(anew, "RGB")
    assert parts > 10
    app.say("words over the map")
    app.draw()
    for _ in range(20):
        run(app, 1 / 60, 1 / 60)
        assert not app.scene.changed or whole in app.scene.changed


# --- layers -----------------------------------------------------------------------------------------------------------


def test_each_key_has_its_layer():
    app = an_app(seconds=3.0)
    for number, layer in enumerate(layers.LAYERS, start=1):
        if layer.name not in ("policy", "visits", "values"):
            send(app, pygame.KEYDOWN, key=pygame.K_0 + number, mod=0)
            send(app, pygame.KEYUP, key=pygame.K_0 + number, mod=0)
            assert app.state.layer == layer.name
            assert coloured(app.state).table is not None
            app.draw()
            said = " ".join(words for words, _ in app.scene.texts)
            assert coloured(app.state).name.split(",")[0].split()[0] in said


@pytest.mark.parametrize("agent", ["value_iteration", "q_learning", "dqn", "td_prediction", "monte_carlo"])
def test_an_absent_layer_says_why_and_is_not_shown(agent):
    from rlgrid.agents import AGENTS

    if agent not in AGENTS:
        agent = next(name for name in AGENTS if name.startswith("td"))
    app = an_app("RussellNorvig4x3-v0", agent, 1.0)
    for layer in layers.LAYERS:
        if layer.name == "policy":
            continue
        app.state.layer = "values"
        app.do(f"layer:{layer.name}")
        drawn = coloured(app.state, layer.name)
        if layer.name != "values":
            assert (app.state.layer == layer.name) == (drawn.table is not None or drawn.pending)
        if drawn.table is None and not drawn.pending:
            assert drawn.reason in app.state.notice
    planner = agent == "value_iteration"
    assert (coloured(app.state, "gap").table is not None) == planner
    assert (coloured(app.state, "visits").table is None) == planner
    app.draw()


def test_the_menu_of_layers_lists_all_nine_and_why_one_is_absent():
    app = an_app("RussellNorvig4x3-v0", "q_learning", 1.0)
    app.do("more")
    words = [words for _, words in app.state.menu.entries]
    assert len(words) == 9
    assert "proves no bounds" in words[6]
    app.draw()
    app.do("entry:5")
    assert app.state.layer == "error"
    app.do("more")
    app.do("entry:6")
    assert "proves no bounds" in app.state.notice
    assert app.state.layer == "error"


def test_a_layer_that_the_next_agent_lacks_gives_way_to_the_values():
    app = an_app("RussellNorvig4x3-v0", "value_iteration", 1.0)
    app.do("layer:gap")
    app.open("RussellNorvig4x3-v0", "q_learning")
    run(app, 0.5)
    assert app.state.layer == "values"
    assert "proves no bounds" in app.state.notice


def test_tables_are_those_written_out():
    rng = np.random.default_rng(5)
    S, A = 30, 4
    q = rng.normal(size=(S, A))
    q[3, 2] = -np.inf
    q[4] = -np.inf
    previous, values, optimal = rng.normal(size=(3, S))
    greedy, best = rng.random((2, S, A)) < 0.4
    visits = rng.integers(0, 9, S)
    lower, upper = values - rng.random(S), values + rng.random(S)
    upper[7] = np.inf
    shot = Snapshot(
        3, S, values, q, greedy, previous, lower, upper, optimal=optimal, visits=visits, td_error=previous, best=best
    )
    paths = ((1, 2, 2, 3), (3, 29))
    planner = State(World(5, 6), snapshot=shot, unit="sweep", paths=paths)
    learner = State(World(5, 6), snapshot=shot, unit="step", paths=paths)
    for s in range(S):
        finite = [x for x in q[s] if np.isfinite(x)]
        assert coloured(planner, "td").table[s] == values[s] - previous[s]
        assert coloured(learner, "td").table[s] == previous[s]
        assert coloured(planner, "error").table[s] == abs(values[s] - optimal[s])
        if finite:
            assert coloured(learner, "error").table[s] == abs(max(finite) - optimal[s])
        assert coloured(planner, "gap").table[s] == upper[s] - lower[s]
        chosen = [a for a in range(A) if greedy[s, a]]
        share = coloured(planner, "disagreement").table[s]
        if chosen:
            assert share == pytest.approx(sum(not best[s, a] for a in chosen) / len(chosen))
        else:
            assert math.isnan(share)
        assert coloured(learner, "trajectories").table[s] == sum(path.count(s) for path in paths)
    in_place = State(World(5, 6), snapshot=shot, in_place=True)
    assert coloured(in_place, "td").table[0] == pytest.approx(q[0].max() - values[0])


@pytest.mark.parametrize("actions", [1, 2, 3, 5, 9])
def test_disagreement_for_any_number_of_actions(actions):
    greedy, best = np.random.default_rng(actions).random((2, 40, actions)) < 0.5
    found = map_tables.disagreement(greedy, best)
    for s in range(40):
        chosen = np.flatnonzero(greedy[s])
        assert np.isnan(found[s]) if not chosen.size else found[s] == np.mean(~best[s, chosen])


def test_layers_of_runs_agree_with_what_is_known_of_them():
    app = an_app("FourRooms-v0", "q_learning", 8.0)
    shot, shown = app.state.snapshot, app.link.engine.referee
    acted = shown.acted_in
    error = coloured(app.state, "error").table
    assert error[acted].max() == pytest.approx(shot.distance, abs=1e-9)
    wrong = coloured(app.state, "disagreement").table
    policy = app.link.engine.agent.policy
    for s in np.flatnonzero(acted & (shot.greedy.sum(axis=1) == 1)).tolist():
        assert wrong[s] == (0.0 if shot.best[s, policy[s]] else 1.0)
    assert coloured(app.state, "td").table is not None
    planner = an_app("FourRooms-v0", "value_iteration", 3.0)
    table = coloured(planner.state, "td").table
    assert np.allclose(np.abs(table), planner.state.snapshot.change)


def test_what_a_large_world_has_not_sent_is_awaited():
    from rlgrid.gridmodel import GridModel, TileKind

    model = GridModel(np.zeros((300, 300), int), [TileKind("floor")])
    state = State(model, snapshot=Snapshot(9), unit="step", speed=math.inf)
    assert coloured(state, "q").pending
    paused = State(model, snapshot=Snapshot(9), unit="step", speed=math.inf, playing=False)
    assert not coloured(paused, "q").pending
    assert coloured(paused, "q").reason


def test_scales_begin_at_zero_are_pinned_at_zero_or_fixed():
    app = an_app(seconds=2.0)
    for name, check in (
        ("error", lambda low, high: low == 0 < high),
        ("gap", lambda low, high: low == 0 < high),
        ("td", lambda low, high: low == -high < 0),
        ("disagreement", lambda low, high: (low, high) == (0.0, 1.0)),
    ):
        app.state.layer = name
        assert check(*mapview.scale_of(app.state)), name


def test_the_ways_of_episodes_are_kept_and_drawn():
    app = an_app("RussellNorvig4x3-v0", "q_learning", 0.2)
    app.set_speed(10.0)
    run(app, 20.0)
    assert 2 <= len(app.state.paths) <= 8
    for path in app.state.paths:
        for before, now in itertools.pairwise(path):
            (r0, c0), (r1, c1) = (cell_of(app.state.model, s) for s in (before, now))
            assert abs(r0 - r1) + abs(c0 - c1) <= 1
    app.do("layer:trajectories")
    drawn = app.draw().copy()
    app.state.layer = "values"
    assert pygame.image.tobytes(drawn, "RGB") != pygame.image.tobytes(app.draw(), "RGB")


# --- views ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
def test_views_find_the_cell_that_is_drawn_there(seed):
    """Zoom, pan and centre at random: each pixel's cell has its pixel, and nothing beyond the world is seen."""
    rng = np.random.default_rng(seed)
    rows, columns = (int(n) for n in rng.integers(1, 400, 2))
    world, seen = World(rows, columns), view.WHOLE
    area = pygame.Rect(204, 48, *(int(n) for n in rng.integers([420, 300], [1400, 900])))
    room = pygame.Rect(area.left + 16, area.top + 16, area.width - 32 - view.LEGEND, area.height - 29)
    for _ in range(60):
        place, where = view.placed(world, area, True, seen)
        assert area.contains(place)
        x, y = int(rng.integers(place.left, place.right)), int(rng.integers(place.top, place.bottom))
        cell = where.cell_at(x - place.left, y - place.top)
        assert cell is not None, "the map is full of cells"
        left, top, right, bottom = where.rect(*cell)
        if where.cell >= 1:
            assert left <= x - place.left < right
            assert top <= y - place.top < bottom
        kind = rng.integers(4)
        if kind == 0:
            factor = float(rng.choice([view.STEP, 1 / view.STEP, view.STEP**3]))
            before = ((y - place.top - where.top) / where.cell, (x - place.left - where.left) / where.cell)
            new = view.zoomed(world, area, True, seen, factor, (x, y))
            there, then = view.placed(world, area, True, new)
            if factor > 1 and not new.fits and (there.width, there.height) == room.size and new.zoom > seen.zoom:
                after = ((y - there.top - then.top) / then.cell, (x - there.left - then.left) / then.cell)
                at_edge = 0.0 in (then.left, then.top) or min(then.left, then.top) == -math.inf
                inside = then.left + then.width > there.width + 1e-6 and then.top + then.height > there.height + 1e-6
                if inside and not at_edge:
                    assert np.allclose(before, after, atol=1e-6), "the point stays under the pointer"
            seen = new
        elif kind == 1:
            seen = view.moved(world, area, True, seen, *(float(d) for d in rng.normal(scale=200, size=2)))
        elif kind == 2:
            seen = view.centred(world, area, True, seen, rng.uniform(0, rows), rng.uniform(0, columns))
        assert seen == view.WHOLE or seen.zoom > 1
    assert view.zoomed(world, area, True, View(2.0, rows / 2, columns / 2), 1e-6) == view.WHOLE


def test_what_is_pointed_at_is_what_is_drawn_at_every_zoom():
    app = an_app(seconds=2.0)
    app.state.arrows, app.state.flash = False, 0.0
    rng = np.random.default_rng(1)
    low, high = mapview.scale_of(app.state)
    for _ in range(25):
        at = tuple(int(n) for n in rng.integers(app.scene.map_place.topleft, app.scene.map_place.bottomright))
        point(app, at)
        send(app, pygame.MOUSEWHEEL, x=0, y=int(rng.choice([-2, -1, 1, 2, 3])), flipped=False)
        app.draw()
        hover = app.state.hover
        if hover is None or app.state.model.walls[hover]:
            continue
        place, where = app.scene.map_place, app.scene._layout
        if not mapview._seen(app.state.model, place.size, where).size or hover not in mapview._seen(
            app.state.model, place.size, where
        ):
            continue
        x0, y0, x1, y1 = where.rect(*cell_of(app.state.model, hover))
        assert x0 <= at[0] - place.left < x1
        assert y0 <= at[1] - place.top < y1
        cells = mapview.cells(app.state, place.size, where)
        spot = (min(max(0, x0 + (x1 - x0) // 3), place.width - 1), min(max(0, y0 + 4), place.height - 1))
        if where.cell >= 20 and x0 <= spot[0] < x1 and y0 + 2 <= spot[1] < y1:
            from rlgrid.theme import colormap

            expected = colormap(app.state.snapshot.values[hover], low, high)
            assert np.abs(np.array(cells.get_at(spot))[:3].astype(int) - expected).max() <= 2
    send(app, pygame.KEYDOWN, key=pygame.K_f, mod=0)
    assert app.state.view == view.WHOLE


def test_dragging_moves_the_map_and_a_click_pins():
    app = an_app(seconds=1.0)
    centre = app.scene.map_place.center
    point(app, centre)
    send(app, pygame.MOUSEWHEEL, x=0, y=6, flipped=False)
    app.draw()
    before = app.state.view
    send(app, pygame.MOUSEBUTTONDOWN, button=1, pos=centre)
    pinned = app.state.pinned
    assert pinned is not None
    point(app, (centre[0] + 40, centre[1] + 10))
    assert app.state.pinned is None, "a drag pins nothing"
    send(app, pygame.MOUSEBUTTONUP, button=1, pos=(centre[0] + 40, centre[1] + 10))
    _, where = mapview.view_of(app.state, app.scene.regions.map)
    assert app.state.view.column == pytest.approx(before.column - 40 / where.cell)
    assert app.state.view.row == pytest.approx(before.row - 10 / where.cell)
    moved = app.state.view
    point(app, centre)
    assert app.state.view == moved, "the button is up"
    app.draw()
    send(app, pygame.MOUSEBUTTONDOWN, button=1, pos=centre)
    send(app, pygame.MOUSEBUTTONUP, button=1, pos=centre)
    assert app.state.pinned == app.state.hover


@pytest.mark.parametrize("size", [(640, 480), (800, 600), (1280, 800), (1920, 1200)])
def test_the_minimap_hides_nothing_but_where_there_is_no_legend(size):
    for world in ("FourRooms-v0", "CliffWalking-v1"):
        app = an_app(world, seconds=1.0, size=size)
        for drawer in ("", "left"):
            app.state.drawer = drawer if size[0] < 1000 else ""
            app.state.view = View(3.0, 2.0, 3.0)
            app.draw()
            region, place = app.scene.regions.map, app.scene.map_place
            spot = next(c.rect for c in app.scene.controls if c.name == "minimap")
            assert region.contains(spot)
            assert spot.colliderect(place) != mapview.has_legend(region)
            for words, rect in app.scene.texts:
                assert not rect.colliderect(spot) or not region.contains(rect), words


def test_the_minimap_goes_where_it_is_clicked_and_dragged():
    app = an_app(seconds=1.0)
    for _ in range(8):
        app.do("zoom:in")
    app.draw()
    control = next(c for c in app.scene.controls if c.name == "minimap")
    corner = (control.rect.left + 2, control.rect.top + 2)
    send(app, pygame.MOUSEBUTTONDOWN, button=1, pos=corner)
    _, where = mapview.view_of(app.state, app.scene.regions.map)
    assert (where.left, where.top) == (0.0, 0.0)
    point(app, (control.rect.right - 2, control.rect.bottom - 2))
    send(app, pygame.MOUSEBUTTONUP, button=1, pos=corner)
    place, where = mapview.view_of(app.state, app.scene.regions.map)
    assert where.left + where.width == pytest.approx(place.width)
    assert where.top + where.height == pytest.approx(place.height)
    app.do("fit")
    app.draw()
    assert not [c for c in app.scene.controls if c.name == "minimap"]


def drawn_anew(app):
    return pygame.image.tobytes(Scene().render(app.state, app.size), "RGB")


def test_the_minimap_of_a_large_world_follows_one_frame_after_the_map(monkeypatch):
    monkeypatch.setattr("rlgrid.window.scene.LARGE", 10)
    app, drawn, real = an_app(), [], mapview.minimap
    app.do("view:3.0,2.0,2.0")
    monkeypatch.setattr(mapview, "minimap", lambda state, size: drawn.append(state.stamp) or real(state, size))
    app.scene.in_turns = True
    app.draw()
    first = app.state.stamp
    assert drawn == [first], "the first one of a view is there at once"
    app.state.stamp += 1
    app.draw()
    assert drawn == [first]
    picture = app.draw()
    assert drawn == [first, first + 1]
    assert pygame.image.tobytes(picture, "RGB") == drawn_anew(app)
    drawn.clear()
    for _ in range(6):
        app.state.stamp += 1
        app.draw()
    assert drawn == [first + 3, first + 5, first + 7], "one frame late at most, however fast snapshots come"
    app.do("theme")
    assert pygame.image.tobytes(app.draw(), "RGB") == drawn_anew(app), "of another theme it is there at once"
    app.state.stamp += 1
    app.draw()
    app.do("fit")
    app.draw()
    app.draw()
    assert not app.scene.changed, "nothing is owed any more"


@pytest.mark.parametrize("layer", [layer.name for layer in layers.LAYERS if layer.name != "policy"])
def test_what_was_prepared_of_a_snapshot_is_what_is_drawn(layer, monkeypatch):
    app = an_app("FrozenLake-v1", "value_iteration" if layer in ("gap", "td") else "q_learning")
    app.do(f"layer:{layer}")
    run(app, 1.0)
    state = app.state
    assert state.layer == layer
    shot = replace(state.snapshot, count=state.snapshot.count + 1)
    app.inbox.prepare(shot)
    computed = []
    table = layers._TABLES[layer]
    monkeypatch.setitem(layers._TABLES, layer, lambda state: computed.append(1) or table(state))
    app.inbox.take(("snapshot", app.link.run, shot), app.clock())
    shown = pygame.image.tobytes(app.draw(), "RGB")
    assert not computed
    assert coloured(state).table is not None
    assert shown == drawn_anew(app)
    state.computed = {}
    assert shown == drawn_anew(app)
    assert computed


def test_what_was_prepared_for_another_layer_is_not_drawn():
    app = an_app("FrozenLake-v1")
    shot = replace(app.state.snapshot, count=app.state.snapshot.count + 1)
    app.inbox.prepare(shot)
    app.do("layer:gap")
    app.inbox.take(("snapshot", app.link.run, shot), app.clock())
    assert coloured(app.state).name == "upper − lower"
    app.inbox.prepare(replace(shot, num_states=3))  # of the map as it was before it was painted
    app.inbox.take(("snapshot", app.link.run, replace(shot, count=shot.count + 1)), app.clock())
    assert pygame.image.tobytes(app.draw(), "RGB") == drawn_anew(app)


def test_views_are_commands_that_can_be_given_again():
    given: list[str] = []
    app = an_app(seconds=1.0)
    do = app.do
    app.do = lambda words: (given.append(words), do(words))
    point(app, app.scene.map_place.center)
    for words in ("zoom:in", "zoom:in", "zoom:in", "pan:left", "wheel:2", "pan:-30,12"):
        app.do(words)
        app.draw()
    end = app.state.view
    other = an_app(seconds=1.0)
    for words in given:
        if words.startswith("view:"):
            other.do(words)
    assert other.state.view == end
    assert not end.fits


# --- what lies in and on the cells ------------------------------------------------------------------------------------


def test_the_policy_before_a_change_is_faint_for_a_moment():
    app = an_app(seconds=6.0)
    before = app.state.snapshot.greedy
    app.change("slip", 0.4)
    run(app, 0.3)
    assert app.state.before is before
    changed = np.flatnonzero((app.state.snapshot.greedy != before).any(axis=1))
    assert changed.size
    place, where = mapview.view_of(app.state, app.scene.regions.map)
    ghosts = mapview.cells(app.state, place.size, where)
    kept, app.state.before = app.state.before, None
    plain = mapview.cells(app.state, place.size, where)
    different = (pygame.surfarray.array3d(ghosts) != pygame.surfarray.array3d(plain)).any(axis=2)
    drawn = {where.cell_at(x, y) for x, y in np.argwhere(different).tolist()}
    assert drawn == {cell_of(app.state.model, s) for s in changed.tolist()}
    app.state.before = kept
    run(app, 3.0)
    assert app.state.before is None


def test_goals_of_small_cells_have_stars():
    app = an_app("FourRooms-v0", seconds=1.0, size=(640, 480))
    goal = int(np.flatnonzero(app.state.model.absorbing & ~app.state.model.walls.ravel())[0])
    for cell in (0.6, 3.0):
        where = mapview.Layout(cell, 5.0, 5.0, 13, 13)
        surface = mapview.cells(app.state, (60, 60), where)
        x, y = where.centre(*divmod(goal, 13))
        around = pygame.surfarray.array3d(surface)[round(x) - 6 : round(x) + 6, round(y) - 6 : round(y) + 6]
        assert np.ptp(luminance(around)) > 0.3


def test_numbers_are_written_only_into_what_is_seen():
    app = an_app("rlgrid/FourRooms-v0", seconds=2.0)
    for _ in range(12):
        app.do("zoom:in")
    app.draw()
    place, where = app.scene.map_place, app.scene._layout
    assert where.cell >= mapview.NUMBERED
    seen = mapview._seen(app.state.model, place.size, where)
    assert 0 < seen.size < 60
    for s in seen.tolist():
        left, top, right, bottom = where.rect(*cell_of(app.state.model, s))
        assert right > -2 * where.cell
        assert left < place.width + 2 * where.cell
        assert bottom > -2 * where.cell
        assert top < place.height + 2 * where.cell


def test_the_tables_of_optimal_actions_reach_the_window():
    link = LocalLink()
    link.load(Scenario("rlgrid/FrozenLake-v1", agent="q_learning"), True, 100.0)
    link.pass_time(0.5)
    shot = next(message[2] for message in reversed(link.receive()) if message[0] == "snapshot")
    assert shot.best.shape == shot.greedy.shape
    assert shot.best.any(axis=1).all()


def test_the_residual_of_a_planner_that_was_stopped_unseen_is_that_of_its_present_values():
    engine = Engine(Scenario("rlgrid/FourRooms-v0"), patient=True)
    engine.advance(5)
    values = engine.agent.values
    engine.tables = Planned(engine.agent, None, True)
    found = layers.residual(engine.snapshot(), False)
    engine.agent.advance(1)
    assert np.array_equal(found, engine.agent.values - values)


def drawn_numbers(app, monkeypatch):
    """The numbers that are written into the cells: words, where, and in which colour."""
    found = []
    draw = mapview.text.draw

    def noted(surface, words, x, y, colour, *rest, **more):
        rect = draw(surface, words, x, y, colour, *rest, **more)
        found.append((words, rect, colour))
        return rect

    app.draw()
    with monkeypatch.context() as patch:
        patch.setattr(mapview.text, "draw", noted)
        place = app.scene._layout
        size = app.scene.map_place.size
        mapview.cells(app.state, size, place)
    return found


def test_numbers_of_actions_side_by_side_stand_apart(monkeypatch):
    app = an_app("FrozenLake8x8-v1", seconds=3.0)
    app.do("layer:q")
    app.draw()
    cell = app.scene._layout.cell
    assert 56 <= cell <= 70
    found = drawn_numbers(app, monkeypatch)
    assert len(found) > 100
    rows = [
        (a, b)
        for (_, a, _), (_, b, _) in itertools.permutations(found, 2)
        if abs(a.centery - b.centery) < 2 and 0 < b.centerx - a.centerx <= cell * 0.6
    ]
    assert rows
    assert all(b.left - a.right >= mapview.BETWEEN - 1 for a, b in rows), "6 pixels, but for rounding"


@pytest.mark.parametrize(
    ("value", "most", "words"),
    [
        (0.31, 100, "0.3100"),
        (0.31, 28, "0.31"),
        (0.31, 27, ".31"),
        (-0.31, 28, "−.31"),
        (-0.31, 27, "−.3"),
        (0.999, 22, "1.0"),
        (10.0, 22, ""),
        (0.0, 22, ".00"),
    ],
)
def test_a_number_in_a_cell_has_the_digits_that_fit(value, most, words):
    assert mapview._in_cell(value, most) == words


def test_numbers_can_be_read_on_cells_that_flash(monkeypatch):
    model = Engine(Scenario("rlgrid/RussellNorvig4x3-v0")).model
    values = np.linspace(0.0, 1.0, 12)
    shot = Snapshot(9, values=values, change=np.ones(12))
    app = an_app("RussellNorvig4x3-v0", seconds=0.2)
    state, size = app.state, app.scene.map_place.size
    state.model, state.snapshot, state.flash, state.arrows = model, shot, 1.0, False
    found = drawn_numbers(app, monkeypatch)
    with monkeypatch.context() as patch:
        patch.setattr(mapview, "_numbers", lambda *rest: None)
        plain = mapview.cells(state, size, app.scene._layout)
    checked = 0
    for _, rect, colour in found:
        if plain.get_rect().contains(rect):
            ground = plain.get_at(rect.center)[:3]
            light, dark = sorted((float(luminance(np.uint8(c))) for c in (ground, colour)), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 4.5
            checked += 1
    assert checked >= 9


@pytest.mark.parametrize(
    ("key", "name"), [(mapview.cells_key, "model"), (mapview.cells_key, "before"), (inspector.key, "model")]
)
def test_an_object_at_the_place_in_memory_of_another_one_is_drawn(key, name):
    """A freed object's id is given to the next one."""
    state = State()
    for _ in range(50):
        setattr(state, name, SimpleNamespace())
        drawn = key(state)
        assert drawn == key(state)
        assert hash(drawn) == hash(key(state))
        setattr(state, name, None)  # nobody else has it
        setattr(state, name, SimpleNamespace())
        assert key(state) != drawn
