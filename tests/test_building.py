"""Models built and checked by compiled code are the models that the plain path builds, and complain as well."""

from collections import defaultdict, deque

import numpy as np
import pytest
import scipy.sparse as sp

import rlgrid.kernels  # noqa: F401 - tables are read by compiled code where there is any
from rlgrid import MDP, mdp, transitions


def matrices_of(P):
    """A matrices [S, S] in compressed rows whose entries are in disorder, with zeros and halves stored twice."""
    result = []
    rng = np.random.default_rng(5)
    for a in range(P.shape[1]):
        rows, columns = np.nonzero(P[:, a])
        data = P[rows, a, columns]
        twice = rng.random(data.size) < 0.3
        rows, columns = np.concatenate([rows, rows[twice], rows]), np.concatenate([columns, columns[twice], columns])
        data = np.concatenate([np.where(twice, data / 2, data), data[twice] / 2, np.zeros(twice.size)])
        order = rng.permutation(data.size)
        order = order[np.argsort(rows[order], kind="stable")]
        starts = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=P.shape[0]))])
        result.append(sp.csr_array((data[order], columns[order], starts), shape=(P.shape[0],) * 2))
    return result


def random_arrays(S=30, A=3, density=0.2, seed=0):
    rng = np.random.default_rng(seed)
    P = rng.integers(1, 9, (S, A, S)) * (rng.random((S, A, S)) < density)
    P[:, :, 0] += P.sum(axis=2) == 0
    return P / P.sum(axis=2, keepdims=True), rng


def same(one, other):
    for name in ("offsets", "next_state", "probability", "reward", "terminated", "start"):
        mine, theirs = getattr(one, name), getattr(other, name)
        assert mine.dtype == theirs.dtype, name
        np.testing.assert_array_equal(mine, theirs, err_msg=name)
        assert not mine.flags.writeable
    assert one.reward_form == other.reward_form


@pytest.mark.parametrize("form", ["s", "sa", "sas", "sparse"])
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("density", [0.2, 1.0])
def test_compiled_and_plain_building_agree(monkeypatch, form, sparse, density):
    P, rng = random_arrays(S=80 if density == 1.0 else 30, density=density)
    S, A, _ = P.shape
    R = {"s": rng.random(S), "sa": rng.random((S, A)), "sas": rng.random((S, A, S))}.get(form)
    if R is None:
        R = [sp.random_array((S, S), density=0.5, format="csr", rng=rng) for _ in range(A)]
    terminal = np.zeros(S, bool)
    terminal[[3, 7]] = True
    if form == "s":
        R[terminal] = 0.0
    available = rng.random((S, A)) < 0.8
    available[:, 0] = True
    given = matrices_of(P) if sparse else P
    kept = [matrix.copy() for matrix in given] if sparse else P.copy()
    arguments = {"gamma": 0.9, "terminal": terminal, "available": available}
    monkeypatch.setattr(mdp, "LARGE", 0)
    compiled = MDP.from_arrays(given, R, **arguments)
    monkeypatch.setattr(mdp, "LARGE", 1 << 40)
    plain = MDP.from_arrays(given, R, **arguments)
    if sparse:  # halves add up in another order
        np.testing.assert_allclose(compiled.probability, plain.probability, 1e-15)
        for matrix, before in zip(given, kept, strict=True):
            np.testing.assert_array_equal(matrix.indices, before.indices)
            np.testing.assert_array_equal(matrix.data, before.data)
        for name in ("offsets", "next_state", "reward", "terminated"):
            np.testing.assert_array_equal(getattr(compiled, name), getattr(plain, name))
    else:
        same(compiled, plain)
    for s in range(S):
        for a in range(A):
            pairs = {to: (p, r, ends) for p, to, r, ends in compiled.P[s][a]}
            if terminal[s]:
                assert compiled.P[s][a] == [(1.0, s, 0.0, True)]
                continue
            assert list(pairs) == (np.flatnonzero(P[s, a]).tolist() if available[s, a] else [])
            for to, (p, r, ends) in pairs.items():
                assert p == pytest.approx(P[s, a, to], rel=1e-15)
                if form == "sparse":
                    assert r == R[a][s, to]
                else:
                    assert r == R[(s, a, to)[: R.ndim]]
                assert ends == terminal[to]


