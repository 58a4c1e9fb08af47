"""The map language: the built-in worlds against their sources, errors with their places, and texts that go round."""

import copy
import pickle
import random
import re
import subprocess
import sys
import time
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rlgrid import GridModel, GridSpec, MapError, Slip
from rlgrid.gridmap import DEFAULT_LEGEND, MAX_CELLS, Tile
from rlgrid.gridmodel import DEFAULT_ACTIONS, MOVES
from rlgrid.reach import reached, steps
from rlgrid.tomltext import Places, quoted

DOCS = Path(__file__).resolve().parent.parent / "docs" / "maps.md"
NAMES = (
    "blocking_maze",
    "bridge_grid",
    "cliff_grid",
    "cliff_walking",
    "cliff_walking_slippery",
    "cliff_walking_windy",
    "collect_stars",
    "deep_sea_treasure",
    "discount_grid",
    "dyna_maze",
    "four_rooms",
    "frozen_lake_16x16",
    "frozen_lake_4x4",
    "frozen_lake_8x8",
    "key_door",
    "keys_and_switch",
    "puddle_world",
    "russell_norvig_4x3",
    "shortcut_maze",
    "sutton_barto_4x4",
    "sutton_barto_5x5",
    "teleports",
    "thin_walls",
    "wilson_maze",
    "windy_gridworld",
    "windy_gridworld_kings",
    "windy_gridworld_stochastic",
)


def world(name: str) -> GridModel:
    return GridSpec.builtin(name).compile()


def arguments(spec: GridSpec) -> dict[str, Any]:
    return {field.name: getattr(spec, field.name) for field in fields(spec) if field.init}


def optimum(model: GridModel, gamma: float, sweeps: int = 3000) -> list[float]:
    """Value iteration as the textbook writes it, until nothing changes."""
    values = [0.0] * model.num_states
    for _ in range(sweeps):
        after = [
            max(
                sum(p * (r + (0.0 if ends else gamma * values[to])) for p, to, r, ends in run)
                for run in model.P[s].values()
            )
            for s in range(model.num_states)
        ]
        if after == values:
            break
        values = after
    return values


def failure(text: str) -> MapError:
    with pytest.raises(MapError) as caught:
        GridSpec.parse(text)
    return caught.value


# --- the worlds that come with the package --------------------------------------------------------------------------


def test_names() -> None:
    assert GridSpec.builtin_names() == NAMES
    with pytest.raises(
        ValueError, match="no world named 'four_room' comes with the package: did you mean 'four_rooms'"
    ):
        GridSpec.builtin("four_room")


@pytest.mark.parametrize("name", NAMES)
def test_every_world_is_complete(name: str) -> None:
    spec = GridSpec.builtin(name)
    assert spec.name == name
    assert spec.title
    assert spec.citation
    model = spec.compile()
    assert (model.name, model.citation, model.gamma) == (name, spec.citation, spec.gamma)
    assert model.max_episode_steps == spec.max_episode_steps
    assert getattr(model, "map_shape", model.shape) == (len(spec.rows), len(spec.rows[0]))
    assert GridSpec(**arguments(spec)) == spec


@pytest.mark.parametrize(
    ("gymnasium_id", "name"), [("FrozenLake-v1", "frozen_lake_4x4"), ("FrozenLake8x8-v1", "frozen_lake_8x8")]
)
def test_frozen_lake_is_gymnasiums_entry_for_entry(gymnasium_id: str, name: str) -> None:
    env: Any = gym.make(gymnasium_id)
    model = world(name)
    assert model.P == env.unwrapped.P
    assert model.start.tolist() == env.unwrapped.initial_state_distrib.tolist()
    assert model.max_episode_steps == env.spec.max_episode_steps


def test_frozen_lake_values() -> None:
    """Gymnasium's FrozenLake-v1 at gamma .99, from exact arithmetic; at gamma 1, V*(start) = 14/17."""
    values = optimum(world("frozen_lake_4x4"), 0.99)
    assert values == pytest.approx(
        [
            *(0.54202593, 0.49880319, 0.47069569, 0.45685170),
            *(0.55845096, 0.0, 0.35834807, 0.0),
            *(0.59179874, 0.64307982, 0.61520756, 0.0),
            *(0.0, 0.74172044, 0.86283743, 0.0),
        ],
        abs=5e-9,
    )
    assert optimum(world("frozen_lake_4x4"), 1.0)[0] == pytest.approx(14 / 17, abs=1e-9)
    capped = world("frozen_lake_4x4")
    assert optimum(capped, 1.0, sweeps=100)[0] == pytest.approx(0.7441902878, abs=5e-11)


def test_cliff_walking_is_gymnasiums_in_every_state_that_can_be_reached() -> None:
    env: Any = gym.make("CliffWalking-v1")
    model = world("cliff_walking")
    start = model.start_states.tolist()
    assert start == [36]
    seen, todo = set(start), list(start)
    while todo:
        s = todo.pop()
        assert model.P[s] == env.unwrapped.P[s]
        for run in model.P[s].values():
            for _, to, _, ends in run:
                if to not in seen and not ends:
                    seen.add(to)
                    todo.append(to)
    assert len(seen) == 37
    assert model.gamma == 1.0
    assert model.max_episode_steps is env.spec.max_episode_steps is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cliff_walking", -13.0),  # Sutton & Barto, Example 6.6
        ("windy_gridworld", -15.0),  # Example 6.5
        ("windy_gridworld_kings", -7.0),  # Exercise 6.9
    ],
)
def test_shortest_ways(name: str, value: float) -> None:
    model = world(name)
    assert optimum(model, 1.0)[model.start_states[0]] == value


def test_windy_gridworld_is_the_books() -> None:
    """Example 6.5: 7 x 10, S (3, 0), G (3, 7), wind 0 0 0 1 1 1 2 2 1 0 of the column that is left."""
    for name, actions in (("windy_gridworld", 4), ("windy_gridworld_kings", 8), ("windy_gridworld_stochastic", 8)):
        model = world(name)
        assert model.shape == (7, 10)
        assert model.start_states.tolist() == [30]
        assert [s for s in range(70) if model.absorbing[s]] == [37]
        assert model.column_wind.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 1, 0]
        assert model.actions == DEFAULT_ACTIONS[actions]
        assert model.gust == ({-1: 1 / 3, 0: 1 / 3, 1: 1 / 3} if "stochastic" in name else {0: 1.0})
        rewards = {r for s in range(70) if s != 37 for run in model.P[s].values() for _, _, r, _ in run}
        assert rewards == {-1.0}
    right = DEFAULT_ACTIONS[8].index("right")
    gusts = world("windy_gridworld_stochastic").P[36][right]  # wind 2 in column 6: 1, 2 or 3 rows up
    assert [(to, ends) for _, to, _, ends in gusts] == [(27, False), (17, False), (7, False)]


