"""The compressed form of explicit models, the sweeps over it, and value iteration with shifted values."""

import re
from fractions import Fraction

import naive
import numpy as np
import pytest
from numba import njit

from rlgrid import MDP, solve, verify
from rlgrid.compressed import compressed, survey
from rlgrid.compressed import sweep as sweep_by_all_cores
from rlgrid.kernels import compressed as kernels
from rlgrid.kernels.jacobi import sweep_and_keep_of, sweep_of
from rlgrid.methods import method_of
from rlgrid.problem import Problem
from rlgrid.shifted import ShiftedValueIteration

WIDTHS = [1, 2, 3, 4, 7]  # of rows: with kernels of their own, and of any length


def random_table(seed, S=9, A=3, *, ends=0.15, sums_to_one=False):
    """P with duplicates, zero probabilities, loops, unavailable pairs, outcomes that end, sums off by some 1e-10."""
    rng = np.random.default_rng(seed)
    table = {}
    for s in range(S):
        table[s] = {}
        for a in range(A):
            if a and rng.random() < 0.2:
                continue
            n = int(rng.integers(1, 7))
            to = rng.choice([s, *rng.integers(0, S, 5).tolist()], n)
            p = rng.random(n) * (rng.random(n) < 0.8)
            p[0] += 0.1
            p /= p.sum()
            if not sums_to_one:
                p *= 1.0 + 1e-10 * rng.uniform(-1, 1)
            over = rng.random(n) < ends
            table[s][a] = [
                (float(q), int(t), float(r), bool(e))
                for q, t, r, e in zip(p, to, rng.normal(0, 1, n), over, strict=True)
            ]
    return table


def model_of(seed, gamma=0.9, **settings):
    return MDP.from_gymnasium(random_table(seed, **settings), gamma, start=0)


def exact_q(model, v, gamma):
    """q[s][a] as rationals, None where not available."""
    return [
        [
            sum((p * (r + (0 if ends else gamma * v[to])) for p, to, r, ends in run), Fraction(0)) if run else None
            for run in row
        ]
        for row in naive.exact_model(model)
    ]


def wide(form):
    offsets = form.offsets.astype(np.int64)
    offsets.setflags(write=False)
    return form._replace(offsets=offsets)


@pytest.mark.parametrize("seed", range(6))
def test_the_form_holds_what_it_says(seed):
    model = model_of(seed)
    form = compressed(model.arrays)
    assert form.offsets.dtype == np.int32
    for s, row in enumerate(naive.exact_model(model)):
        for a, run in enumerate(row):
            pair = s * model.num_actions + a
            kept = [(p, to) for p, to, _, ends in run if not ends]
            mine = slice(int(form.offsets[pair]), int(form.offsets[pair + 1]))
            assert form.next_state[mine].tolist() == [to for _, to in kept]
            np.testing.assert_allclose(form.weight[mine], [float(p) for p, _ in kept], 1e-14)
            if not run:
                assert form.reward[pair] == -np.inf
                continue
            assert form.reward[pair] == pytest.approx(float(sum(p * r for p, _, r, _ in run)), rel=1e-13, abs=1e-14)


def test_a_model_in_the_form_already_is_not_copied():
    rng = np.random.default_rng(0)
    P = rng.random((5, 2, 5))
    model = MDP.from_arrays(P / P.sum(axis=2, keepdims=True), rng.random((5, 2)), 0.9)
    form = compressed(model.arrays)
    assert form.weight is model.probability
    assert form.next_state is model.next_state
    assert form.offsets is model.offsets
    assert not compressed(model_of(0).arrays).weight.flags.writeable


def exact_floats(form, v, gamma=0.9):
    """float64 [S, A]: what each pair is worth."""
    starts = form.offsets[:-1]
    sums = [form.weight[i:j] @ v[form.next_state[i:j]] for i, j in zip(starts, form.offsets[1:], strict=True)]
    return (form.reward + gamma * np.array(sums)).reshape(form.num_states, -1)


