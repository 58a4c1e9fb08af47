"""Random models of every class, solved by every method, against exact rational arithmetic; shared by processes."""

import math
import warnings
from collections import Counter
from dataclasses import replace
from fractions import Fraction

import naive
import numpy as np

from rlgrid import MDP, GridModel, Slip, TileKind, solve, verify
from rlgrid.methods import METHODS
from rlgrid.solvers import SolverWarning

GAMMAS = (0.0, 0.5, 0.9, 0.99, 0.999, 1 - 1e-6, 1.0, None)  # None: any
CLASSES = ("dense", "sparse", "chain", "grid")
TOLERANCE = 1e-6


def random_mdp(rng, kind, gamma):
    """A few states; unavailable actions, duplicates, outcomes of probability 0, sums that are off by 1e-9."""
    undiscounted = gamma == 1.0
    S, A = int(rng.integers(1, 5)), int(rng.integers(1, 3 if undiscounted else 4))
    eighths = undiscounted or rng.random() < 0.5
    sign = rng.choice(["any", "cost", "gain"])
    scale = float(rng.choice([1, 1, 100, 1e-3]))
    ending, free = rng.choice([0, 0.1, 0.3]), rng.choice([0, 0.3])
    table = {}
    for s in range(S):
        table[s] = {}
        missing = rng.random(A) < 0.15
        missing[rng.integers(A)] = False
        for a in range(A):
            if missing[a]:
                table[s][a] = []
                continue
            n = {"dense": S + 1, "sparse": int(rng.integers(1, 3)), "chain": 1}[kind]
            p = rng.multinomial(8, np.ones(n) / n) / 8 if eighths else rng.random(n)
            p = p / p.sum()
            if not eighths and rng.random() < 0.2:
                p = np.minimum(p * (1 + (rng.random() - 0.5) * 1.5e-9), 1)
            run = []
            for k in range(n):
                r = scale * (float(rng.integers(-8, 9)) / 4 if eighths else float(rng.normal()))
                r = {"any": r, "cost": -abs(r), "gain": abs(r)}[sign] * float(rng.random() >= free)
                ends = bool(rng.random() < ending)
                if undiscounted and not ends and r > 0 and rng.random() < 0.8:
                    r = -r
                run.append((float(p[k]), int(rng.integers(S)), r, ends))
            table[s][a] = run
    return MDP.from_gymnasium(table, gamma=gamma, start=0)


def random_grid(rng, gamma):
    """A few cells; at gamma = 1 every step costs, so that policy iteration from a proper policy finds the optimum."""
    kinds = [
        TileKind("floor"),
        TileKind("wall", wall=True),
        TileKind("goal", terminal=True, enter_reward=0.0 if gamma == 1.0 else 5.0),
        TileKind("mud", slip=Slip(0.5, 0.25, 0.125, 0.125), step_reward=-2.0, leave_reward=-0.25),
        TileKind("door", enter_to=0, enter_reward=-0.5),
        TileKind("spring", leave_to=0, bump_reward=-3.0),
    ]
    height, width = int(rng.integers(1, 4)), int(rng.integers(2, 4))
    tiles = rng.choice(6, size=(height, width), p=[0.5, 0.1, 0.15, 0.1, 0.1, 0.05])
    tiles[0, 0] = 0
    windy = rng.random() < 0.3
    return GridModel(
        tiles,
        kinds,
        gamma=gamma,
        actions=int(rng.choice([4, 5, 8])),
        slip=Slip(0.75, 0.125, 0.125, 0.0) if rng.random() < 0.7 else None,
        column_wind=rng.integers(-1, 2, width) if windy else None,
        gust={-1: 0.25, 0: 0.5, 1: 0.25} if windy else None,
        step_reward=-1.0 if gamma == 1.0 else float(rng.choice([-1.0, 0.0, 0.5])),
        bump_reward=-1.5 if gamma == 1.0 else float(rng.choice([-1.5, 0.5])),
    )


def check_many(first, last):
    """Check the models of some seeds; what kinds they were, counted."""
    seen = Counter()
    for seed in range(first, last):
        try:
            check(seed, seen)
        except Exception as error:
            raise AssertionError(f"random model {seed}: {error!r}") from error
    return seen


def check(seed, seen):
    rng = np.random.default_rng([2024, seed])
    method = METHODS[seed % len(METHODS)]
    gamma = GAMMAS[seed // len(METHODS) % len(GAMMAS)]
    gamma = float(rng.random()) if gamma is None else gamma
    kind = str(rng.choice(CLASSES)) if method != "shortest_path" else "chain"
    model = random_grid(rng, gamma) if kind == "grid" else random_mdp(rng, kind, gamma)
    horizon = int(rng.integers(0, 5)) if seed % 9 == 0 else None
    seen[kind] += 1
    limit = None if method == "auto" or horizon is not None else 3_000
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SolverWarning)  # of limits and of rounding; bounds hold all the same
        try:
            if horizon is not None:
                solution = solve(model, tolerance=TOLERANCE, horizon=horizon)
            else:
                solution = solve(model, method=method, tolerance=TOLERANCE, max_sweeps=limit)
        except ValueError as error:
            if gamma != 1.0 or "gamma = 1: from" not in str(error):
                raise
            assert any(math.isnan(x) for x in naive.optimum_undiscounted(model))
            seen["refused"] += 1
            return
    seen["solved"] += solution.converged
    best, own = exact_values(model, solution, kind)
    check_truth(solution, best, own)
    for exact in (False, True):
        assert verify(model, solution, exact=exact)
    for what, wrong in lies(rng, model, solution, best, own):
        seen[what] += 1
        for exact in (False, True):
            try:
                verify(model, wrong, exact=exact)
            except ValueError:
                continue
            raise AssertionError(f"{what} passed verify(exact={exact})")