def test_four_rooms() -> None:
    """Sutton, Precup & Singh (1999): four rooms, four hallways, a third of the time another direction."""
    model = world("four_rooms")
    rooms = {(r, c) for r in range(1, 6) for c in range(1, 6)} | {(r, c) for r in range(1, 7) for c in range(7, 12)}
    rooms |= {(r, c) for r in range(7, 12) for c in range(1, 6)} | {(r, c) for r in range(8, 12) for c in range(7, 12)}
    floor = rooms | {(3, 6), (6, 2), (7, 9), (10, 6)}
    assert {model.cell_of(s) for s in range(169) if not model.walls[s]} == floor
    assert len(floor) == 104
    assert [model.cell_of(s) for s in model.start_states] == [(1, 1)]
    assert model.slip == Slip(forward=2 / 3, left=1 / 9, right=1 / 9, back=1 / 9)
    assert (model.gamma, model.max_episode_steps) == (0.99, 500)
    goal = model.state_of(11, 10)
    into = {r for s in range(169) if s != goal for run in model.P[s].values() for _, to, r, _ in run if to == goal}
    others = {r for s in range(169) for run in model.P[s].values() for _, to, r, _ in run if to != goal}
    assert (into, others) == ({1.0}, {0.0})
    assert optimum(model, 0.95, sweeps=400)[model.state_of(5, 9)] == pytest.approx(0.5223, abs=5e-5)


def test_dyna_maze() -> None:
    """Example 8.1: 6 x 9, walls (1,2)(2,2)(3,2)(0,7)(1,7)(2,7)(4,5); the shortest way takes 14 steps."""
    model = world("dyna_maze")
    walls = {model.cell_of(s) for s in range(54) if model.walls[s]}
    assert walls == {(1, 2), (2, 2), (3, 2), (0, 7), (1, 7), (2, 7), (4, 5)}
    assert model.shape == (6, 9)
    start, goal = model.state_of(2, 0), model.state_of(0, 8)
    assert model.start_states.tolist() == [start]
    assert model.absorbing[goal]
    assert optimum(model, 0.95)[start] == pytest.approx(0.95**13, abs=1e-12)


def test_russell_norvig() -> None:
    """AIMA, chapter 17: the utilities of the 4 x 3 world, further digits from exact arithmetic."""
    model = world("russell_norvig_4x3")
    assert model.gamma == 1.0
    assert optimum(model, 1.0) == pytest.approx(
        [
            *(0.8115582192, 0.8678082192, 0.9178082192, 0.0),
            *(0.7615582192, 0.0, 0.6602739726, 0.0),
            *(0.7053082192, 0.6553082192, 0.6114155251, 0.3879249112),
        ],
        abs=5e-11,
    )
    into = {to: r for s in range(12) for run in model.P[s].values() for _, to, r, ends in run if ends and to != s}
    assert into == {3: pytest.approx(0.96), 7: pytest.approx(-1.04)}


def test_sutton_barto_5x5() -> None:
    """Example 3.5 under the random policy, Example 3.8 at the optimum."""
    model = world("sutton_barto_5x5")
    assert model.gamma == 0.9
    assert model.start.tolist() == [1 / 25] * 25
    values = [0.0] * 25
    for _ in range(400):
        values = [
            sum(p * (r + 0.9 * values[to]) for run in model.P[s].values() for p, to, r, _ in run) / 4 for s in range(25)
        ]
    assert [round(v, 1) + 0.0 for v in values] == [
        *(3.3, 8.8, 4.4, 5.3, 1.5),
        *(1.5, 3.0, 2.3, 1.9, 0.5),
        *(0.1, 0.7, 0.7, 0.4, -0.4),
        *(-1.0, -0.4, -0.4, -0.6, -1.2),
        *(-1.9, -1.3, -1.2, -1.4, -2.0),
    ]
    best = optimum(model, 0.9)
    assert best[1] == pytest.approx(10 / (1 - 0.9**5), abs=1e-9)
    assert [round(v, 1) for v in best] == [
        *(22.0, 24.4, 22.0, 19.4, 17.5),
        *(19.8, 22.0, 19.8, 17.8, 16.0),
        *(17.8, 19.8, 17.8, 16.0, 14.4),
        *(16.0, 17.8, 16.0, 14.4, 13.0),
        *(14.4, 16.0, 14.4, 13.0, 11.7),
    ]


def test_a_slippery_cliff_is_gymnasiums_too() -> None:
    env: Any = gym.make("CliffWalkingSlippery-v1")
    model = world("cliff_walking_slippery")
    changed = GridSpec.builtin("cliff_walking").with_changes(slip=dict.fromkeys(("forward", "left", "right"), 1 / 3))
    assert changed.compile().P == model.P
    assert model.max_episode_steps is env.spec.max_episode_steps is None
    cliff_and_goal = range(37, 48)
    for s in set(range(48)) - set(cliff_and_goal):
        assert model.P[s] == env.unwrapped.P[s]


def test_the_four_by_four_world_of_example_4_1() -> None:
    """Sutton & Barto, Example 4.1: two corners end, -1 a step, gamma 1; the random policy's values."""
    text = "gamma = 1.0\nstep_reward = -1.0\nmap = '''\nG...\n....\n....\n...G\n'''\n[legend]\n"
    model = GridSpec.parse(text + "'.' = { start = 1 }\nG = { terminal = true }").compile()
    values = [0.0] * 16
    for _ in range(2000):
        values = [
            sum(p * (r + values[to]) for run in model.P[s].values() for p, to, r, _ in run) / 4 for s in range(16)
        ]
    assert values == pytest.approx(
        [*(0, -14, -20, -22), *(-14, -18, -20, -20), *(-20, -20, -18, -14), *(-22, -20, -14, 0)], abs=1e-9
    )
    assert model.start.tolist() == [0.0] + [1 / 14] * 14 + [0.0]