def naive_sweep(form, v, gamma, slack=0.0):
    """w = T v row by row, in exact numbers; and a greedy policy by the floats of q."""
    w, policy = [], []
    for s in range(form.num_states):
        q = []
        for pair in range(s * form.num_actions, (s + 1) * form.num_actions):
            mine = range(form.offsets[pair], form.offsets[pair + 1])
            if form.reward[pair] == -np.inf:
                q.append(-np.inf)
                continue
            ahead = sum(Fraction(form.weight[i]) * Fraction(v[form.next_state[i]]) for i in mine)
            q.append(float(Fraction(form.reward[pair]) + Fraction(gamma) * ahead))
        chosen = 0
        for a in range(1, len(q)):
            if q[a] > q[chosen] + slack:
                chosen = a
        w.append(max(q))
        policy.append(chosen)
    return np.array(w), np.array(policy)


def sweep_by(form, v, gamma, policy=None, slack=0.0, pieces=2, width=None):
    """w, and what the kernel for rows of that length (the form's own) says of the changes of each piece."""
    w = np.full(form.num_states, np.nan)
    width = form.width if width is None else width
    ends = np.linspace(0, form.num_states, pieces + 1).astype(int).tolist()
    given = form.num_actions, width, *form[2:6], gamma, v, w, policy, slack
    return w, [sweep_of(width)(*given, *ends[i : i + 2]) for i in range(pieces)]


def model_of_rows(seed, width, spare=0.0, S=12, A=3):
    """Rows of one length, but for a share of outcomes that end the episode; some pairs are not available."""
    rng = np.random.default_rng(seed)
    there = rng.random(S * A) > (0.1 if spare else 0.0)
    there[::A] = True
    sizes = np.where(there, width, 0)
    n = int(sizes.sum())
    p = rng.random(n) + 0.1
    p /= np.repeat(np.add.reduceat(p, np.cumsum(sizes)[there] - width), width)
    over = rng.random(n) < spare
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    return MDP(S, A, offsets, rng.integers(0, S, n), p, rng.normal(0, 1, n), over, gamma=0.9)


@pytest.mark.parametrize("width", ["int32", "int64"])
@pytest.mark.parametrize("seed", range(4))
def test_sweep_is_the_bellman_operator(seed, width):
    model = model_of(seed)
    form = compressed(model.arrays)
    form = wide(form) if width == "int64" else form
    v = np.random.default_rng(seed).normal(0, 5, model.num_states)
    gamma = 0.875
    exact = exact_q(model, [Fraction(float(x)) for x in v], Fraction(gamma))
    policy = np.full(model.num_states, -1)
    w, found = sweep_by(form, v, gamma, policy)
    best = [max(q for q in row if q is not None) for row in exact]
    np.testing.assert_allclose(w, [float(x) for x in best], 1e-13, 1e-13)
    assert min(low for low, _ in found) == (w - v).min()
    assert max(high for _, high in found) == (w - v).max()
    for s, a in enumerate(policy):
        assert float(best[s] - exact[s][a]) < 1e-12
    np.testing.assert_array_equal(sweep_by(form, v, gamma)[0], w)


@pytest.mark.parametrize("actions", [1, 3])
@pytest.mark.parametrize("spare", [0.0, 0.04])
@pytest.mark.parametrize("width", WIDTHS)
def test_rows_of_one_length_are_swept_to_the_same_bits(width, spare, actions):
    filled = 0
    for seed in range(4):
        model = model_of_rows(seed, width, spare, A=actions)
        form, plain = compressed(model.arrays, even=True), compressed(model.arrays)
        filled += form.next_state.size > plain.next_state.size
        v = np.random.default_rng(seed).normal(0, 5, model.num_states)
        for slack in (0.0, 0.3):
            policy, same = np.full((2, model.num_states), -1)
            w, ends = sweep_by(form, v, 0.9, policy, slack, pieces=3)
            expected, greedy = naive_sweep(plain, v, 0.9, slack)
            np.testing.assert_allclose(w, expected, 1e-13, 1e-13)
            np.testing.assert_array_equal(policy, greedy)
            other, other_ends = sweep_by(plain, v, 0.9, same, slack, pieces=3, width=0)
            np.testing.assert_array_equal(w, other)
            np.testing.assert_array_equal(policy, same)
            assert ends == other_ends
            assert sweep_by(form, v, 0.9, pieces=3)[1] == ends
        if form.width:
            assert (np.diff(form.offsets) == form.width).all()
            assert form.next_state.size == form.width * model.num_states * actions
        if not spare:
            assert form.width == width
            assert form.weight is model.probability
    assert filled > 0 or not spare or width < 4


