"""`MDP`: every way in gives the same model, and what is wrong is named by state and action."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st

from rlgrid import MDP

S, A = 4, 2
Table = dict[int, dict[int, list[tuple[float, int, float, bool]]]]


def random_arrays(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """P [S, A, S] with zeros in it, and R [S, A, S]."""
    rng = np.random.default_rng(seed)
    P = rng.random((S, A, S)) * (rng.random((S, A, S)) < 0.6)
    P[..., 0] += 0.1
    return P / P.sum(axis=2, keepdims=True), rng.normal(size=(S, A, S))


def sparse(array: np.ndarray) -> list[Any]:
    return [scipy.sparse.csr_matrix(array[:, a, :]) for a in range(array.shape[1])]


def expected(P: np.ndarray, reward: np.ndarray, ends: np.ndarray | None = None) -> Table:
    """The table that arrays mean, entry by entry; reward [S, A, S]."""
    ends = np.zeros(S, bool) if ends is None else ends
    return {
        s: {
            a: [(1.0, s, 0.0, True)]
            if ends[s]
            else [(P[s, a, t], t, reward[s, a, t], bool(ends[t])) for t in range(S) if P[s, a, t] > 0]
            for a in range(A)
        }
        for s in range(S)
    }


# --- from_arrays ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("form", ["R(s)", "R(s, a)", "R(s, a, s')"])
def test_the_reward_forms_dense_and_sparse(seed: int, form: str) -> None:
    P, full = random_arrays(seed)
    given_reward = {"R(s)": full[:, 0, 0], "R(s, a)": full[:, :, 0], "R(s, a, s')": full}[form]
    spread = given_reward.reshape(given_reward.shape + (1,) * (3 - given_reward.ndim))
    table = expected(P, np.broadcast_to(spread, (S, A, S)))
    ways: list[tuple[Any, Any]] = [(P, given_reward), (sparse(P), given_reward), (P.tolist(), given_reward.tolist())]
    if form == "R(s, a, s')":
        ways += [(P, sparse(full)), (sparse(P), sparse(full))]
    for transitions, reward in ways:
        mdp = MDP.from_arrays(transitions, reward, gamma=0.9)
        assert table == mdp.P
        assert mdp.reward_form == form
        assert (mdp.num_states, mdp.num_actions, mdp.gamma) == (S, A, 0.9)
        assert mdp.start.tolist() == [0.25] * 4


@pytest.mark.parametrize("container", [scipy.sparse.csr_array, scipy.sparse.csc_matrix, scipy.sparse.coo_array])
def test_sparse_formats(container: Any) -> None:
    P, full = random_arrays(1)
    mdp = MDP.from_arrays([container(P[:, a]) for a in range(A)], full, gamma=0.9)
    assert expected(P, full) == mdp.P


def test_sparse_duplicates_and_stored_zeros_are_summed_and_left_out() -> None:
    doubled = scipy.sparse.coo_array(([0.25, 0.5, 0.25, 0.0, 1.0], ([0, 0, 0, 0, 1], [1, 0, 1, 1, 1])), shape=(2, 2))
    assert MDP.from_arrays([doubled], [1.0, 2.0], gamma=0.5).P == {
        0: {0: [(0.5, 0, 1.0, False), (0.5, 1, 1.0, False)]},
        1: {0: [(1.0, 1, 2.0, False)]},
    }


@pytest.mark.parametrize("dense", [True, False])
def test_terminal_states_are_worth_nothing_and_end_the_steps_that_enter_them(dense: bool) -> None:
    P, full = random_arrays(2)
    ends = np.array([False, True, False, True])
    mdp = MDP.from_arrays(P if dense else sparse(P), full, gamma=0.9, terminal=ends)
    assert expected(P, full, ends) == mdp.P
    assert mdp.absorbing.tolist() == ends.tolist()


def test_rewards_of_leaving_a_terminal_state_are_not_used() -> None:
    P, full = random_arrays(3)
    ends = np.array([True, False, False, False])
    by_action = MDP.from_arrays(P, full[:, :, 0], gamma=0.9, terminal=ends)
    assert by_action.P[0] == {a: [(1.0, 0, 0.0, True)] for a in range(A)}
    with pytest.raises(ValueError, match=r"state 0 is terminal but R\(0\) = 2: .*Set it to 0"):
        MDP.from_arrays(P, [2.0, 1.0, 1.0, 1.0], gamma=0.9, terminal=ends)
    collected = MDP.from_arrays(P, [0.0, 1.0, 1.0, 1.0], gamma=0.9, terminal=ends)
    assert all(r == 1.0 for s in (1, 2, 3) for a in range(A) for _, _, r, _ in collected.P[s][a])


def test_rows_of_zeros_may_stand_where_an_action_is_missing_or_a_state_is_terminal() -> None:
    P, full = random_arrays(4)
    P[1] = 0
    P[2, 1] = 0
    available = np.ones((S, A), bool)
    available[2, 1] = False
    mdp = MDP.from_arrays(P, full, gamma=0.9, terminal=[False, True, False, False], available=available)
    assert mdp.P[2][1] == []
    assert mdp.available is not None
    assert mdp.available.tolist() == available.tolist()
    assert MDP.from_arrays(random_arrays(4)[0], full, gamma=0.9).available is None


def test_start() -> None:
    P, full = random_arrays(0)
    assert MDP.from_arrays(P, full, gamma=0.9, start=2).start.tolist() == [0, 0, 1, 0]
    mdp = MDP.from_arrays(P, full, gamma=0.9, start=[0.5, 0, 0.5, 0])
    assert mdp.start_states.tolist() == [0, 2]
    assert mdp.start_probability.tolist() == [0.5, 0.5]


# --- from_gymnasium -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "states", "actions", "starts"),
    [
        ("FrozenLake-v1", 16, 4, 1),
        ("FrozenLake8x8-v1", 64, 4, 1),
        ("CliffWalking-v1", 48, 4, 1),
        ("Taxi-v4", 500, 6, 300),
    ],
)
def test_from_gymnasium_keeps_every_entry(name: str, states: int, actions: int, starts: int) -> None:
    env = gym.make(name)
    mdp = MDP.from_gymnasium(env, gamma=0.95)
    assert (mdp.num_states, mdp.num_actions, mdp.gamma) == (states, actions, 0.95)
    assert mdp.P == env.unwrapped.P  # type: ignore[attr-defined]
    assert mdp.start_states.size == starts
    assert mdp.start == pytest.approx(env.unwrapped.initial_state_distrib)  # type: ignore[attr-defined]
    env.close()


def test_p_goes_round() -> None:
    mdp = MDP.from_arrays(*random_arrays(6), gamma=0.5, start=1)
    again = MDP.from_gymnasium(mdp.P, gamma=0.5, start=mdp.start)
    assert again.P == mdp.P
    assert MDP.from_gymnasium(mdp, start=mdp.start).P == mdp.P  # anything with a P


def test_order_and_duplicates_of_a_table_are_kept() -> None:
    run = [(0.25, 1, 0.0, False), (0.5, 0, 1.0, True), (0.25, 1, 0.0, False)]
    table: Table = {0: {0: run}, 1: {0: [(1.0, 1, 0.0, True)]}}
    assert table == MDP.from_gymnasium(table, start=0).P


def test_actions_that_a_table_leaves_out_are_not_available() -> None:
    table: Table = {0: {0: [(1.0, 1, 0.0, False)], 2: [(1.0, 0, 1.0, False)]}, 1: {1: [(1.0, 1, 0.0, True)]}}
    mdp = MDP.from_gymnasium(table, start=0)
    assert mdp.available is not None
    assert mdp.available.tolist() == [[True, False, True], [False, True, False]]


def test_from_gymnasium_errors() -> None:
    with gym.make("CartPole-v1") as env, pytest.raises(TypeError, match="has no transition table P"):
        MDP.from_gymnasium(env)
    with pytest.raises(ValueError, match=r"names no start distribution .* pass start="):
        MDP.from_gymnasium({0: {0: [(1.0, 0, 0.0, True)]}})
    with pytest.raises(ValueError, match="the states of P must be the integers 0 to 0"):
        MDP.from_gymnasium({1: {0: [(1.0, 0, 0.0, True)]}}, start=0)
    with pytest.raises(ValueError, match=r"state 0, action 0: \(1\.0, 0\) is not \(probability, next state"):
        MDP.from_gymnasium({0: {0: [(1.0, 0)]}}, start=0)
    with pytest.raises(ValueError, match="state 0, action 0: 5 is not"):
        MDP.from_gymnasium({0: {0: [5]}}, start=0)
    with pytest.raises(ValueError, match="state 0: action -1 is not an integer >= 0"):
        MDP.from_gymnasium({0: {-1: [(1.0, 0, 0.0, True)]}}, start=0)
    with pytest.raises(TypeError, match="state 0, action 0: next state None is not an integer"):
        MDP.from_gymnasium({0: {0: [(1.0, None, 0.0, True)]}}, start=0)
    with pytest.raises(TypeError, match="state 0, action 0: terminated 'False' is neither True nor False"):
        MDP.from_gymnasium({0: {0: [(1.0, 0, 0.0, "False")]}}, start=0)


def test_environments_with_a_map_keep_its_shape() -> None:
    for name, shape in (("FrozenLake-v1", (4, 4)), ("CliffWalking-v1", (4, 12)), ("Taxi-v4", None)):
        with gym.make(name) as env:
            assert MDP.from_gymnasium(env).shape == shape


def outcome_arrays() -> dict[str, Any]:
    return {
        "offsets": np.array([0, 1, 2]),
        "next_state": np.array([1, 1]),
        "probability": np.array([1.0, 1.0]),
        "reward": np.array([0.5, 0.0]),
        "terminated": np.array([False, True]),
    }


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("next_state", [np.nan, 1], "next_state must be an array of integers"),
        ("next_state", [0.7, 1], "next_state must be an array of integers"),
        ("offsets", [0, 1.9, 2], "offsets must be an array of integers"),
        ("terminated", ["False", "True"], "terminated must be an array of bools"),
        ("terminated", [0, 1], "terminated must be an array of bools"),
        ("probability", ["a", "b"], "probability must be an array of numbers"),
        ("reward", [1j, 0], "reward must be an array of numbers"),
    ],
)
def test_arrays_of_the_wrong_kind_are_refused(name: str, given: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        MDP(2, 1, **(outcome_arrays() | {name: given}), gamma=0.9)


def test_the_model_owns_its_arrays() -> None:
    arrays = outcome_arrays()
    mdp = MDP(2, 1, **arrays, gamma=0.9)
    for name, array in arrays.items():
        assert array.flags.writeable, name
        array[:] = 0
    assert mdp.P == {0: {0: [(1.0, 1, 0.5, False)]}, 1: {0: [(1.0, 1, 0.0, True)]}}
    with pytest.raises(ValueError, match="read-only"):
        mdp.probability[0] = 0.5


def test_a_certain_outcome_may_be_rounded_up() -> None:
    mdp = MDP.from_arrays(np.array([[[1.0 + 2.3e-16]]]), np.zeros(1), 0.9)
    assert mdp.probability[0] > 1.0
    with pytest.raises(ValueError, match=r"state 0, action 0: probability 1\.00001"):
        MDP.from_arrays(np.array([[[1.00001]]]), np.zeros(1), 0.9)


def test_shapes_that_say_two_things_are_refused() -> None:
    with pytest.raises(ValueError, match="a list of dense arrays could mean"):
        MDP.from_arrays([np.eye(2), np.eye(2)], np.zeros(2), 0.9)
    with pytest.raises(ValueError, match=r"P must have shape \[S, A, S\]"):
        MDP.from_arrays(np.zeros((0, 1, 0)), np.zeros(0), 0.9)
    for actions in (-1, 0, True):
        with pytest.raises(ValueError, match="actions must be a number of actions >= 1"):
            MDP.from_function([0], actions, lambda s, a: [(1.0, 0, 0.0, True)], 0.9)
    assert MDP.from_function([0], np.int64(2), lambda s, a: [(1.0, 0, 0.0, True)], 0.9).num_actions == 2


# --- from_function --------------------------------------------------------------------------------------------------


def gambler(capital: int, stake: int) -> list[tuple[float, int, float, bool]]:
    """Sutton & Barto, Example 4.3 with a goal of 8: heads (0.4) wins the stake, tails loses it."""
    stake = min(stake + 1, capital, 8 - capital)
    return [
        (0.4, capital + stake, float(capital + stake == 8), capital + stake == 8),
        (0.6, capital - stake, 0.0, capital == stake),
    ]


def test_from_function_explores_breadth_first() -> None:
    mdp = MDP.from_function([4], lambda c: range(min(c, 8 - c)), gambler, gamma=1.0)
    assert mdp.states is not None
    assert mdp.states[:5] == [4, 5, 3, 6, 2]
    assert sorted(mdp.states) == list(range(9))  # type: ignore[type-var]
    assert mdp.start_states.tolist() == [0]
    state = mdp.state_of
    assert mdp.P[state(7)][0] == [(0.4, state(8), 1.0, True), (0.6, state(6), 0.0, False)]
    assert mdp.P[state(8)][0] == [(1.0, state(8), 0.0, True)]  # it offers nothing, so it is final
    assert mdp.absorbing[[state(0), state(8), state(4)]].tolist() == [True, True, False]
    with pytest.raises(ValueError, match="no state 9 was reached"):
        mdp.state_of(9)


def test_from_function_with_tuples_weights_and_a_number_of_actions() -> None:
    def outcomes(s: tuple[int, int], a: int) -> list[tuple[float, tuple[int, int], float, bool]]:
        return [(1.0, ((s[0] + a) % 2, s[1]), 1.0, False)]

    mdp = MDP.from_function({(0, 0): 0.25, (0, 5): 0.75}, 2, outcomes, gamma=0.5)
    assert mdp.states == [(0, 0), (0, 5), (1, 0), (1, 5)]
    assert mdp.start.tolist() == [0.25, 0.75, 0, 0]
    assert mdp.state_of(1, 5) == mdp.state_of((1, 5)) == 3
    assert mdp.P[1] == {0: [(1.0, 1, 1.0, False)], 1: [(1.0, 3, 1.0, False)]}


def test_from_function_errors_name_the_label() -> None:
    def stay(s: Any, a: int) -> list[tuple[float, Any, float, bool]]:
        return [(1.0, s, 0.0, False)]

    with pytest.raises(ValueError, match="start_states is empty"):
        MDP.from_function([], 1, stay, gamma=0.9)
    with pytest.raises(ValueError, match="state 'a': action 'up' is not an integer >= 0"):
        MDP.from_function(["a"], lambda s: ["up"], stay, gamma=0.9)  # type: ignore[list-item, return-value]
    with pytest.raises(ValueError, match=r"state 'a', action 0: \(1\.0, 'a'\) is not"):
        MDP.from_function(["a"], 1, lambda s, a: [(1.0, "a")], gamma=0.9)  # type: ignore[list-item, return-value]
    with pytest.raises(ValueError, match=r"state 0 \('a'\), action 1: the probabilities sum to 0\.5"):
        MDP.from_function(["a"], 2, lambda s, a: [(1.0 - a / 2, s, 0.0, False)], gamma=0.9)
    with pytest.raises(ValueError, match="more than max_states = 10 states are reachable"):
        MDP.from_function([0], 1, lambda s, a: [(1.0, s + 1, 0.0, False)], gamma=0.9, max_states=10)
    with pytest.raises(ValueError, match=r"the start probabilities sum to 0\.5"):
        MDP.from_function({"a": 0.5}, 1, stay, gamma=0.9)


# --- validation -----------------------------------------------------------------------------------------------------


def built(**changes: Any) -> MDP:
    """Two states, two actions, one outcome each; but for what is changed."""
    arrays: dict[str, Any] = {
        "offsets": [0, 1, 2, 3, 4],
        "next_state": [0, 1, 0, 1],
        "probability": [1.0, 1.0, 1.0, 1.0],
        "reward": [0.0, 0.0, 0.0, 0.0],
        "terminated": [False] * 4,
        "gamma": 0.9,
    }
    return MDP(2, 2, **(arrays | changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"next_state": [0, 1, 2, 1]}, "^state 1, action 0: next state 2 is not one of the states 0 to 1"),
        ({"next_state": [0, -1, 0, 1]}, "^state 0, action 1: next state -1"),
        ({"probability": [1.0, 1.0, 1.0, 0.97]}, r"^state 1, action 1: the probabilities sum to 0\.97; they must sum"),
        ({"probability": [1.0, 1.5, 1.0, 1.0]}, r"^state 0, action 1: probability 1\.5 is not in \[0, 1\]"),
        ({"probability": [-0.5, 1.0, 1.0, 1.0]}, r"^state 0, action 0: probability -0\.5"),
        ({"probability": [1.0, 1.0, np.nan, 1.0]}, "^state 1, action 0: probability nan"),
        ({"reward": [0.0, 0.0, 0.0, np.inf]}, "^state 1, action 1: reward inf is not finite"),
        ({"reward": [0.0, np.nan, 0.0, 0.0]}, "^state 0, action 1: reward nan"),
        (
            {"offsets": [0, 1, 2, 4, 4], "probability": [1, 1, 0.5, 0.4]},
            "^state 1, action 0: the probabilities sum to 0.9",
        ),
        ({"offsets": [0, 2, 4, 4, 4], "probability": [0.5] * 4}, "^state 1 has no available action"),
        ({"offsets": [0, 1, 2, 3]}, r"offsets must have shape \(5,\), S \* A \+ 1"),
        ({"offsets": [0, 2, 1, 3, 4]}, "offsets must start at 0 and never decrease"),
        ({"reward": [0.0]}, r"reward must have shape \(4,\), one entry an outcome"),
        ({"start": [0.5, 0.4]}, "the start probabilities sum to 0.9"),
        ({"start": [1.5, -0.5]}, "start probability of state 1 is -0.5"),
        ({"start": [1.0]}, r"start must have shape \(2,\)"),
        ({"start": 2}, "start state 2 is not one of the states 0 to 1"),
        ({"gamma": 1.01}, r"gamma must lie in \[0, 1\], not 1.01"),
        ({"gamma": float("nan")}, r"gamma must lie in \[0, 1\], not nan"),
    ],
)
def test_errors_name_state_and_action(changes: dict[str, Any], message: str) -> None:
    assert built().num_states == 2
    with pytest.raises(ValueError, match=message):
        built(**changes)


@pytest.mark.parametrize("gamma", [True, "0.9", None])
def test_gamma_is_a_number(gamma: Any) -> None:
    with pytest.raises(TypeError, match="gamma must be a number"):
        built(gamma=gamma)


def test_from_arrays_errors() -> None:
    P, full = random_arrays(0)
    with pytest.raises(ValueError, match=r"P must have shape \[S, A, S\]"):
        MDP.from_arrays(P[0], full, gamma=0.9)
    with pytest.raises(ValueError, match=r"P of action 1 has shape \(3, 3\), not \(4, 4\)"):
        MDP.from_arrays([sparse(P)[0], scipy.sparse.eye_array(3)], full, gamma=0.9)
    with pytest.raises(ValueError, match=r"R must be R\(s\) \(4,\), R\(s, a\) \(4, 2\) or R\(s, a, s'\) \(4, 2, 4\)"):
        MDP.from_arrays(P, np.zeros(3), gamma=0.9)
    with pytest.raises(ValueError, match=r"R as sparse matrices must be 2 of shape \(4, 4\)"):
        MDP.from_arrays(P, sparse(full)[:1], gamma=0.9)
    with pytest.raises(TypeError, match="terminal must be an array of bool"):
        MDP.from_arrays(P, full, gamma=0.9, terminal=[0, 1, 0, 1])
    with pytest.raises(ValueError, match=r"available must have shape \(4, 2\)"):
        MDP.from_arrays(P, full, gamma=0.9, available=np.ones((2, 4), bool))
    short = P.copy()
    short[2, 1] *= 0.97
    with pytest.raises(ValueError, match=r"^state 2, action 1: the probabilities sum to 0\.97; they must sum to 1"):
        MDP.from_arrays(short, full, gamma=0.9)
    with pytest.raises(ValueError, match=r"^state 2, action 1: the probabilities sum to 0\.97"):
        MDP.from_arrays(sparse(short), full, gamma=0.9)
    short[2, 1] = 0
    with pytest.raises(ValueError, match=r"state 2, action 1: .* sum to 0; .*available\[2, 1\] = False"):
        MDP.from_arrays(short, full, gamma=0.9)
    negative = P.copy()
    negative[3, 0, :2] += [-2.0, 2.0]
    with pytest.raises(ValueError, match=r"^state 3, action 0: probability -"):
        MDP.from_arrays(negative, full, gamma=0.9)


def test_probabilities_may_miss_one_by_rounding() -> None:
    assert built(probability=[1.0, 1.0, 1.0, 1.0 - 1e-10]).probability[3] == 1.0 - 1e-10


def test_arrays_cannot_be_written_to() -> None:
    with pytest.raises(ValueError, match="read-only"):
        built().probability[0] = 0.5


# --- views ----------------------------------------------------------------------------------------------------------


def test_absorbing_states_stay_pay_nothing_and_end() -> None:
    def flags(outcome: tuple[float, int, float, bool]) -> list[bool]:
        table: Table = {0: {0: [outcome]}, 1: {0: [(1.0, 1, 0.0, True)]}}
        absorbing: list[bool] = MDP.from_gymnasium(table, start=0).absorbing.tolist()
        return absorbing

    assert flags((1.0, 0, 0.0, True)) == [True, True]
    assert flags((1.0, 0, 0.0, False)) == [False, True]
    assert flags((1.0, 0, 1.0, True)) == [False, True]
    assert flags((1.0, 1, 0.0, True)) == [False, True]


def test_cells() -> None:
    mdp = built(shape=(1, 2))
    assert mdp.cell_of(1) == (0, 1)
    assert mdp.state_of(0, 1) == 1
    with pytest.raises(ValueError, match=r"cell \(1, 0\) is outside the grid of 1 x 2"):
        mdp.state_of(1, 0)
    with pytest.raises(ValueError, match="is not a grid"):
        built().cell_of(0)
    with pytest.raises(ValueError, match="neither labels nor cells"):
        built().state_of(0)
    assert built().to_mdp().num_states == 2
    assert repr(built()) == "MDP(2 states, 2 actions, 4 outcomes, gamma=0.9, rewards R(s, a, s'))"


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_any_table_goes_round(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 5))
    table: Table = {}
    for s in range(size):
        table[s] = {}
        for a in range(data.draw(st.integers(1, 3))):
            weights = data.draw(st.lists(st.integers(1, 9), min_size=1, max_size=4))
            table[s][a] = [
                (
                    w / sum(weights),
                    data.draw(st.integers(0, size - 1)),
                    data.draw(st.floats(-1e6, 1e6)),
                    data.draw(st.booleans()),
                )
                for w in weights
            ]
    width = max(len(row) for row in table.values())
    full = {s: {a: row.get(a, []) for a in range(width)} for s, row in table.items()}
    assert full == MDP.from_gymnasium(table, start=0).P
