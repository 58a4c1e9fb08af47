"""`GridModel` against a slow oracle written from its module's text, one cell and one move at a time."""

import copy
import random
from itertools import accumulate, pairwise

import numpy as np
import pytest

from rlgrid import GridModel, Slip, TileKind
from rlgrid.envs.gridworld import GridWorld
from rlgrid.gridmodel import DEFAULT_ACTIONS, MOVES
from rlgrid.kernels.model import count, outcome, sample, sample_start
from rlgrid.reach import steps

FLOOR, WALL = TileKind("floor"), TileKind("wall", "#", wall=True)
END = TileKind("end", "G", terminal=True, enter_reward=1.0)
RING = ["up", "up-right", "right", "down-right", "down", "down-left", "left", "up-left"]
Outcome = tuple[float, int, float, bool]


# --- the oracle -----------------------------------------------------------------------------------------------------


def turned(action: str, eighths: int) -> str:
    return RING[(RING.index(action) + eighths) % 8]


def directions(model: GridModel, action: str, slip: Slip) -> list[tuple[float, str]]:
    """(probability, move) in the order of the outcomes; what has probability 0 is no outcome."""
    if action == "stay":
        return [(1.0, "stay")]
    side = 1 if any("-" in name for name in model.actions) else 2
    left, right, back = turned(action, -side), turned(action, side), turned(action, 4)
    number = model.actions.index(action)
    circle = max(4, len([name for name in model.actions if name != "stay"]) // 4 * 4)
    before = (number - 1) % circle
    numbered = [*model.actions, *(name for name in MOVES if name not in model.actions)]
    order = [(slip.left, left), (slip.forward, action), (slip.right, right), (slip.back, back)]
    if numbered.index(right) == before:
        order[0], order[2] = order[2], order[0]
    return [(p, move) for p, move in order if p > 0]


def landing(model: GridModel, row: int, column: int, move: str, gust: int) -> tuple[int, int, bool]:
    """Where a move and the wind end, before teleports, and whether a wall or the edge kept the agent in its cell."""
    height, width = model.shape

    def wall(r: int, c: int) -> bool:
        return 0 <= r < height and 0 <= c < width and model.kinds[model.tiles[r, c]].wall

    d_row, d_column = MOVES[move]
    r, c = row + d_row, column + d_column
    stopped = wall(r, c)
    if stopped:
        r, c = row, column
    up, right = int(model.column_wind[column]), int(model.row_wind[row])
    up, right = up + gust if up else 0, right + gust if right else 0
    for strength, step in ((up, (-1, 0)), (right, (0, 1))):
        for _ in range(abs(strength)):
            sign = 1 if strength > 0 else -1
            if wall(r + sign * step[0], c + sign * step[1]):
                break
            r, c = r + sign * step[0], c + sign * step[1]
    if (d_row and not 0 <= r < height) or (d_column and not 0 <= c < width):
        stopped = True
    r, c = min(max(r, 0), height - 1), min(max(c, 0), width - 1)
    if wall(r, c):
        r, c, stopped = row, column, True
    return r, c, stopped and (r, c) == (row, column)


def oracle(model: GridModel, state: int, a: int) -> list[Outcome]:
    """The outcomes of a pair, from the text of rlgrid.gridmodel."""
    row, column = divmod(state, model.shape[1])
    here = model.kinds[model.tiles[row, column]]

    def step_reward(kind: TileKind) -> float:
        return model.step_reward if kind.step_reward is None else kind.step_reward

    def bump_reward() -> float:
        if here.bump_reward is not None:
            return here.bump_reward
        return step_reward(here) if model.bump_reward is None else model.bump_reward

    if here.wall or here.terminal:
        return [(1.0, state, 0.0, True)]
    if here.leave_to is not None:
        kind = model.kind_of(here.leave_to)
        entering = kind.enter_reward if here.leave_to != state else 0.0
        return [(1.0, here.leave_to, step_reward(kind) + here.leave_reward + entering, kind.terminal)]
    blown = model.column_wind[column] != 0 or model.row_wind[row] != 0
    result = []
    for p, move in directions(model, model.actions[a], here.slip or model.slip):
        for gust, q in model.gust.items() if blown else [(0, 1.0)]:
            r, c, bumped = landing(model, row, column, move, gust)
            to = r * model.shape[1] + c
            kind = model.kinds[model.tiles[r, c]]
            reward = here.leave_reward + (bump_reward() if bumped else step_reward(kind))
            if to != state:
                reward += kind.enter_reward
                if kind.enter_to is not None:
                    to = kind.enter_to
            result.append((p * q, to, reward, model.kind_of(to).terminal))
    return result


def random_slip(rng: random.Random) -> Slip:
    eighths = [rng.choice([0, 0, 1, 2]) for _ in range(3)]
    return Slip.sideways(*(n / 8 for n in eighths))


def random_model(rng: random.Random) -> GridModel:
    """A small world in which every part of the dynamics occurs; rewards and probabilities are exact in binary."""
    height, width = rng.randint(1, 5), rng.randint(1, 5)
    cells = height * width

    def reward() -> float:
        return rng.randint(-8, 8) / 4

    def maybe(value: float) -> float | None:
        return value if rng.random() < 0.4 else None

    free = rng.randrange(cells)  # no wall here: the start, and where teleports lead
    kinds = [
        FLOOR,
        WALL,
        TileKind("end", terminal=True, enter_reward=reward(), step_reward=maybe(reward())),
        TileKind("cost", step_reward=reward(), bump_reward=maybe(reward()), leave_reward=reward()),
        TileKind("ice", slip=random_slip(rng), enter_reward=reward()),
        TileKind("hole", enter_to=free, enter_reward=reward(), step_reward=maybe(reward())),
        TileKind("lift", leave_to=free, leave_reward=reward()),
    ]
    weights = [6, rng.choice([0, 2, 6]), 1, 2, 2, 1, 1]
    tiles = np.array(rng.choices(range(len(kinds)), weights, k=cells))
    tiles[free] = rng.choice([0, 0, 2, 3, 5, 6])
    gust = {0: 1.0}
    if rng.random() < 0.6:
        gust = rng.choice([{-1: 0.25, 0: 0.5, 1: 0.25}, {1: 0.5, -2: 0.5}, {2: 1.0}])
    lists = ["left", "down", "right", "up"], ["left", "right"], ["up-left", "down"], ["up", "down", "left", "right"]
    return GridModel(
        tiles.reshape(height, width),
        kinds,
        gamma=0.9,
        actions=rng.choice([4, 4, 5, 8, 9, *lists]),
        slip=random_slip(rng),
        column_wind=[rng.choice([0, 0, 1, -1, 2]) for _ in range(width)] if rng.random() < 0.5 else None,
        row_wind=[rng.choice([0, 0, 1, -1, 3]) for _ in range(height)] if rng.random() < 0.4 else None,
        gust=gust,
        step_reward=reward(),
        bump_reward=maybe(reward()),
        start=free,
    )


# --- dynamics -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(10))
def test_outcomes_are_those_of_the_oracle_in_order(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(40):
        model = random_model(rng)
        table = model.P
        for s in range(model.num_states):
            for a in range(model.num_actions):
                assert table[s][a] == oracle(model, s, a), (model.tiles, model.kinds, s, model.actions[a])


def test_the_random_worlds_exercise_every_rule() -> None:
    """The oracle proves nothing about what its worlds leave out."""
    rng = random.Random(0)
    seen: set[str] = set()
    for _ in range(40):
        model = random_model(rng)
        for s in range(model.num_states):
            row, column = model.cell_of(s)
            kind = model.kind_of(s)
            if kind.wall or kind.terminal or kind.leave_to is not None:
                seen.add("certain")
                continue
            windy = bool(model.column_wind[column] or model.row_wind[row])
            for action in model.actions:
                for _p, move in directions(model, action, kind.slip or model.slip):
                    r, c, bumped = landing(model, row, column, move, 0)
                    still = (r, c) == (row, column)
                    seen |= {f"bumped {bumped}, still {still}, windy {windy}"}
                    if not still and model.kinds[model.tiles[r, c]].enter_to is not None:
                        seen.add("sent on")
    assert "certain" in seen
    assert "sent on" in seen
    for windy in (False, True):
        assert {f"bumped True, still True, windy {windy}", f"bumped False, still False, windy {windy}"} <= seen
    assert "bumped False, still True, windy True" in seen  # carried back to where it was, by no wall or edge


@pytest.mark.parametrize("form", ["grid", "explicit"])
def test_sample_takes_the_first_outcome_whose_cumulative_sum_exceeds_u(form: str) -> None:
    rng = random.Random(7)
    for _ in range(25):
        model = random_model(rng)
        arrays = model.arrays if form == "grid" else model.to_mdp().arrays
        for _ in range(60):
            s, a = rng.randrange(model.num_states), rng.randrange(model.num_actions)
            outcomes = oracle(model, s, a)
            sums = np.cumsum([p for p, *_ in outcomes])
            u = rng.choice([rng.random(), 0.0, float(rng.choice(sums)), np.nextafter(float(rng.choice(sums)), 0)])
            chosen = int(np.argmax(sums > u)) if u < 1 else 0
            p, to, reward, terminated = outcomes[chosen]
            assert sample(arrays, s, a, u) == (to, reward, terminated, p)


def test_sample_where_rounding_leaves_no_outcome_takes_the_first() -> None:
    """Three times 0.1 + 0.7 sums to less than 1 in floats; toy_text's argmax over a row of False is 0."""
    slip = Slip(forward=0.7, left=0.1, right=0.1, back=0.1)
    model = GridModel([[0, 0, 0], [0, 0, 0], [0, 0, 0]], [FLOOR], slip=slip)
    u = np.nextafter(1.0, 0.0)
    sums = np.cumsum([p for p, *_ in model.P[4][0]])
    assert sums[-1] <= u
    assert sample(model.arrays, 4, 0, u)[0] == sample(model.to_mdp().arrays, 4, 0, u)[0] == model.P[4][0][0][1]


def test_the_two_forms_have_the_same_outcomes() -> None:
    rng = random.Random(3)
    for _ in range(20):
        model = random_model(rng)
        explicit = model.to_mdp().arrays
        for s in range(model.num_states):
            for a in range(model.num_actions):
                n = count(model.arrays, s, a)
                assert n == count(explicit, s, a)
                for k in range(n):
                    assert outcome(model.arrays, s, a, k) == outcome(explicit, s, a, k)


def test_sample_start() -> None:
    model = GridModel([[0, 0, 0, 0]], [FLOOR], start={3: 0.25, 1: 0.75})
    assert model.start_states.tolist() == [1, 3]
    assert model.start.tolist() == [0, 0.75, 0, 0.25]
    for u, state in ((0.0, 1), (0.7499, 1), (0.75, 3), (0.9999, 3)):
        assert sample_start(model.arrays, u) == state
        assert sample_start(model.to_mdp().arrays, u) == state


def test_of_many_starts_the_first_is_taken_whose_sum_exceeds_the_number() -> None:
    """In kernels and in environments, the sums as a loop over the probabilities makes them; the first if none does."""
    rng = np.random.default_rng(0)
    weights = rng.random(400) * (rng.random(400) < 0.7) + 1e-9
    probability = weights / weights.sum() - 1e-14  # 4e-12 are missing at the end
    model = GridModel(np.zeros((20, 20), np.uint8), [TileKind("floor")], start=dict(enumerate(probability.tolist())))
    sums = np.array(list(accumulate(probability.tolist())))
    env = GridWorld(model=model)
    for u in (0.0, *rng.random(300), *sums[::7], *np.nextafter(sums[::7], 0.0), np.nextafter(1.0, 0.0)):
        exceeding = np.flatnonzero(sums > u)
        state = exceeding[0] if exceeding.size else 0
        assert sample_start(model.arrays, u) == sample_start(model.to_mdp().arrays, u) == state
        env._np_random = Given(u)  # type: ignore[assignment]
        assert env.reset()[0] == state


class Given:
    """A generator that gives one number."""

    def __init__(self, u: float) -> None:
        self.u = u

    def random(self) -> float:
        return float(self.u)


def test_a_walk_through_a_small_world_by_hand() -> None:
    """S . #      right: 0 -> 1; right again: a wall, the bump reward; down: onto ice; down: off the grid.
    . ~ G"""
    ice = TileKind("ice", "~", step_reward=-2.0, bump_reward=-7.0, leave_reward=0.5)
    model = GridModel([[0, 0, 1], [0, 3, 2]], [FLOOR, WALL, END, ice], step_reward=-1.0, bump_reward=-3.0)
    up, right, down, left = range(4)
    assert model.P[0][right] == [(1.0, 1, -1.0, False)]
    assert model.P[0][up] == [(1.0, 0, -3.0, False)]
    assert model.P[1][right] == [(1.0, 1, -3.0, False)]
    assert model.P[1][down] == [(1.0, 4, -2.0, False)]
    assert model.P[4][down] == [(1.0, 4, -6.5, False)]
    assert model.P[4][left] == [(1.0, 3, -0.5, False)]
    assert model.P[4][right] == [(1.0, 5, 0.5, True)]
    assert model.P[5] == {a: [(1.0, 5, 0.0, True)] for a in range(4)}
    assert model.P[2] == {a: [(1.0, 2, 0.0, True)] for a in range(4)}


def test_slip_with_four_moves_is_to_right_angles_and_with_eight_to_half_of_them() -> None:
    open_floor = np.zeros((3, 3), int)
    slip = Slip(forward=0.5, left=0.25, right=0.125, back=0.125)
    for actions, left, right in ((4, 3, 5), (5, 3, 5), (8, 0, 2), (9, 0, 2)):
        run = GridModel(open_floor, [FLOOR], actions=actions, slip=slip).P[4][0]
        assert {(p, to) for p, to, _, _ in run} == {(0.5, 1), (0.25, left), (0.125, right), (0.125, 7)}


def test_stay_never_slips_but_is_blown() -> None:
    model = GridModel(np.zeros((3, 1), int), [FLOOR], actions=5, slip=Slip.sideways(0.5, 0.5), column_wind=[1])
    assert model.P[2][4] == [(1.0, 1, 0.0, False)]


def test_wind_stops_at_walls_and_the_edge() -> None:
    model = GridModel([[0, 0], [1, 0], [0, 0], [0, 0]], [FLOOR, WALL], actions=5, column_wind=[3, 3], step_reward=-1)
    stay = 4
    assert model.P[6][stay] == [(1.0, 4, -1.0, False)]  # column 0: the wall at row 1
    assert model.P[7][stay] == [(1.0, 1, -1.0, False)]  # column 1: the edge
    assert GridModel(np.zeros((1, 4), int), [FLOOR], actions=5, row_wind=[2]).P[3][stay] == [(1.0, 3, 0.0, False)]


def test_gust_comes_where_a_wind_blows_only() -> None:
    model = GridModel(np.zeros((4, 2), int), [FLOOR], column_wind=[1, 0], gust={-1: 0.25, 0: 0.5, 1: 0.25})
    assert [(p, to) for p, to, _, _ in model.P[4][1]] == [(0.25, 5), (0.5, 3), (0.25, 1)]
    assert [(p, to) for p, to, _, _ in model.P[5][1]] == [(1.0, 5)]


@pytest.mark.parametrize("seed", range(4))
def test_steps_are_the_moves_of_positive_probability(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(40):
        model = random_model(rng)
        table = model.P
        moves = {(s, to) for s in table for run in table[s].values() for p, to, _, _ in run if p > 0 and to != s}
        assert {(int(s), int(to)) for s, to in zip(*steps(model), strict=True)} == moves


# --- the model as a thing -------------------------------------------------------------------------------------------


def test_views() -> None:
    model = GridModel([[0, 1, 2]], [FLOOR, WALL, END], gamma=0.5, name="line", max_episode_steps=7)
    assert (model.shape, model.num_states, model.num_actions) == ((1, 3), 3, 4)
    assert model.actions == DEFAULT_ACTIONS[4]
    assert model.absorbing.tolist() == [False, True, True]
    assert model.walls.tolist() == [False, True, False]
    assert model.available is None
    assert model.cell_of(2) == (0, 2)
    assert model.state_of(0, 2) == 2
    assert repr(model) == "GridModel('line', 1 x 3, 4 actions, gamma=0.5)"
    explicit = model.to_mdp()
    assert (explicit.gamma, explicit.shape, explicit.max_episode_steps) == (0.5, (1, 3), 7)
    assert explicit.absorbing.tolist() == model.absorbing.tolist()
    assert explicit.start.tolist() == model.start.tolist()
    with pytest.raises(ValueError, match=r"cell \(1, 0\) is outside the grid of 1 x 3"):
        model.state_of(1, 0)


def test_tiles_take_one_byte_until_there_are_more_than_256_kinds() -> None:
    many = [TileKind(str(k)) for k in range(300)]
    assert GridModel([[0, 255]], many[:256]).tiles.dtype == np.uint8
    wide = GridModel([[0, 299]], many)
    assert wide.tiles.dtype == np.uint16
    assert wide.kind_of(1).name == "299"
    assert wide.P[0][1] == [(1.0, 1, 0.0, False)]


def test_with_changes() -> None:
    model = random_model(random.Random(5))
    same = model.with_changes()
    assert same.P == model.P
    changed = model.with_changes(gamma=0.25, slip=Slip(), name="other")
    assert (changed.gamma, changed.slip, changed.name) == (0.25, Slip(), "other")
    assert (changed.tiles == model.tiles).all()
    slippery = GridModel(np.zeros((3, 3), int), [FLOOR]).with_slip_each_side(0.25)
    assert [p for p, *_ in slippery.P[4][0]] == [0.25, 0.5, 0.25]
    with pytest.raises(TypeError, match="GridModel has no setting 'discount'"):
        model.with_changes(discount=0.5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tiles": [[0, 9]]}, "tile 9 at row 0, column 1 is not one of the 3 kinds"),
        ({"tiles": [[0, -1]]}, "tile -1 at row 0, column 1"),
        ({"tiles": [0, 1]}, r"tiles must be integers \[H, W\]"),
        ({"tiles": [[0.5, 1.0]]}, r"tiles must be integers \[H, W\]"),
        ({"gamma": 1.5}, r"gamma must lie in \[0, 1\], not 1.5"),
        ({"actions": 7}, "actions must be 4, 5, 8 or 9"),
        ({"actions": ["up", "upp"]}, "actions must be different names"),
        ({"actions": ["up", "up"]}, "actions must be different names"),
        ({"actions": []}, "actions must be different names"),
        ({"column_wind": [1]}, "column_wind must be 3 integers"),
        ({"row_wind": [0.5]}, "row_wind must be 1 integers"),
        ({"gust": {0: 0.5, 1: 0.4}}, "the probabilities of gust sum to 0.9, not 1"),
        ({"gust": {0: 1.5, 1: -0.5}}, r"gust 0 has probability 1.5, which is not in \[0, 1\]"),
        ({"step_reward": np.nan}, "step_reward = nan is not finite"),
        ({"bump_reward": np.inf}, "bump_reward = inf is not finite"),
        ({"kinds": [FLOOR, WALL, TileKind("x", enter_reward=np.inf)]}, "tile 'x': enter_reward = inf is not finite"),
        ({"kinds": [FLOOR, WALL, TileKind("x", enter_to=3)]}, "tile 'x': enter_to = 3 is not a state 0 to 2"),
        ({"kinds": [FLOOR, WALL, TileKind("x", leave_to=1)]}, r"tile 'x': leave_to leads into a wall at \(0, 1\)"),
        ({"kinds": [FLOOR, WALL, TileKind("x", enter_to=1.5)]}, "tile 'x': enter_to = 1.5 is not a state 0 to 2"),  # type: ignore[arg-type]
        ({"start": {0.7: 1.0}}, "start state 0.7 is not one of the states 0 to 2"),
        ({"max_episode_steps": -3}, "max_episode_steps must be at least 1, not -3"),
        ({"start": 3}, "start state 3 is not one of the states 0 to 2"),
        ({"start": 1}, r"start state 1 at \(0, 1\) is a wall"),
        ({"start": {0: 0.5, 2: 0.4}}, "the start probabilities sum to 0.9, not 1"),
        ({"start": {0: 1.5, 2: -0.5}}, "start state 2 has probability -0.5"),
    ],
)
def test_errors_name_the_culprit(settings: dict[str, object], message: str) -> None:
    good: dict[str, object] = {"tiles": [[0, 1, 2]], "kinds": [FLOOR, WALL, END]}
    with pytest.raises(ValueError, match=message):
        GridModel(**(good | settings))  # type: ignore[arg-type]


def test_probabilities_of_any_float_are_kept_as_float64() -> None:
    slip = Slip(np.float32(0.5), np.float32(0.25), 0, np.float32(0.25))  # type: ignore[arg-type]
    assert [type(p) for p in (slip.forward, slip.left, slip.right, slip.back)] == [float] * 4
    tenths = np.float32([0.1, 0.45, 0.45])
    assert tenths.sum() == 1  # in their own digits alone
    with pytest.raises(ValueError, match=r"sum to 0.99999997\d+, not 1"):
        Slip(*tenths)
    with pytest.raises(ValueError, match=r"start probabilities sum to 0.99999997\d+, not 1"):
        GridModel(np.zeros((2, 2), int), [TileKind("floor")], start=dict(enumerate(tenths)))
    with pytest.raises(TypeError, match="slip left = '0' is not a probability"):
        Slip(1.0, "0")  # type: ignore[arg-type]


def test_a_copy_is_the_model_itself_and_nothing_of_it_is_the_callers() -> None:
    wind = np.array([1, 0])
    model = GridModel(np.zeros((2, 2), int), [TileKind("floor")], column_wind=wind, row_wind=wind)
    wind[:] = 9
    assert model.column_wind.tolist() == model.row_wind.tolist() == [1, 0]
    assert copy.deepcopy({"models": [model, model.to_mdp()]})["models"] == [model, model.to_mdp()]


def test_slip_errors() -> None:
    with pytest.raises(ValueError, match=r"slip left = 1\.5 is not a probability"):
        Slip(forward=0.0, left=1.5)
    with pytest.raises(ValueError, match=r"sum to 0\.9, not 1"):
        Slip(forward=0.9)
    with pytest.raises(ValueError, match=r"slip forward = nan"):
        Slip(forward=float("nan"))


def test_every_run_is_a_distribution() -> None:
    rng = random.Random(11)
    for _ in range(20):
        mdp = random_model(rng).to_mdp()
        for begin, end in pairwise(mdp.offsets.tolist()):
            assert end > begin
            assert mdp.probability[begin:end].sum() == pytest.approx(1.0, abs=1e-12)