def test_rows_are_filled_up_where_that_adds_little():
    few, many = model_of_rows(0, 8, 0.02, S=200), model_of_rows(0, 8, 0.5, S=200)
    form, plain = compressed(few.arrays, even=True), compressed(few.arrays)
    assert plain.width == 0
    assert form.width == 8
    assert compressed(many.arrays, even=True).width == 0
    for pair in range(600):
        mine, kept = (slice(*f.offsets[pair : pair + 2]) for f in (form, plain))
        size = kept.stop - kept.start
        np.testing.assert_array_equal(form.next_state[mine][:size], plain.next_state[kept])
        np.testing.assert_array_equal(form.weight[mine][:size], plain.weight[kept])
        assert (form.next_state[mine][size:] == pair // 3).all()
        assert not form.weight[mine][size:].any()
    np.testing.assert_array_equal(form.reward, plain.reward)


def test_a_form_in_which_everything_ends_has_no_rows():
    model = MDP.from_gymnasium({0: {0: [(1.0, 0, 2.0, True)], 1: [(1.0, 0, 3.0, True)]}}, 0.5, start=0)
    form = compressed(model.arrays, even=True)
    assert form.width == 0
    assert form.next_state.size == 0
    assert sweep_by(form, np.full(1, 7.0), 0.5, pieces=1)[0][0] == 3.0


@pytest.mark.parametrize("spare", [0.0, 0.05, 0.5])
def test_sweeps_are_the_same_for_any_number_of_threads(monkeypatch, spare):
    model = model_of_rows(0, 4, spare, S=2_000, A=4)
    form = compressed(model.arrays, even=True)
    assert (form.width > 0) == (spare < 0.5)
    v = np.random.default_rng(1).normal(0, 5, model.num_states)
    found = []
    for threads in ("1", "2"):
        monkeypatch.setenv("RLGRID_NUM_THREADS", threads)
        monkeypatch.setattr("rlgrid.compressed.SWEPT", 1 << 10)
        w, policy = np.empty(v.size), np.empty(v.size, np.int64)
        found.append((w, policy, sweep_by_all_cores(form, 0.9, v, w, policy)))
        again = np.empty(v.size)
        assert sweep_by_all_cores(form, 0.9, v, again) == found[-1][2]
        np.testing.assert_array_equal(again, w)
    np.testing.assert_array_equal(found[0][0], found[1][0])
    np.testing.assert_array_equal(found[0][1], found[1][1])
    assert found[0][2] == found[1][2] == ((found[0][0] - v).min(), (found[0][0] - v).max())


def test_slack_keeps_the_first_action():
    model = MDP.from_gymnasium({0: {a: [(1.0, 0, r, False)] for a, r in enumerate((1.0, 1.05, 1.3))}}, 0.5, start=0)
    form = compressed(model.arrays)
    policy = np.zeros(1, np.int64)
    for slack, action in ((0.0, 2), (0.1, 2), (0.5, 0)):
        for width in (form.width, 0):
            sweep_by(form, np.zeros(1), 0.5, policy, slack, pieces=1, width=width)
            assert policy[0] == action


@pytest.mark.parametrize("ends", [0.0, 0.3])
@pytest.mark.parametrize("seed", range(3))
def test_a_survey_says_what_a_model_is(seed, ends):
    table = random_table(seed, ends=ends)
    model = MDP.from_gymnasium(table, 0.9, start=0)
    found = survey(model.num_states, model.num_actions, model.arrays[2:7])
    for s, row in table.items():
        outcomes = [outcome for run in row.values() for outcome in run]
        assert found.most[s] == max(map(len, row.values()))
        assert found.largest[s] == max(abs(r) for _, _, r, _ in outcomes)
        assert found.goes_on[s] == any(not over for *_, over in outcomes)
    assert found.pairs == sum(map(len, table.values()))
    assert found.sound
    assert found.ends == any(over and p > 0 for row in table.values() for run in row.values() for p, _, _, over in run)
    assert not found.as_it_stands
    assert not survey(model.num_states, model.num_actions, model.arrays[2:7], 1e-14).sound


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("next_state", wrong) for wrong in (-1, 50_000, 2**32)],
        *[("probability", wrong) for wrong in (-0.5, np.nan, np.inf, 0.7)],
        *[("reward", wrong) for wrong in (np.nan, np.inf, -np.inf)],
    ],
)
def test_a_large_model_with_one_wrong_number_is_refused_by_name(name, value):
    S = 50_000
    arrays = {
        "next_state": np.arange(2 * S) // 2,
        "probability": np.full(2 * S, 0.5),
        "reward": np.zeros(2 * S),
        "terminated": np.zeros(2 * S, np.bool_),
    }
    model = MDP(S, 1, np.arange(S + 1) * 2, **arrays, gamma=0.9)
    np.testing.assert_array_equal(model.next_state, arrays["next_state"])
    arrays["next_state"][:] = 0
    assert model.next_state[-1] == S - 1
    arrays[name][77_777] = value
    with pytest.raises(ValueError, match="state 38888, action 0"):
        MDP(S, 1, np.arange(S + 1) * 2, **arrays, gamma=0.9)