def test_loading_a_world_needs_neither_numba_nor_scipy_nor_tomlkit() -> None:
    """The window shows its first frame before anything is compiled; and a small world should load at once."""
    code = (
        "import sys; from rlgrid import GridSpec; GridSpec.builtin('four_rooms').with_changes(gamma=0.5).compile();"
        "print([name for name in ('numba', 'scipy', 'tomlkit', 'pygame') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- what the language means ----------------------------------------------------------------------------------------


def test_default_legend() -> None:
    model = GridSpec(["S.. ", "#.HG"]).compile()
    assert [model.kind_of(s).glyph for s in range(8)] == [
        *("start", "floor", "floor", "floor"),
        *("wall", "floor", "pit", "goal"),
    ]
    assert model.P[3][2] == [(1.0, 7, 1.0, True)]
    assert model.P[5][1] == [(1.0, 6, 0.0, True)]
    assert model.P[6] == model.P[7] | {a: [(1.0, 6, 0.0, True)] for a in range(4)}
    assert model.start.tolist() == [1.0] + [0.0] * 7


def test_an_entry_replaces_all_that_a_character_was() -> None:
    model = GridSpec.parse("map = 'S.G'\n[legend]\nG = { enter_reward = 3 }").compile()
    assert model.P[1][1] == [(1.0, 2, 3.0, False)]
    assert not model.absorbing.any()


def test_starts_with_weights() -> None:
    spec = GridSpec.parse("map = 'Sa.bb'\n[legend]\nS = { start = 1 }\na = { start = '1/2' }\nb = { start = 3 }")
    assert spec.compile().start.tolist() == [1 / 7.5, 0.5 / 7.5, 0, 3 / 7.5, 3 / 7.5]


def test_glyphs_are_chosen_by_what_a_tile_does() -> None:
    assert [
        Tile(**given).drawn_as
        for given in (
            {},
            {"wall": True},
            {"terminal": True},
            {"terminal": True, "enter_reward": 1.0},
            {"terminal": True, "enter_reward": -1.0},
            {"terminal": True, "step_reward": -9.0},
            {"start": 1.0},
            {"slip": Slip()},
            {"enter_to": "a"},
            {"leave_to": (0, 0)},
            {"enter_reward": 2.0},
            {"leave_reward": -0.04},
            {"terminal": True, "glyph": "pit"},
            {"key": "red"},
            {"door": "red", "start": 1.0},
            {"switch": "lever"},
            {"pickup": "star"},
        )
    ] == [
        *("floor", "wall", "goal", "goal", "pit", "pit", "start", "ice", "teleport", "teleport", "reward", "floor"),
        *("pit", "key", "door", "switch", "reward"),
    ]


def test_teleports_by_character_and_by_cell() -> None:
    text = "map = '''\nSTx\nuvG\n'''\n[legend]\nT = { enter_to = 'x' }\nu = { leave_to = [1, 1] }\nx = {}\nv = {}"
    model = GridSpec.parse(text).compile()
    assert model.P[0][1] == [(1.0, 2, 0.0, False)]
    assert model.P[3] == {a: [(1.0, 4, 0.0, False)] for a in range(4)}


def test_fractions_are_the_nearest_floats() -> None:
    spec = GridSpec.parse("map = 'S.G'\nslip = { forward = '2/3', left = '1/9', right = ' 1 / 9 ', back = '1/9' }")
    assert spec.slip == Slip(2 / 3, 1 / 9, 1 / 9, 1 / 9)


def test_without_forward_it_is_what_is_left() -> None:
    assert GridSpec("S.G", slip={"left": 0.25, "back": 0.5}).slip == Slip(0.25, 0.25, 0.0, 0.5)
    assert GridSpec("S.G", slip={"left": 0.7, "right": 0.2, "back": 0.1}).slip.forward == 0.0  # not 2.8e-17


def test_the_map_may_be_a_list_of_rows_or_a_basic_string() -> None:
    spec = GridSpec.parse("map = '''\nS.\n.G\n'''")
    assert GridSpec.parse('map = ["S.", ".G"]') == spec
    assert GridSpec.parse('map = """\nS.\n\\u002eG"""') == spec
    assert GridSpec("S.\n.G\n") == GridSpec(["S.", ".G"]) == spec


def test_windows_line_ends_and_a_byte_order_mark(tmp_path: Path) -> None:
    text = GridSpec.builtin("four_rooms").dump().replace("\n", "\r\n")
    path = tmp_path / "w.toml"
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    spec = GridSpec.load(path)
    assert spec == GridSpec.builtin("four_rooms")
    assert spec.dump() == text
    changed = spec.with_changes(gamma=0.5).dump()
    assert changed == text.replace("gamma = 0.99", "gamma = 0.5")


def test_a_world_without_an_end_and_floor_that_is_walled_in_are_legal() -> None:
    GridSpec("S..")
    GridSpec(["S.G", "###", "..H"])  # a hole behind walls harms nobody
    assert GridSpec(["S.G#.", "..###"]).compile().num_states == 10


def test_reachability_counts_slip_wind_and_teleports() -> None:
    GridSpec(["S..", ".#G"], moves=["right", "left"], column_wind=[0, 0, -1])
    GridSpec(["S..", ".#G"], moves=["right", "left"], slip={"left": 0.1, "right": 0.1})
    with pytest.raises(MapError, match="no start can reach 'G' at row 1, column 2"):
        GridSpec(["S..", ".#G"], moves=["right", "left"])
    GridSpec(["ST#x", "..#G"], legend={"T": {"enter_to": "x"}, "x": {}})
    with pytest.raises(MapError, match="no start can reach"):
        GridSpec(["S.#x", "..#G"], legend={"x": {}})
    with pytest.raises(MapError, match="is walled in, no action leaves it"):
        GridSpec(["S.G"], legend={"S": {"start": 1, "leave_to": [0, 0]}})
    GridSpec(["S#G"], legend={"S": {"start": 1, "leave_to": "G"}})


def test_reach_in_large_worlds_is_that_in_small_ones() -> None:
    """The same answers from the loop for small worlds and from SciPy's graphs for large ones."""
    rng = random.Random(4)
    rows = ["".join(rng.choice("..#") for _ in range(90)) for _ in range(90)]
    model = GridSpec(["S" + rows[0][1:], "." * 90, *rows[2:]]).compile()
    origin, to = steps(model)
    seen = reached(origin, to, model.start_states, model.num_states)
    follow: dict[int, set[int]] = {}
    for a, b in zip(origin.tolist(), to.tolist(), strict=True):
        follow.setdefault(a, set()).add(b)
    todo, slow = [0], {0}
    while todo:
        for b in follow.get(todo.pop(), set()) - slow:
            slow.add(b)
            todo.append(b)
    assert {s for s in range(model.num_states) if seen[s]} == slow
    assert 0 < len(slow) < int((~model.walls).sum())


def test_a_large_map_loads_in_seconds() -> None:
    rng = random.Random(1)
    rows = ["".join(rng.choices(".#", (9, 1), k=600)) for _ in range(600)]
    rows[0], rows[-1] = "S" + "." * 599, "." * 599 + "G"
    for r in range(600):
        rows[r] = rows[r][:-1] + (rows[r][-1] if r == 599 else ".")
    begun = time.process_time()
    model = GridSpec.parse("map = '''\n" + "\n".join(rows) + "\n'''").compile()
    assert model.num_states == 360_000
    assert time.process_time() - begun < 5.0


# --- errors, with their places --------------------------------------------------------------------------------------

HEAD = "name = 'x'\nmap = '''\nS..\n..G\n'''\n"

ERRORS: list[tuple[str, int, int, str]] = [
    # the map
    ("gamma = 0.9\n", 1, 1, "there is no map: write map = '''"),
    ("map = ''", 1, 7, "the map is empty"),
    ("map = 3", 1, 7, "map must be text, its rows on lines of their own, not 3"),
    ("map = ['S.G', 3]", 1, 15, "row 1 of the map must be text, not 3"),
    (
        "map = '''\nS..\n..\n..G\n'''",
        3,
        3,
        "row 1 of the map has 2 characters, the others 3; 1 too few: fill the row up",
    ),
    ("map = '''\nS..\n.....\n..G\n'''", 3, 4, "row 1 of the map has 5 characters, the others 3; 2 too many: remove"),
    ("map = '''\nS..\n..G\n  '''", 4, 3, "put the quotes that close the map at the beginning of their line"),
    ("map = '''\nS..\n.?G\n'''", 3, 2, "unknown character '?' at row 1, column 1 of the map: write what it is under"),
    ("map = '''\nS..\n.\tG\n'''", 3, 2, "unknown character '\\t' at row 1, column 1 of the map: the map is made of pr"),
    ('map = """\nS\\u002e.\n..?"""', 3, 3, "unknown character '?' at row 1, column 2"),
    ('map = """\\\n   S\\u002e?\\n..G"""', 2, 11, "unknown character '?' at row 0, column 2"),
    ("map = ['S..',\n  '..?']", 2, 6, "unknown character '?' at row 1, column 2"),
    ("map = '''\n...\n..G\n'''", 2, 1, "there is no start: put an S where the episode begins"),
    ("map = '''\nS..\n.SG\n'''", 3, 2, "a second start S at row 1, column 1 (the first is at row 0, column 0): remove"),
    ("map = '''\n.#S\n.G#\n'''", 2, 3, "the start 'S' at row 0, column 2 is walled in, no action leaves it: open a"),
    (
        "map = '''\nS.#\n.#G\n'''",
        3,
        3,
        "no start can reach 'G' at row 1, column 2, nor any other end: open a way to it",
    ),
    ("map = '''\nSH#\n.#G\n'''", 3, 3, "no start can reach the goal 'G' at row 1, column 2: open a way to it"),
    (
        "map = '''\nT.#.T\nG.#..\n'''\n[legend]\nT = { start = 1 }",
        *(2, 5, "from the start 'T' at row 0, column 4 no end of the episode can be reached"),
    ),
    # keys and types
    (HEAD + "gama = 0.9", 6, 1, "unknown key 'gama': did you mean 'gamma'?"),
    (HEAD + "discount = 0.9", 6, 1, "unknown key 'discount': did you mean 'gamma'?"),
    (HEAD + "colour = 3", 6, 1, "unknown key 'colour': the keys here are name, title, citation, gamma"),
    (
        HEAD + "[legend]\nG = { terminall = true }",
        7,
        7,
        "unknown key 'terminall' in legend.G: did you mean 'terminal'?",
    ),
    (HEAD + "[legend]\n'~'.cost = 3", 7, 5, "unknown key 'cost' in legend.\"~\": did you mean 'step_reward'?"),
    (
        HEAD + "[legend.G]\nterminal = true\nrewards = 1",
        8,
        1,
        "unknown key 'rewards' in legend.G: did you mean 'enter_",
    ),
    (HEAD + "slip = { left = 0.1, rigth = 0.1 }", 6, 22, "unknown key 'rigth' in slip: did you mean 'right'?"),
    (HEAD + "wind = { column = [0, 0, 0] }", 6, 10, "unknown key 'column' in wind: did you mean 'columns'?"),
    (HEAD + "[legend]\ngamma = 0.9", 7, 1, "'gamma' is no character of a map: put it above the line [legend]"),
    (HEAD + "[legend]\nGG = {}", 7, 1, "'GG' is no character of a map: the legend's keys are single characters"),
    (HEAD + "legend = 3", 6, 10, "legend must be a table, not 3"),
    (HEAD + "[[legend]]\nG = {}", 6, 3, "legend must be a table, not an array"),
    (HEAD + "[legend]\nG = 1", 7, 5, "legend.G must be a table, not 1: write G = { wall = true }"),
    (HEAD + "[legend]\nG = { terminal = 1 }", 7, 18, "legend.G.terminal must be true or false, not 1"),
    (HEAD + "[legend]\nG = { enter_reward = '1' }", 7, 22, "legend.G.enter_reward must be a number, not '1'"),
    (HEAD + "[legend]\nG = { enter_reward = inf }", 7, 22, "legend.G.enter_reward = inf must be finite"),
    (HEAD + "gamma = 1.5", 6, 9, "gamma = 1.5 is not a discount factor: write a number from 0 to 1"),
    (HEAD + "gamma = true", 6, 9, "gamma must be a number, not true"),
    (HEAD + "gamma = nan", 6, 9, "gamma = nan must be finite"),
    (HEAD + "gamma = 1" + "0" * 400, 6, 9, "gamma = a number of more than 30 digits must be finite"),
    (HEAD + "step_reward = '-1'", 6, 15, "step_reward must be a number, not '-1'"),
    (HEAD + "max_episode_steps = 0", 6, 21, "max_episode_steps = 0 must be a whole number from 1 to 2147483647"),
    (
        HEAD + "max_episode_steps = 10.0",
        6,
        21,
        "max_episode_steps must be a whole number from 1 to 2147483647, not 10.",
    ),
    (HEAD + "title = 1979-05-27", 6, 9, 'title must be text in "quotes", not datetime.date'),
    # moves, slip, wind
    (HEAD + "moves = 7", 6, 9, "moves must be 4, 5, 8 or 9, or a list"),
    (HEAD + "moves = []", 6, 9, "moves must be 4, 5, 8 or 9, or a list"),
    (HEAD + "moves = ['up',\n 'rigth']", 7, 2, "unknown move 'rigth': did you mean 'right'?"),
    (HEAD + "moves = ['up', 'up']", 6, 16, "the move 'up' stands in moves twice: remove one"),
    (HEAD + "slip = 0.1", 6, 8, "slip must be a table of probabilities, not 0.1: write slip = { left = 0.1"),
    (HEAD + "slip.left = 1.5", 6, 13, "slip.left = 1.5 is not a probability: write a number from 0 to 1"),
    (HEAD + "slip.left = '1/0'", 6, 13, "slip.left must be a number or a fraction such as \"1/3\", not '1/0'"),
    (HEAD + "slip.left = '5/4'", 6, 13, "slip.left = '5/4' is not a probability"),
    (HEAD + "slip = { left = 0.6, right = 0.6 }", 6, 8, "slip: left, right and back sum to 1.2; they may sum to 1"),
    (HEAD + "slip = { forward = 0.9, left = 0.2 }", 6, 8, "sum to 1.1, not 1: write forward = 0.8, or leave forward"),
    (
        HEAD + "[legend]\n'.' = { slip = { left = 2 } }",
        *(7, 25, 'legend.".".slip.left = 2 is not a probability'),
    ),
    (HEAD + "[wind]\ncolumns = [0, 1]", 7, 11, "wind.columns has 2 numbers, but the map has 3 columns: write one numb"),
    (HEAD + "[wind]\nrows = [0, 1, 0]", 7, 8, "wind.rows has 3 numbers, but the map has 2 rows"),
    (HEAD + "[wind]\nrows = 1", 7, 8, "wind.rows must be an array of 2 whole numbers, not 1"),
    (HEAD + "[wind]\nrows = [0,\n 0.5]", 8, 2, "wind.rows.1 must be a whole number from -99 to 99, not 0.5"),
    (HEAD + "[wind]\nrows = [0, 100]", 7, 12, "wind.rows.1 = 100 must be a whole number from -99 to 99"),
    (HEAD + "wind = 3", 6, 8, "wind must be a table, not 3"),
    (HEAD + "[wind]\ngust = { 0 = 1 }", 7, 1, "a gust is added to a wind that blows, and none does"),
    (HEAD + "[wind]\nrows = [0, 1]\ngust = {}", 8, 8, "wind.gust must be a table of offset = probability, not a table"),
    (
        HEAD + "[wind]\nrows = [0, 1]\ngust = { 0 = 0.5, 1 = 0.4 }",
        8,
        8,
        "wind.gust: the probabilities sum to 0.9; they",
    ),
    (HEAD + "[wind]\nrows = [0, 1]\ngust = { 0 = 0.5, x = 0.5 }", 8, 19, "wind.gust: the offset 'x' must be a whole"),
    (HEAD + "[wind]\nrows = [0, 1]\ngust = { 0 = 0.5, -0 = 0.5 }", 8, 19, "wind.gust: the offset 0 is given twice"),
    # tiles
    (
        HEAD + "[legend]\n'#' = { wall = true, step_reward = -1 }",
        7,
        22,
        'legend."#".step_reward has no meaning: nobody',
    ),
    (
        HEAD + "[legend]\nG = { terminal = true, leave_reward = 1 }",
        7,
        24,
        "legend.G.leave_reward has no meaning: an epi",
    ),
    (HEAD + "[legend]\nG = { terminal = true, start = 1 }", 7, 24, "legend.G.start has no meaning"),
    (HEAD + "[legend]\n'.' = { leave_to = 'G', slip.left = 1 }", 7, 25, 'legend.".".slip has no meaning: every action'),
    (HEAD + "[legend]\n'.' = { start = -1 }", 7, 17, 'legend.".".start = -1 is a weight: write a number above 0'),
    (HEAD + "[legend]\n'.' = { glyph = 'flor' }", 7, 17, "unknown glyph 'flor': did you mean 'floor'?"),
    (HEAD + "[legend]\n'.' = { enter_to = 'x' }", 7, 20, "legend.\".\".enter_to: 'x' stands in the map 0 times; it mu"),
    (HEAD + "[legend]\nT = { enter_to = 't' }", 7, 18, "legend.T.enter_to: 't' stands in the map 0 times; it must"),
    (HEAD + "[legend]\nT = { leave_to = [9, 9] }", 7, 18, "legend.T.leave_to = [9, 9] is outside the map"),
    (HEAD + "[legend]\n'.' = { enter_to = '.' }", 7, 20, "'.' stands in the map 4 times; it must name one cell"),
    (
        HEAD + "[legend]\n'.' = { enter_to = [2, 0] }",
        7,
        20,
        "= [2, 0] is outside the map: rows are 0 to 1, columns 0 to 2",
    ),
    (
        HEAD + "[legend]\n'.' = { enter_to = [0, -1] }",
        7,
        24,
        'legend.".".enter_to.1 = -1 must be a whole number from 0',
    ),
    (
        HEAD + "[legend]\n'.' = { enter_to = 'ab' }",
        7,
        20,
        'legend.".".enter_to must be one character of the map or [ro',
    ),
    (
        "map = 'S.#'\n[legend]\n'.' = { enter_to = [0, 2] }",
        3,
        20,
        "leads into a wall, at row 0, column 2: name a free",
    ),
    # not TOML
    ("map = '''\nS.G\n", 3, 1, "not TOML (Expected \"'''\"): close the text with '''"),
    (HEAD + "gamma = ", 6, 9, "not TOML (Invalid value): a value is missing"),
    (HEAD + "title = Harbour", 6, 9, 'text stands in "quotes"'),
    (
        HEAD + "gamma = 0.9\ngamma = 0.8",
        7,
        1,
        "not TOML (Cannot overwrite a value): this key is given twice: keep one",
    ),
    (HEAD + "# again\nmap = '''\nS.\n.G'''\n", 7, 1, "this key is given twice: keep one"),
    (HEAD + "[legend]\nx = {}\nG = {}\n x = {}\n[wind]", 9, 2, "this key is given twice: keep one"),
    (HEAD + "[legend]\nx = {}\n[[legend]]\n", 8, 9, "this key is given twice: keep one"),
    (HEAD + "~ = { wall = true }", 6, 1, 'stands in quotes, as in "~" = { terminal = true }'),
    (HEAD + "[legend]\n[legend]\n", 7, 8, "this table is given twice: put all its keys under one"),
    (HEAD + "gamma 0.9", 6, 7, "write key = value"),
    (HEAD + "x = " + "[" * 5000 + "]" * 5000, 1, 1, "brackets are nested too deeply"),
    (HEAD + "x = " + "9" * 5000, 1, 1, "not a number that a map can use"),
    ("# " + "x" * 4_000_000, 1, 4_000_001, "the text has 4000002 characters, more than 4000000: make a world of this"),
    ("map = '" + "." * (MAX_CELLS + 1) + "'", 1, 7, "the map has 1000001 cells, more than 1000000: make a world"),
]


@pytest.mark.parametrize(("text", "line", "column", "message"), ERRORS, ids=range(len(ERRORS)))
def test_errors_name_the_place_and_the_remedy(text: str, line: int, column: int, message: str) -> None:
    error = failure(text)
    assert message in error.message
    assert (error.line, error.column) == (line, column)
    assert str(error).startswith(f"<text>, line {line}, column {column}: ")


def test_errors_are_in_no_other_order_of_line_ends() -> None:
    error = failure(HEAD.replace("\n", "\r\n") + "gama = 0.9")
    assert (error.line, error.column) == (6, 1)


def test_an_error_in_a_file_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text("map = 'S.G'\ngamma = 2")
    with pytest.raises(MapError, match=r"bad\.toml, line 2, column 9: gamma = 2"):
        GridSpec.load(path)
    path.write_bytes(b"map = 'S.G'\ntitle = '\xff'")
    with pytest.raises(MapError, match=r"bad\.toml, line 2, column 10: this byte is not UTF-8: save the file as UTF-8"):
        GridSpec.load(path)
    with pytest.raises(FileNotFoundError):
        GridSpec.load(tmp_path / "absent.toml")
    with pytest.raises(TypeError, match=r"GridSpec\.load reads a file"):
        GridSpec.parse(path)  # type: ignore[arg-type]


def test_errors_of_specs_made_in_python_have_no_place() -> None:
    with pytest.raises(MapError) as caught:
        GridSpec("S.G", gamma=2)
    assert (caught.value.line, caught.value.column) == (None, None)
    assert str(caught.value).startswith("gamma = 2 is not a discount factor")
    copied = pickle.loads(pickle.dumps(failure(HEAD + "gama = 1")))
    assert (copied.line, copied.column, str(copied)) == (6, 1, str(failure(HEAD + "gama = 1")))
    with pytest.raises(MapError, match="map must be text"):
        GridSpec(None)  # type: ignore[arg-type]
    with pytest.raises(MapError, match="name holds half a character"):
        GridSpec("S.G", name="\ud800")
    with pytest.raises(MapError, match=r"legend\.G must be a table"):
        GridSpec("S.G", legend={"G": 3})  # type: ignore[dict-item]


# --- changes --------------------------------------------------------------------------------------------------------

COMMENTED = """\
# a world
name = "commented"   # its name
gamma = 0.9          # patient

# the lay of the land
map = '''
S..~
...G
'''

[legend]
# slippery
"~" = { slip = { left = 0.5 } }   # very
G = { terminal = true, enter_reward = 10 }

[wind]
columns = [0, 1, 0, 0]  # up
"""


def test_changes_keep_the_text_around_them() -> None:
    spec = GridSpec.parse(COMMENTED)
    assert spec.dump() == COMMENTED
    assert spec.with_changes().dump() == COMMENTED
    changed = spec.with_changes(gamma=0.5, slip=Slip(0.75, 0.25), step_reward=-1, rows=["S..~", "#..G"])
    assert changed.dump() == COMMENTED.replace("gamma = 0.9 ", "gamma = 0.5 ").replace(
        "# patient\n", "# patient\nslip = { forward = 0.75, left = 0.25 }\nstep_reward = -1.0\n"
    ).replace("\n...G", "\n#..G")
    assert GridSpec.parse(changed.dump()) == changed


def test_changes_of_tables() -> None:
    spec = GridSpec.parse(COMMENTED)
    changed = spec.with_changes(
        legend={"G": {"terminal": True, "enter_reward": 5}, "*": {"enter_reward": 1}},
        column_wind=None,
        row_wind=[1, 0],
        rows=["S..*", "...G"],
    )
    text = changed.dump()
    assert GridSpec.parse(text) == changed
    data = tomllib.loads(text)
    assert data["wind"] == {"rows": [1, 0]}
    assert data["legend"] == {"G": {"terminal": True, "enter_reward": 5.0}, "*": {"enter_reward": 1.0}}
    for comment in ("# a world", "# its name", "# patient", "# the lay of the land", "# slippery"):
        assert comment in text
    bare = GridSpec.parse("map = 'S.G'").with_changes(column_wind=[0, 1, 0], legend={"G": {"terminal": True}}, gamma=1)
    assert (
        bare.dump() == "gamma = 1.0\nmap = 'S.G'\n\n[wind]\ncolumns = [0, 1, 0]\n\n[legend]\nG = { terminal = true }\n"
    )
    none = GridSpec.parse(COMMENTED).with_changes(column_wind=None, name="")
    assert "wind" not in none.dump()
    assert GridSpec.parse(none.dump()) == none


def test_changes_follow_one_another_and_can_be_undone() -> None:
    spec = GridSpec.parse(COMMENTED)
    changed = spec
    for gamma in (0.1, 0.2, 0.3):
        changed = changed.with_changes(gamma=gamma)
    assert changed.dump() == COMMENTED.replace("0.9 ", "0.3 ")
    assert changed.with_changes(gamma=0.9) == spec
    assert changed.with_changes(gamma=0.9).dump() == COMMENTED


def test_layouts_that_cannot_be_edited_in_place_still_give_the_right_world() -> None:
    text = (
        "map = 'S.G'\nslip.left = 0.1\nlegend.G.terminal = true\nlegend.G.enter_reward = 2\nwind.columns = [0, 1, 0]\n"
    )
    spec = GridSpec.parse(text)
    for changes in (
        {"slip": Slip()},
        {"slip": Slip(0.5, 0.5)},
        {"legend": {"G": {"terminal": True, "enter_reward": 3}}},
        {"column_wind": [1, 1, 0]},
        {"column_wind": None},
        {"gust": {0: 0.5, 1: 0.5}},
        {"legend": {}},
    ):
        changed = spec.with_changes(**changes)
        assert GridSpec.parse(changed.dump()) == changed


def test_changes_of_a_large_map_are_written_in_seconds() -> None:
    rows = ["S" + "." * 499, *["." * 500] * 499]
    spec = GridSpec.parse('gamma = 0.5 # half\nmap = """\n' + "\n".join(rows) + '\n"""\n')
    begun = time.process_time()
    changed = spec.with_changes(step_reward=-1, rows=[*rows[:-1], "#" * 500]).dump()
    assert time.process_time() - begun < 5.0
    assert changed.startswith("gamma = 0.5 # half\nstep_reward = -1.0\nmap = '''\nS..")


def test_changes_are_checked() -> None:
    spec = GridSpec.builtin("four_rooms")
    with pytest.raises(TypeError, match="GridSpec has no setting 'gama': did you mean 'gamma'"):
        spec.with_changes(gama=0.5)
    with pytest.raises(TypeError, match="GridSpec has no setting 'map': did you mean 'rows'"):
        spec.with_changes(map="S.G")
    with pytest.raises(MapError, match=r"four_rooms\.toml: gamma = 2"):
        spec.with_changes(gamma=2)
    with pytest.raises(MapError, match="no start can reach"):
        spec.with_changes(
            rows=[row.replace("....#", ".####", 1) for row in spec.rows[:8]]
            + ["#" * 13] * 3
            + ["#........G###", "#" * 13]
        )


def test_save_replaces_a_file_in_one_step(tmp_path: Path) -> None:
    path = tmp_path / "w.toml"
    spec = GridSpec.parse(COMMENTED)
    spec.save(path)
    assert path.read_text() == COMMENTED
    spec.with_changes(gamma=0.25).save(path)
    assert GridSpec.load(path).gamma == 0.25
    assert [p.name for p in tmp_path.iterdir()] == ["w.toml"]
    with pytest.raises(OSError, match="absent"):
        spec.save(tmp_path / "absent" / "w.toml")


def test_specs_are_values() -> None:
    spec = GridSpec.builtin("windy_gridworld_stochastic")
    assert pickle.loads(pickle.dumps(spec)) == spec
    assert copy.deepcopy(spec) == spec
    assert hash(spec) == hash(GridSpec.builtin("windy_gridworld_stochastic"))
    assert spec != spec.with_changes(gamma=0.5)
    assert spec.compile() is spec.compile()
    with pytest.raises(AttributeError):
        spec.gamma = 0.5  # type: ignore[misc]


# --- going round ----------------------------------------------------------------------------------------------------

CHARACTERS = st.characters(codec="utf-8").filter(str.isprintable)
NUMBERS = st.floats(-1e6, 1e6) | st.integers(-100, 100)


@st.composite
def slips(draw: st.DrawFn) -> Slip:
    weights = draw(st.lists(st.integers(0, 9), min_size=4, max_size=4).filter(any))
    return Slip(*(w / sum(weights) for w in weights))


@st.composite
def specs(draw: st.DrawFn) -> GridSpec:
    height, width = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    names = st.none() | st.text(st.characters(codec="utf-8"), max_size=8)
    cells = st.tuples(st.integers(0, height - 1), st.integers(0, width - 1))
    own = draw(st.lists(CHARACTERS, max_size=4, unique=True))
    legend: dict[str, Tile] = {}
    for character in own:
        kind = draw(st.sampled_from(["wall", "terminal", "floor", "start", "leave"]))
        common = {"name": draw(names), "glyph": draw(st.sampled_from([None, "ice", "pit"]))}
        paid = {"step_reward": draw(st.none() | NUMBERS), "enter_reward": draw(NUMBERS)}
        left = {"leave_reward": draw(NUMBERS)}
        legend[character] = {
            "wall": lambda c=common: Tile(wall=True, **c),
            "terminal": lambda c=common, p=paid: Tile(terminal=True, **c, **p),
            "floor": lambda c=common, p=paid: Tile(**c, **p, slip=draw(st.none() | slips())),
            "start": lambda c=common, p=left: Tile(
                **c, **p, start=draw(st.floats(0.125, 100)), enter_to=draw(st.none() | cells)
            ),
            "leave": lambda c=common, p=left: Tile(**c, **p, leave_to=draw(st.sampled_from([*own, "S"]) | cells)),
        }[kind]()
    letters = st.sampled_from([*DEFAULT_LEGEND, *legend, ".", "."])
    rows = [draw(st.lists(letters, min_size=width, max_size=width)) for _ in range(height)]
    rows[draw(st.integers(0, height - 1))][draw(st.integers(0, width - 1))] = "S"
    wind = st.integers(-3, 3)
    column_wind = draw(st.none() | st.lists(wind, min_size=width, max_size=width))
    row_wind = draw(st.none() | st.lists(wind, min_size=height, max_size=height))
    gust = draw(st.sampled_from([{0: 1.0}, {-1: 1 / 3, 0: 1 / 3, 1: 1 / 3}, {2: 0.1, -5: 0.9}]))
    names_of_moves = st.lists(st.sampled_from([*MOVES]), min_size=1, max_size=9, unique=True)
    arguments: dict[str, Any] = {
        "legend": legend,
        "moves": draw(st.sampled_from([4, 5, 8, 9]) | names_of_moves),
        "slip": draw(slips()),
        "column_wind": column_wind,
        "row_wind": row_wind,
        "gust": gust if any(column_wind or ()) or any(row_wind or ()) else None,
        "step_reward": draw(NUMBERS),
        "bump_reward": draw(st.none() | NUMBERS),
        "gamma": draw(st.floats(0, 1)),
        "max_episode_steps": draw(st.none() | st.integers(1, 10_000)),
        "name": draw(names) or "",
        "title": draw(names) or "",
        "citation": draw(names) or "",
    }
    try:
        return GridSpec(["".join(row) for row in rows], **arguments)
    except MapError:  # two starts, no way to the goal ...: then an open field, with the same settings
        open_field = ["." * width] * (height - 1) + ["S" + "." * (width - 1)]
        try:
            return GridSpec(open_field, **arguments)
        except MapError:  # moves that lead nowhere, or a dot that is a wall
            assume(False)
            raise


@settings(max_examples=60, deadline=None)
@given(specs(), specs())
def test_any_spec_goes_round(spec: GridSpec, other: GridSpec) -> None:
    parsed = GridSpec.parse(spec.dump())
    assert parsed == spec
    assert parsed.dump() == spec.dump()
    assert parsed.compile().P == spec.compile().P
    changed = parsed.with_changes(**arguments(other))
    assert changed == other
    assert GridSpec.parse(changed.dump()) == other


def paths_of(value: Any, path: tuple[Any, ...] = ()) -> set[tuple[Any, ...]]:
    inside: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return {path, *(deep for key, item in inside for deep in paths_of(item, (*path, key)))}


@settings(max_examples=60, deadline=None)
@given(specs())
def test_every_value_has_its_place(spec: GridSpec) -> None:
    text = spec.dump()
    data = tomllib.loads(text)
    places = Places(text)
    tables = {(), ("legend",), ("wind",)}
    assert {*places.values, *tables} == paths_of(data) | tables
    for path, (begin, end) in places.values.items():
        value: Any = data
        for part in path:
            value = value[part]
        assert tomllib.loads("x = " + places.text[begin:end])["x"] == value
        if isinstance(path[-1], str):
            assert places.text[places.keys[path]] in (path[-1][0], '"')


def test_places_of_everything_that_toml_can_write() -> None:
    text = (
        'a.b . "c d" = 1 # = [\n[ t . "x" ]\nk = { u = [1, [2, 3], # ]\n {v = "]\\"}"}], w = \'}#\' }\n'
        '[[l]]\nm = \'\'\'\nit\'\'\'\'\n[[l]]\nm = """\\\n  a"""""\n'
        "[l.n]\no = 1979-05-27 07:32:00 # late\np = -1_0.5e-3\n"
    )
    places = Places(text)
    expected = paths_of(tomllib.loads(text)) - {(), ("a",), ("a", "b"), ("t",), ("t", "x"), ("l",), ("l", 0), ("l", 1)}
    assert set(places.values) == expected - {("l", 1, "n")}
    begin, end = places.values[("l", 1, "n", "o")]
    assert text[begin:end] == "1979-05-27 07:32:00"
    assert places.position(places.keys[("a", "b", "c d")]) == (1, 7)


MUTANTS = [
    *("'", '"', "'''", '"""', "[", "]", "{", "}", "=", "#", "\n", ".", ",", "S", "G", "H", "1", "-1", "1e999", "nan"),
    *(
        "inf",
        "true",
        "[legend]\n",
        "[wind]\n",
        "gust = { 0 = 1 }\n",
        "\\",
        "\\u0041",
        "\x00",
        "é",
        "\ud800",
        "😀",
        "slip",
    ),
    *(
        "= 0.5",
        "0x1",
        "1979-05-27",
        "[[x]]\n",
        "\r",
        "\r\n",
        "\t",
        " ",
        '"1/3"',
        '"1/0"',
        "-0.0",
        "1_000",
        "a.b.c = 1\n",
    ),
    *('key = "red"', 'door = "red"', 'switch = "red"', 'pickup = "coin"', "consumes_key = true", "stays_on = true"),
    *("walls = ", "|", "-", "ends_when_collected = true\n", "[[change]]\nat = 3\n", "at = 9\n", "base = 'base.toml'\n"),
    *("base = '.'\n", "base = 'absent.toml'\n", "k", "D", "*", "o"),
]


def attempt(text: str) -> tuple[GridSpec | None, MapError | None]:
    try:
        return GridSpec.parse(text), None
    except MapError as error:
        return None, error


def mutate(rng: random.Random, texts: list[str]) -> str:
    text = rng.choice(texts)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
        begin = rng.randrange(len(text) + 1)
        end = min(len(text), begin + rng.choice((0, 1, 1, 2, 5, 20, 200)))
        piece = rng.choice([*MUTANTS, text[begin:end], text[begin:end] * 3])
        text = rng.choice(
            [text[:begin] + text[end:], text[:begin] + piece + text[begin:], text[:begin] + piece + text[end:]]
        )
    return text


@pytest.mark.parametrize(
    ("seed", "number", "every"), [(0, 1000, 1), pytest.param(1, 100_000, 50, marks=pytest.mark.slow)]
)
def test_mutated_texts_load_or_say_where_they_are_wrong(
    seed: int, number: int, every: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None hangs, none takes much memory, and of those that load every so manieth goes round."""
    monkeypatch.chdir(tmp_path)
    base = "map = 'S.~#G'\nslip = { left = 0.1 }\n[legend]\n'~' = { slip = { back = 0.5 } }\n"
    (tmp_path / "base.toml").write_text(base)
    rng = random.Random(seed)
    texts = [GridSpec.builtin(name).dump() for name in NAMES] + [COMMENTED, base + "[wind]\nrows = [1]\n"]
    texts += [block for _, block in examples("toml")]
    texts.append("base = 'base.toml'\ngamma = 0.5\n[legend]\n'#' = { step_reward = -1 }\n")
    loaded = 0
    slowest = 0.0
    for i in range(number):
        text = mutate(rng, texts)
        begun = time.process_time()
        spec, error = attempt(text)
        slowest = max(slowest, time.process_time() - begun)
        if spec is not None:
            loaded += 1
            if i % every == 0:
                assert GridSpec.parse(GridSpec(**arguments(spec)).dump()) == spec
        else:
            assert error is not None
            assert error.line is not None
            assert error.column is not None
            lines = (base if error.source == "base.toml" else text).split("\n")
            assert 1 <= error.line <= len(lines)
            assert 1 <= error.column <= len(lines[error.line - 1]) + 1
    assert 0.1 < loaded / number < 0.9
    assert slowest < 2.0


def test_quoted() -> None:
    for text in ("", 'a "b" \\ c', "line\nbreak\t\r\x00\x7f\x1f", "é 😀 \u2028"):
        assert tomllib.loads(f"x = {quoted(text)}")["x"] == text


# --- the page that teaches it ---------------------------------------------------------------------------------------


def examples(language: str) -> list[tuple[int, str]]:
    """(line, text) of every block of a language in docs/maps.md."""
    page = DOCS.read_text(encoding="utf-8")
    return [(page.count("\n", 0, m.start()) + 1, m[1]) for m in re.finditer(rf"```{language}\n(.*?)```", page, re.S)]


@pytest.mark.parametrize(("line", "text"), examples("toml"))
def test_every_example_of_the_page_is_a_world(line: int, text: str) -> None:
    spec = GridSpec.parse(text, source=f"{DOCS.name}:{line}")
    assert spec.dump() == text
    assert GridSpec(**arguments(spec)) == spec
    assert spec.compile().to_mdp().num_states == spec.compile().num_states


def test_the_python_of_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_world.toml").write_text(examples("toml")[0][1])
    scope: dict[str, Any] = {}
    for _, text in examples("python"):
        exec(text, scope)
    assert scope["model"].num_states == 8
    assert scope["env"].unwrapped.model.num_states == 8


def test_the_page_names_every_key_and_world() -> None:
    page = DOCS.read_text(encoding="utf-8")
    for field in fields(Tile):
        assert f"`{field.name}`" in page
    worlds = DOCS.with_name("worlds.md").read_text(encoding="utf-8")
    for name in NAMES:
        assert f"`{name}`" in worlds


def test_the_errors_of_the_page_are_those_that_come() -> None:
    page = " ".join(DOCS.read_text(encoding="utf-8").split())
    ragged = failure("name = 'x'\nmap = '''\nS...\n.G.\n....\n'''")
    assert f"row 1 of the map has 3 characters, the others 4; {ragged.message.split('; ')[1]}" in page
    assert failure("map = 'S.G'\ngama = 1").message in page