BREAKS = [
    ("probability", 4, 0.25, r"state 1, action 0: the probabilities sum to 0.75"),
    ("probability", 4, -0.5, r"state 1, action 0: probability -0.5 is not in \[0, 1\]"),
    ("probability", 3, np.nan, r"state 0, action 1: probability nan is not in \[0, 1\]"),
    ("reward", 7, np.inf, r"state 1, action 1: reward inf is not finite"),
    ("next_state", 2, 2, r"state 0, action 1: next state 2 is not one of the states 0 to 1"),
    ("next_state", 2, -1, r"state 0, action 1: next state -1 is not one of the states 0 to 1"),
    ("next_state", 2, 2**32, r"state 0, action 1: next state 4294967296 is not one of the states 0 to 1"),
]


@pytest.mark.parametrize("large", [0, 1 << 40])
@pytest.mark.parametrize(("what", "where", "value", "message"), BREAKS)
def test_both_checks_name_the_culprit(monkeypatch, large, what, where, value, message):
    arrays = {
        "next_state": np.array([0, 1] * 4),
        "probability": np.full(8, 0.5),
        "reward": np.zeros(8),
        "terminated": np.zeros(8, bool),
    }
    monkeypatch.setattr(mdp, "LARGE", large)
    MDP(2, 2, [0, 2, 4, 6, 8], gamma=0.9, **arrays)
    arrays[what][where] = value
    with pytest.raises(ValueError, match=message):
        MDP(2, 2, [0, 2, 4, 6, 8], gamma=0.9, **arrays)


@pytest.mark.parametrize("large", [0, 1 << 40])
def test_both_paths_name_an_action_without_outcomes_and_a_state_without_actions(monkeypatch, large):
    monkeypatch.setattr(mdp, "LARGE", large)
    P = np.zeros((2, 2, 2))
    P[:, 0, 1] = 1.0
    for given in (P, [sp.csr_array(P[:, a]) for a in range(2)]):
        with pytest.raises(ValueError, match=r"state 0, action 1: the probabilities sum to 0"):
            MDP.from_arrays(given, np.zeros(2), 0.9)
        with pytest.raises(ValueError, match=r"state 1 has no available action"):
            MDP.from_arrays(given, np.zeros(2), 0.9, available=np.array([[True, False], [False, False]]))


def test_offsets_are_narrow_and_the_arrays_of_a_caller_stay_his_own():
    next_state = np.zeros(1, np.int32)
    model = MDP(1, 1, np.array([0, 1]), next_state, np.ones(1), np.zeros(1), np.zeros(1, bool), gamma=0.5)
    assert model.offsets.dtype == np.int32
    next_state[0] = 5
    assert model.next_state[0] == 0
    assert mdp.index_type(2**31 - 1) == np.int32
    assert mdp.index_type(2**31) == np.int64


def random_table(rng, states=12, actions=4):
    """A table with gaps, whole numbers among the floats, and lists where tuples are usual."""
    table = {}
    for s in rng.permutation(states).tolist():
        row = {a: [] for a in range(actions) if a == s % actions or rng.random() < 0.6}
        for run in row.values():
            size = int(rng.integers(1, 5))
            share = rng.integers(1, 9, size)
            for p in (share / share.sum()).tolist() if size > 1 else [1]:
                reward = int(rng.integers(-(2**31), 2**31)) if rng.random() < 0.3 else float(rng.normal())
                outcome = p, int(rng.integers(states)), reward, bool(rng.random() < 0.3)
                run.append(list(outcome) if rng.random() < 0.2 else outcome)
        table[s] = {a: tuple(run) if rng.random() < 0.2 else run for a, run in row.items()}
    return table


def read_plainly(monkeypatch, table):
    with monkeypatch.context() as patch:
        patch.setattr(transitions, "from_table", lambda _: None)
        return MDP.from_gymnasium(table, 0.9, start=0)


def test_tables_are_read_by_compiled_code_as_by_the_plain_path(monkeypatch):
    rng = np.random.default_rng(31)
    for _ in range(60):
        table = random_table(rng, int(rng.integers(1, 20)), int(rng.integers(1, 6)))
        assert transitions.from_table(table) is not None
        same(MDP.from_gymnasium(table, 0.9, start=0), read_plainly(monkeypatch, table))


def test_next_states_of_numpy_are_read_by_compiled_code(monkeypatch):
    """As CliffWalking-v1 has them."""
    table = random_table(np.random.default_rng(32))
    mixed = {
        s: {a: [(p, np.int64(to) if s % 2 else to, r, end) for p, to, r, end in run] for a, run in row.items()}
        for s, row in table.items()
    }
    assert transitions.from_table(mixed) is not None
    same(MDP.from_gymnasium(mixed, 0.9, start=0), read_plainly(monkeypatch, table))


STAY = (1.0, 0, 0.0, True)