@pytest.mark.parametrize("how", ["picked", "all", "in turns"])
@pytest.mark.parametrize("width", [0, 3, 5])
@pytest.mark.parametrize("ends", [0.0, 0.15])
@pytest.mark.parametrize("seed", range(2))
def test_a_sweep_that_keeps_the_chain_of_its_policy_is_the_same_sweep(seed, ends, width, how):
    model = model_of_rows(seed, width, 0.3 * ends, S=30) if width else model_of(seed, ends=ends)
    S, A = model.num_states, model.num_actions
    form = compressed(model.arrays, even=True)
    rng = np.random.default_rng(seed)
    slots = np.concatenate([[0], np.cumsum(np.diff(form.offsets).reshape(S, -1).max(axis=1))]).astype(np.int32)
    kept = np.full(slots[-1], -1, np.int32), np.full(slots[-1], np.nan), np.empty(S)
    known = form.reward.copy(), np.empty(S), np.empty(S)
    mine = np.full(S, -1)
    kernels.rank(A, known[0], mine, *known[1:], 0, S)
    q = form.reward.reshape(S, -1)
    np.testing.assert_array_equal(mine, q.argmax(axis=1))
    np.testing.assert_array_equal(known[1], q.max(axis=1))
    np.testing.assert_array_equal(known[2], np.sort(q, axis=1)[:, -2])
    v = rng.normal(0, 5, S)
    rise = 0.9 * max(v.max(), 0.0) + 1e-9
    looked_at = []
    for n in range(9):
        policy, w = np.zeros(S, np.int64), np.empty(S)
        expected, _ = sweep_by(form, v, 0.9, policy)
        given = *form[2:6], 0.9, v, w, mine, slots, *kept, *known, rise, n > 0, 0, S
        if how == "all" or (how == "in turns" and n % 3 == 1):
            low, high = sweep_and_keep_of(form.width)(A, form.width, *given)
        else:
            possible = n > 0 and kernels.count_possible(A, 0.9, v, slots, *kept, known[0], known[2], rise, mine, 1)
            low, high, pairs = kernels.sweep_and_keep(A, *given)
            looked_at.append(pairs)
            assert pairs <= possible + S or n == 0
        np.testing.assert_array_equal(w, expected)
        np.testing.assert_array_equal(mine, policy)
        np.testing.assert_array_equal(known[1], w - rise)
        others = known[0].reshape(S, A).copy()
        others[np.arange(S), policy] = -np.inf
        np.testing.assert_array_equal(known[2], others.max(axis=1))
        assert (known[0].reshape(S, A) + rise >= exact_floats(form, v) - 1e-12).all()  # no pair is worth more
        assert (low, high) == ((w - v).min(), (w - v).max())
        chain = form._make((S, 1, slots, *kept, form.width))
        np.testing.assert_array_equal(sweep_by(chain, v, 0.9)[0], w)
        for s in range(S):
            pair = s * A + policy[s]
            row = kept[1][slots[s] : slots[s + 1]]
            assert row.sum() == pytest.approx(form.weight[form.offsets[pair] : form.offsets[pair + 1]].sum())
        change = rng.normal(0, 2.0**-n, S) + (3.0 if ends == 0.0 else 0.0)
        v = v + change
        rise += 0.9 * (change.max() if ends == 0.0 else max(change.max(), 0.0)) + 1e-9
    assert how == "all" or looked_at[-1] < 0.7 * A * S