def exact_values(model, solution, kind):
    """V* and V^policy, lists of rationals (at gamma = 1 also infinities and nan); with a horizon of all steps."""
    exact = naive.exact_model(model)
    if solution.horizon is not None:
        best = naive.finite_horizon(model, solution.gamma, solution.horizon)
        return flat(best), flat(finite_values(exact, solution.policy, solution.gamma))
    own = naive.policy_value(exact, solution.policy, solution.gamma)
    if solution.gamma == 1.0 and kind != "grid":
        return naive.optimum_undiscounted(model), own
    return naive.optimum(model, solution.gamma, solution.policy), own


def finite_values(exact, policy, gamma):
    """What a policy [T, S] collects, [T + 1][S]."""
    values = [[Fraction(0)] * len(exact)]
    for choice in policy[::-1].tolist():
        after = values[0]
        row = [
            sum(p * (r + (0 if ends else Fraction(gamma) * after[to])) for p, to, r, ends in exact[s][choice[s]])
            for s in range(len(exact))
        ]
        values.insert(0, row)
    return values


def flat(rows):
    return [x for row in rows for x in row]


def gap(x, y):
    return Fraction(0) if x == y else abs(x - y)


def rational(x):
    return Fraction(x) if math.isfinite(x) else x


def check_truth(solution, best, own):
    lower, upper, values = (list(map(rational, x.ravel())) for x in (solution.lower, solution.upper, solution.values))
    for s, optimum in enumerate(best):
        assert not math.isnan(optimum)
        assert lower[s] <= optimum <= upper[s]
        if not math.isnan(own[s]):
            assert lower[s] <= own[s] <= optimum
            assert gap(optimum, own[s]) <= solution.policy_loss_bound
        assert gap(values[s], optimum) <= solution.error_bound
        assert gap(upper[s], values[s]) <= solution.error_bound
    if solution.converged:
        assert solution.error_bound <= solution.tolerance


def lies(rng, model, solution, best, own):
    """(what, solution) with a claim that is not true of the model."""
    finite = [s for s, x in enumerate(best) if math.isfinite(x) and math.isfinite(own[s])]
    error = max(gap(rational(v), x) for v, x in zip(solution.values.ravel(), best, strict=True))
    loss = max(gap(x, y) for x, y in zip(best, own, strict=True))
    if error > 0 and math.isfinite(error):
        yield "error_bound", replace(solution, error_bound=below(error))
    if loss > 0 and math.isfinite(loss):
        yield "policy_loss_bound", replace(solution, policy_loss_bound=below(loss))
    if not finite:
        return
    s = int(rng.choice(finite))
    size = max(1.0, abs(float(best[s])))
    shift = size * float(rng.choice([0.0, 1e-15, 1e-9, 1e-3, 10.0]))
    for name, exact, way in (("lower", own[s], 1), ("upper", best[s], -1)):
        bound = getattr(solution, name).copy()
        bound.ravel()[s] = beyond(exact, way, shift)
        yield (
            name,
            replace(solution, **{name: bound}, error_bound=math.inf, policy_loss_bound=math.inf, converged=False),
        )
    values = solution.values.copy()
    values.ravel()[s] = float(best[s]) + 2.0 * float(min(solution.error_bound, 1e300)) + size
    if gap(Fraction(values.ravel()[s]), best[s]) > solution.error_bound:
        yield "values", replace(solution, values=values)
    if solution.converged and solution.error_bound > 0 and error > 0:
        yield "converged", replace(solution, tolerance=below(error))
    policy = solution.policy.copy()
    if policy.size == 0:
        return
    mask = model.available
    allowed = np.ones((model.num_states, model.num_actions), bool) if mask is None else mask
    for state in rng.permutation(model.num_states)[:2].tolist():
        policy[..., state] = rng.choice(np.flatnonzero(allowed[state]))
    table = naive.exact_model(model)
    if solution.horizon is None:
        worth = naive.policy_value(table, policy, solution.gamma)
    else:
        worth = flat(finite_values(table, policy, solution.gamma))
    claims = [rational(x) for x in solution.lower.ravel()]
    if any(x != -math.inf and (math.isnan(w) or w < x) for w, x in zip(worth, claims, strict=True)):
        improper = any(not math.isfinite(w) and math.isfinite(x) for w, x in zip(worth, claims, strict=True))
        yield "improper policy" if improper else "policy", replace(solution, policy=policy)


def below(x):
    """The greatest float < x."""
    near = float(x)
    return near if Fraction(near) < x else float(np.nextafter(near, -np.inf))


def beyond(x, way, shift):
    """A float that is truly above x (way 1) or below it (-1), by about ``shift``."""
    near = float(x) + way * shift
    while not way * (Fraction(near) - x) > 0:
        near = float(np.nextafter(near, way * np.inf))
    return near