@pytest.mark.parametrize(
    "table",
    [
        {0: {1: [STAY], 0: [STAY]}},  # in disorder
        {0: {np.int64(0): [STAY]}},
        {0: {0: [(np.float64(1.0), 0, 0.0, True)]}},
        {0: {0: [(1.0, np.int32(0), 0.0, True)]}},
        {0: {0: [(1.0, 0, 2**70, True)]}},
        {0: {0: [(1.0, 0, 2**40, True)]}},
        {0: {0: [(True, 0, 0.0, True)]}},
        {0: {0: [(1.0, 0, 0.0, np.bool_(True))]}},
        {0: defaultdict(list, {0: [STAY]})},
        {0: {0: deque([STAY])}},
    ],
)
def test_unusual_tables_are_read_by_the_plain_path(monkeypatch, table):
    assert transitions.from_table(table) is None
    same(MDP.from_gymnasium(table, 0.9, start=0), read_plainly(monkeypatch, table))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({}, "at least one state"),
        ({0: {}}, "at least one state and one action"),
        ({1: {0: [STAY]}}, "states of P must be the integers 0 to 0"),
        ({0: {0: [STAY]}, 2: {0: [STAY]}}, "states of P must be the integers 0 to 1"),
        ({0: {-1: [STAY]}}, "state 0: action -1 is not an integer"),
        ({0: {True: [STAY]}}, "state 0: action True is not an integer"),
        ({0: {0: [(1.0, 0, 0.0)]}}, "state 0, action 0: .* is not .probability"),
        ({0: {0: [(1.0, True, 0.0, True)]}}, "state 0, action 0: next state True is not an integer"),
        ({0: {0: [(1.0, 0.0, 0.0, True)]}}, "state 0, action 0: next state 0.0 is not an integer"),
        ({0: {0: [(1.0, 2**32, 0.0, True)]}}, "state 0, action 0: next state 4294967296 is not one of"),
        ({0: {0: [(1.0, 1, 0.0, True)]}}, "state 0, action 0: next state 1 is not one of the states"),
        ({0: {0: [(1.0, 0, None, True)]}}, "state 0, action 0: probability 1.0 and reward None must be numbers"),
        ({0: {0: [(1.0, 0, 0.0, 1)]}}, "state 0, action 0: terminated 1 is neither"),
        ({0: {0: [(0.5, 0, 0.0, True)]}}, "state 0, action 0: the probabilities sum to 0.5"),
        ({0: {0: [(1.0, 0, float("nan"), True)]}}, "state 0, action 0: reward nan is not finite"),
        ({0: {0: []}}, "state 0 has no available action"),
        ({0: {0: [(1.0, np.float64(0.0), 0.0, True)]}}, "state 0, action 0: next state np.float64.0.0. is not an int"),
        ({0: {0: [(1.0, bytes(8), 0.0, True)]}}, "state 0, action 0: next state b.* is not an integer"),
        ({0: {0: [(1.0, np.int64(-1), 0.0, True)]}}, "state 0, action 0: next state -1 is not one of"),
        ({0: {0: [(1.0, np.int64(2**40), 0.0, True)]}}, "state 0, action 0: next state 1099511627776 is not one of"),
        ({0: {0: [(1.0, 0, 10**400, True)]}}, "state 0, action 0: .* must be numbers"),
        ({0: {0: [("1.0", 0, 0.0, True)]}}, "state 0, action 0: probability '1.0' and .* must be numbers"),
        ({0: {0: [(1.0, 0, b"1", True)]}}, "state 0, action 0: .* reward b'1' must be numbers"),
        ({False: {0: [STAY]}}, "states of P must be the integers 0 to 0"),
        ({0: None}, "state 0: None is not a dict of actions"),
        ({0: {0: None}}, "state 0, action 0: None is not a list of outcomes"),
        ({0: {0: (o for o in [STAY])}}, "state 0, action 0: .*generator.* is not a list of outcomes"),
        ({0: {10**8: [STAY]}}, "state 0: action 100000000 would make 100,000,001 pairs .* of which 1 are given"),
        ({0: {2**31 - 1: [STAY]}}, "state 0: action 2147483647 would make"),
        ({0: {0: [STAY]}, 1: {2**40: [STAY]}}, "state 1: action 1099511627776 would make"),
    ],
)
def test_both_ways_to_read_a_table_name_the_culprit(monkeypatch, table, message):
    with pytest.raises((ValueError, TypeError), match=message):
        MDP.from_gymnasium(table, 0.9, start=0)
    with pytest.raises((ValueError, TypeError), match=message):
        read_plainly(monkeypatch, table)