@pytest.mark.slow
@pytest.mark.parametrize(
    "kernel", [sweep_of(0), sweep_of(4), sweep_and_keep_of(0), sweep_and_keep_of(4), kernels.sweep_and_keep]
)
def test_sweeps_count_no_references(kernel):
    """Counting them takes longer than sweeping, and threads wait for each other's."""
    model = model_of_rows(0, 4)
    form = compressed(model.arrays)
    v = np.zeros(model.num_states)
    method = ShiftedValueIteration(Problem.of(model, 0.9))
    method.run(v, 1, 0.0)
    common = form.num_actions, *(() if kernel is kernels.sweep_and_keep else (4,)), *form[2:6], 0.9, v, v.copy()
    if kernel in (sweep_of(0), sweep_of(4)):
        given = *common, np.zeros(v.size, np.int64), 0.0, 0, 0
    else:
        given = *common, method._policy, *method._kept, *method._known, 0.0, True, 0, 0
    anew = njit(kernel.py_func, nogil=True, error_model="numpy")  # cached code cannot be looked into
    anew(*given)
    (code,) = (anew.inspect_llvm(signature) for signature in anew.signatures)
    mine = [part for part in code.split("\ndefine ")[1:] if "cpython" not in part[:200] and "@NRT_" not in part[:60]]
    assert any("double" in part for part in mine)
    assert not any(re.search(r"call .*@NRT_(incref|decref)", part) for part in mine)


@pytest.mark.parametrize("scale", [0.0, 0.01, 5.0])
@pytest.mark.parametrize("ends", [0.0, 0.3])
@pytest.mark.parametrize("seed", range(3))
def test_images_of_a_certificate_are_those_of_the_bellman_operators(seed, ends, scale):
    model = model_of(seed, ends=ends, S=40, A=5)
    problem = Problem.of(model, 0.9)
    v = np.random.default_rng(seed).normal(0, 1, 40) * scale + (2.0 if ends == 0.0 else -1.0)
    policy, w, w_policy = problem.greedy_images(v)
    np.testing.assert_array_equal(w, problem.sweep(v))
    np.testing.assert_array_equal(w_policy, problem.sweep_policy(policy, v))
    np.testing.assert_array_equal(policy, problem.policy(v))


def test_a_problem_holds_one_form_for_all_gammas_below_1_and_the_kept_pairs_at_1():
    model = model_of(3, ends=0.5)
    first = Problem.of(model, 0.9).compressed
    assert Problem.of(model, 0.5).compressed is first
    problem = Problem.of(model, 1.0)
    np.testing.assert_array_equal(problem.compressed.reward > -np.inf, np.diff(problem.arrays.offsets) > 0)


# --- shifted values -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gamma", [0.0, 0.5, 0.95, pytest.param(0.9999, marks=pytest.mark.slow)])
@pytest.mark.parametrize("ends", [0.0, 0.02, 0.5])
@pytest.mark.parametrize("seed", range(3))
def test_shifted_value_iteration_finds_the_optimum(seed, ends, gamma):
    model = model_of(seed, ends=ends, S=25)
    solution = solve(model, gamma, method="shifted_value_iteration", tolerance=1e-6)
    assert solution.converged
    assert solution.method == "shifted_value_iteration"
    assert verify(model, solution)
    np.testing.assert_allclose(solution.values, solve(model, gamma, method="policy_iteration").values, 0.0, 2.2e-6)


def test_shifts_make_sweeps_few_where_no_episode_ends():
    model = model_of(1, S=200, ends=0.0)
    slow = solve(model, 0.999, method="value_iteration", tolerance=1e-6)
    quick = solve(model, 0.999, method="shifted_value_iteration", tolerance=1e-6)
    assert slow.sweeps > 5000
    assert quick.sweeps < 500
    np.testing.assert_allclose(quick.values, slow.values, 0.0, 2e-6)


def test_the_spread_is_that_of_the_residual_it_leaves():
    model = model_of(2, S=40, ends=0.0)
    problem = Problem.of(model, 0.99)
    method = ShiftedValueIteration(problem)
    v = np.zeros(40)
    for limit in (1, 2, 5):
        spread = method.run(v, limit, 0.0)[-1]
        residual = problem.sweep(v) - v
        assert np.abs(residual).max() <= 0.99 * spread / 2 + 1e-12


@pytest.mark.parametrize("ends", [0.0, 0.1])
def test_runs_of_any_length_make_the_same_sweeps(ends):
    problem = Problem.of(model_of(2, S=40, ends=ends), 0.99)
    found = []
    for lengths in ([12], [1] * 12, [5, 4, 3]):
        method, v = ShiftedValueIteration(problem), np.zeros(40)
        spreads = np.concatenate([method.run(v, n, 0.0) for n in lengths])
        found.append((v, spreads, method.backups))
    for v, spreads, backups in found[1:]:
        np.testing.assert_array_equal(v, found[0][0])
        np.testing.assert_array_equal(spreads, found[0][1])
        assert backups == found[0][2]


def chain_of(length):
    """A corridor: news travels one state a sweep, and no shift helps."""
    table = {
        s: {0: [(1.0, max(s - 1, 0), 0.0, False)], 1: [(1.0, s + 1, float(s == length - 2), s == length - 2)]}
        for s in range(length - 1)
    }
    return MDP.from_gymnasium({**table, length - 1: {0: [(1.0, length - 1, 0.0, True)]}}, 0.99, start=0)


def test_slow_models_are_handed_over_from_where_they_began():
    model = chain_of(300)
    problem = Problem.of(model, 0.99)
    seen = []

    def other():
        method = method_of("gauss_seidel", problem, model)
        run = method.run
        method.run = lambda values, limit, enough: (seen.append(values.copy()), run(values, limit, enough))[1]
        return method

    method = ShiftedValueIteration(problem, other)
    v = np.full(300, -3.0)
    v[-1] = 0.0
    begun = v.copy()
    spreads = np.concatenate([method.run(v, limit, 1e-9) for limit in (4, 200, 200)])
    assert method.name == "gauss_seidel"
    assert spreads[-1] <= 1e-9
    assert method.sweeps == spreads.size
    np.testing.assert_array_equal(seen[0], begun)
    np.testing.assert_allclose(v, solve(model).values, 0.0, 1e-6)


def test_shifts_that_do_not_help_are_given_up():
    solution = solve(chain_of(300), 0.99, method="shifted_value_iteration", tolerance=1e-6)
    assert solution.converged
    assert solution.sweeps < 600


def test_shifted_values_need_an_explicit_model_and_gamma_below_1():
    model = model_of(0)
    with pytest.raises(ValueError, match="gamma < 1"):
        ShiftedValueIteration(Problem.of(model_of(0, ends=1.0), 1.0))
    assert method_of("shifted_value_iteration", Problem.of(model, 0.9), model).name == "shifted_value_iteration"


def test_auto_sweeps_by_distance_where_only_a_few_places_pay():
    length = 2000
    assert method_of("auto", Problem.of(chain_of(length), 0.99), chain_of(length)).name == "gauss_seidel"
    rewards = np.random.default_rng(0).random(2 * length)
    arrays = chain_of(length).arrays
    paid = MDP(
        length, 2, arrays.offsets, arrays.next_state, arrays.probability, rewards[:-1], arrays.terminated, gamma=0.99
    )
    assert method_of("auto", Problem.of(paid, 0.99), paid).name == "krylov_policy_iteration"
