"""Textbook worlds that are not plain grids: functions that give exact models, and their Gymnasium environments.

Every function writes down the outcomes of its source, state by state and action by action, and nothing else: the
environment draws from those outcomes and the solvers sweep over them. Numbers of states and actions are the natural
ones (a capital, a stake, row-major cells), so that tables can be read.

Every state has every action, as an agent that picks numbers needs it: where a source forbids an action (moving cars
that are not there), it does what the nearest allowed one does, which changes no optimum; the info's ``"action_mask"``
tells the allowed ones. Where a source has fewer actions in one state than in others, as in the world of maximization
bias, each counts several times there.

`make` and `make_vector` are what ``gymnasium.make`` and ``make_vec`` call for the ids of `rlgrid.envs.CLASSICS`.
"""

from __future__ import annotations

import difflib
import inspect
import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from importlib import import_module
from itertools import pairwise
from statistics import NormalDist
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import ArrayLike, NDArray

from rlgrid.envs.gridworld import GridWorld
from rlgrid.envs.scene import Scene
from rlgrid.envs.tables import Draws
from rlgrid.envs.vector import GridWorldVector
from rlgrid.mdp import MDP, Outcome

_MOST_CARS = 30  # (cars + 1)^4 * actions outcomes: ten million


# --- models ---------------------------------------------------------------------------------------------------------


def explicit(
    labels: Sequence[Hashable],
    num_actions: int,
    outcomes: Callable[[int, int], Sequence[Outcome]],
    gamma: float,
    start: ArrayLike,
    *,
    shape: tuple[int, int] | None = None,
) -> MDP:
    """An MDP whose state s is ``labels[s]`` and whose pair (s, a) has the outcomes ``outcomes(s, a)``, in order."""
    runs = [outcomes(s, a) for s in range(len(labels)) for a in range(num_actions)]
    columns = zip(*(outcome for run in runs for outcome in run), strict=True)
    probability, to, reward, terminated = (list(column) for column in columns)
    offsets = np.concatenate([[0], np.cumsum([len(run) for run in runs])])
    return MDP(
        len(labels),
        num_actions,
        offsets,
        to,
        probability,
        reward,
        terminated,
        gamma=gamma,
        start=start,
        states=labels,
        shape=shape,
    )


def _whole(name: str, value: Any, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name} must be a whole number, not {value!r}")
    if not least <= value <= most:
        raise ValueError(f"{name} must lie in {least} to {most}, not {value}")
    return int(value)


def _real(name: str, value: Any, least: float = -math.inf, most: float = math.inf) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise TypeError(f"{name} must be a number, not {value!r}")
    if not (math.isfinite(value) and least <= value <= most):
        raise ValueError(f"{name} must be finite and lie in {least:g} to {most:g}, not {value}")
    return float(value)


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be True or False, not {value!r}")
    return bool(value)


def _pair(name: str, value: Any) -> tuple[float, float]:
    if not isinstance(value, Sequence | np.ndarray) or isinstance(value, str) or len(value) != 2:
        raise ValueError(f"{name} must be two numbers, one a location, not {value!r}")
    one, other = (_real(name, part, 0.0, 100.0) for part in value)
    return one, other


def poisson_at_most(mean: float, most: int) -> NDArray[np.float64]:
    """float64 [most + 1], the distribution of min(X, most) for a Poisson variable X.

    P(X = k) = exp(-mean) mean^k / k! for k < most; the last entry is the whole tail, P(X >= most), as the sum of its
    terms until they no longer change it.
    """

    def term(k: int) -> float:
        return math.exp(k * math.log(mean) - mean - math.lgamma(k + 1)) if mean > 0 else float(k == 0)

    below = [term(k) for k in range(most)]
    tail, k = [], most
    while True:  # ends: from k > 2 mean on, each term is less than half the one before
        tail.append(term(k))
        if k > 2 * mean and tail[-1] <= 1e-18 * math.fsum(tail):
            break
        k += 1
    return np.array([*below, math.fsum(tail)])


def jacks_car_rental(
    max_cars: int = 20,
    max_move: int = 5,
    requests: Sequence[float] = (3.0, 4.0),
    returns: Sequence[float] = (3.0, 2.0),
    rent: float = 10.0,
    move_cost: float = 2.0,
    exercise_4_7: bool = False,
    gamma: float = 0.9,
) -> MDP:
    """Jack's car rental (Sutton & Barto 2018, Example 4.2).

    State i * (max_cars + 1) + j: i cars at the first location and j at the second at the end of a day. Action a moves
    a - max_move cars overnight from the first location to the second (from the second to the first where negative),
    and no more than are there, for ``move_cost`` each that is moved. Then each location has room for ``max_cars``; what
    exceeds it goes back to the nationwide company. The next day X customers ask for cars at a location and
    min(X, cars) of them rent one, for ``rent`` each; Y cars are returned, and can be rented from the day after.
    X and Y are Poisson variables with means ``requests`` and ``returns``, one a location.

    Nothing is cut off: rentals are min(X, cars), so all X >= cars together have the probability of the tail, and cars
    at the end are min(cars - rentals + Y, max_cars), where the same holds for Y. The reward of all outcomes of a pair
    is the expected one, R(s, a), since the income of a day is not told by the next state.

    With ``exercise_4_7`` (the same book): an employee shuttles one car to the second location for free, and more than
    10 cars kept overnight at a location, after any moving, cost 4.

    Episodes begin with half of max_cars (rounded down) at each location and never end by themselves.
    """
    most = _whole("max_cars", max_cars, 1, _MOST_CARS)
    limit = _whole("max_move", max_move, 0, most)
    rent, move_cost = _real("rent", rent), _real("move_cost", move_cost)
    variant = _flag("exercise_4_7", exercise_4_7)
    side, num_actions = most + 1, 2 * limit + 1
    days = [_day(most, *means) for means in zip(_pair("requests", requests), _pair("returns", returns), strict=True)]

    _, moved = _moves(side, limit)
    first, second = np.divmod(np.arange(side * side)[:, None], side)  # [S, 1]
    paid = np.abs(moved)
    after_first, after_second = np.minimum(first - moved, most), np.minimum(second + moved, most)
    costs = move_cost * paid
    if variant:
        costs = move_cost * (paid - (moved > 0)) + 4.0 * ((after_first > 10) * 1 + (after_second > 10))
    expected = rent * (days[0][1][after_first] + days[1][1][after_second]) - costs  # [S, A]
    one, other = days[0][0][after_first], days[1][0][after_second]  # [S, A, side] each
    joint = one[:, :, :, None] * other[:, :, None, :]  # [S, A, side, side]
    states, pairs = side * side, side * side * num_actions
    start = np.zeros(states)
    start[(most // 2) * side + most // 2] = 1.0
    return MDP(
        states,
        num_actions,
        np.arange(pairs + 1) * states,
        np.tile(np.arange(states, dtype=np.int32), pairs),
        joint.ravel(),
        np.repeat(expected.ravel(), states),
        np.zeros(pairs * states, np.bool_),
        gamma=gamma,
        start=start,
        states=[(i, j) for i in range(side) for j in range(side)],
        reward_form="R(s, a)",
        shape=(side, side),
    )


def _moves(side: int, limit: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(int64 [A], the cars that each action means to move; [S, A], those that it moves)."""
    first, second = np.divmod(np.arange(side * side)[:, None], side)
    wanted = np.arange(-limit, limit + 1)
    return wanted, np.clip(wanted, -second, first)


def jacks_moves(model: MDP) -> NDArray[np.bool_]:
    """bool [S, A]: actions that move no more cars than are there."""
    wanted, moved = _moves(math.isqrt(model.num_states), model.num_actions // 2)
    return np.asarray(wanted == moved)


def _day(most: int, asked: float, brought: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(float64 [n, m], the probability that a day that begins with n cars ends with m; [n], the expected rentals)."""
    ends, rented = np.zeros((most + 1, most + 1)), np.zeros(most + 1)
    arrivals = [poisson_at_most(brought, room) for room in range(most + 1)]
    for n in range(most + 1):
        rentals = poisson_at_most(asked, n)
        rented[n] = rentals @ np.arange(n + 1)
        for k, p in enumerate(rentals):
            left = n - k
            ends[n, left:] += p * arrivals[most - left]
    return ends, rented


def gamblers_problem(goal: int = 100, p_heads: float = 0.4, gamma: float = 1.0) -> MDP:
    """The gambler's problem (Sutton & Barto 2018, Example 4.3).

    State s is the capital, 0 to ``goal``. Action a stakes a, or as much as is allowed, min(s, goal - s), if a is more;
    a stake of 0 changes nothing. With ``p_heads`` the stake is won, else lost. Reaching ``goal`` pays 1 and ends the
    episode, as does losing everything, which pays 0: V*(s) is the probability of reaching the goal. Episodes begin
    with any capital from 1 to goal - 1, each as likely.
    """
    goal = _whole("goal", goal, 2, 1000)
    heads = _real("p_heads", p_heads, 0.0, 1.0)

    def outcomes(capital: int, action: int) -> list[Outcome]:
        stake = min(action, capital, goal - capital)
        if capital in (0, goal):
            return [(1.0, capital, 0.0, True)]
        won, lost = capital + stake, capital - stake
        return [(heads, won, float(won == goal), won == goal), (1.0 - heads, lost, 0.0, lost == 0)]

    start = np.full(goal + 1, 1.0 / (goal - 1))
    start[[0, goal]] = 0.0
    return explicit(range(goal + 1), goal // 2 + 1, outcomes, gamma, start)


def gamblers_stakes(model: MDP) -> NDArray[np.bool_]:
    """bool [S, A]: stakes that the capital allows, and 0."""
    capital = np.arange(model.num_states)
    most = np.minimum(capital, model.num_states - 1 - capital)
    return np.asarray(np.arange(model.num_actions) <= most[:, None])


def river_swim(length: int = 6, gamma: float = 0.99) -> MDP:
    """RiverSwim (Strehl & Littman 2008, J. Comput. Syst. Sci. 74; numbers and horizon of Osband, Russo & Van Roy 2013).

    ``length`` places along a river whose current goes left. Action 0 swims left and always arrives; in place 0 it
    stays and pays .005. Action 1 swims right: in place 0 it advances with .6 and stays with .4; at the right end it
    stays with .6 and is swept back with .4, and pays 1 either way (the reward is R(s, a)); elsewhere it advances with
    .35, stays with .6 and is swept back with .05. Episodes begin in place 0 and never end by themselves; the
    registered cap is the horizon of 20.
    """
    length = _whole("length", length, 2, 1_000_000)
    last = length - 1

    def outcomes(place: int, action: int) -> list[Outcome]:
        if action == 0:
            return [(1.0, max(place - 1, 0), 0.005 if place == 0 else 0.0, False)]
        if place == 0:
            return [(0.6, 1, 0.0, False), (0.4, 0, 0.0, False)]
        if place == last:
            return [(0.6, last, 1.0, False), (0.4, last - 1, 1.0, False)]
        return [(0.35, place + 1, 0.0, False), (0.6, place, 0.0, False), (0.05, place - 1, 0.0, False)]

    return explicit(range(length), 2, outcomes, gamma, _one(length, 0), shape=(1, length))


def chain(num_states: int = 5, slip: float = 0.2, small: float = 2.0, large: float = 10.0, gamma: float = 0.99) -> MDP:
    """The chain (Dearden, Friedman & Russell 1998; Strens 2000, section 4; Gymnasium's old NChain).

    Action 0 goes one state forward and pays nothing; in the last state it stays and pays ``large``. Action 1 goes back
    to state 0 and pays ``small``. With probability ``slip`` the other action happens. Episodes begin in state 0 and
    never end by themselves; the registered cap is Strens's phase of 1000 steps.
    """
    count = _whole("num_states", num_states, 2, 1_000_000)
    slip = _real("slip", slip, 0.0, 1.0)
    small, large = _real("small", small), _real("large", large)

    def outcomes(state: int, action: int) -> list[Outcome]:
        forward = (min(state + 1, count - 1), large if state == count - 1 else 0.0, False)
        both = (forward, (0, small, False))
        return [(1.0 - slip, *both[action]), (slip, *both[1 - action])]

    return explicit(range(count), 2, outcomes, gamma, _one(count, 0), shape=(1, count))


def deep_sea(
    size: int = 10,
    stochastic: bool = False,
    mapping_seed: int | None = None,
    move_cost: float = 0.01,
    gamma: float = 1.0,
) -> MDP:
    """Deep sea (Osband, Van Roy, Russo & Wen 2019, JMLR 20, section 4; bsuite's ``deep_sea``).

    State row * size + column, of size + 1 rows of which the last one ends the episode. Every step sinks one row, one
    of the actions to the column at the left and the other to the right, not beyond the edges. Going right costs
    move_cost / size; going right in the last column, which only size - 1 moves to the right reach, pays 1. Going right
    is action 1 everywhere, or with ``mapping_seed`` the action that bsuite draws for the cell by that seed.

    With ``stochastic`` going right fails with probability 1 / size (it sinks straight down, and costs the same), and
    in the first and the last cell of the deepest row a reward of mean 0 and variance 1 is added: +1 or -1, each with
    probability 1/2, where bsuite draws a normal number, which no finite model has.

    V*(start), gamma 1: 1 - move_cost; with ``stochastic`` q^(n-1) - move_cost (1 - q^n) with n = size and q = 1 - 1/n,
    which is a little more than the return that bsuite calls optimal, q^(n-1) - move_cost, since who has failed once
    need not pay any more.
    """
    size = _whole("size", size, 2, 1000)
    noisy = _flag("stochastic", stochastic)
    cost = _real("move_cost", move_cost) / size
    right = np.ones((size, size), np.int64)
    if mapping_seed is not None:
        seed = _whole("mapping_seed", mapping_seed, 0, 2**32 - 1)
        # The legacy generator gives the very mapping of bsuite, and draws from a stream of its own.
        right = np.random.RandomState(seed).binomial(1, 0.5, (size, size))
    left: tuple[tuple[float, int], ...] = ((1.0, -1),)
    succeeds: tuple[tuple[float, int], ...] = ((1.0, 1),)
    if noisy:
        succeeds = ((1.0 - 1.0 / size, 1), (1.0 / size, 0))
    goes_right = right.ravel().tolist()

    def outcomes(state: int, action: int) -> list[Outcome]:
        row, column = divmod(state, size)
        if row == size:
            return [(1.0, state, 0.0, True)]
        noise = ((0.5, 1.0), (0.5, -1.0)) if noisy and row == size - 1 and column in (0, size - 1) else ((1.0, 0.0),)
        reward, moves = 0.0, left
        if action == goes_right[state]:
            reward, moves = float(column == size - 1) - cost, succeeds
        below = (row + 1) * size
        return [
            (p * q, below + min(max(column + move, 0), size - 1), reward + extra, row == size - 1)
            for p, move in moves
            for q, extra in noise
        ]

    cells = [divmod(state, size) for state in range((size + 1) * size)]
    return explicit(cells, 2, outcomes, gamma, _one(len(cells), 0), shape=(size + 1, size))


def t_maze(length: int = 10, gamma: float = 0.98) -> MDP:
    """The T-maze (Bakker 2001, Reinforcement Learning with Long Short-Term Memory, NIPS 14), the whole of its state.

    A corridor of ``length`` steps to a junction. A sign at its beginning says whether the goal lies above (cue 0) or
    below (cue 1) the junction; further on it can't be seen (`t_maze_observations`). State cue * (length + 2) + p is
    position p, 0 to length, and length + 1 behind the turn. Actions: 0 up, 1 right, 2 down, 3 left. At the junction 0
    and 2 end the episode, with 4 for the right turn and -.1 for the wrong one. Where an action leads nowhere the agent
    stands still, for -.1; other moves pay 0. Each cue has probability 1/2.

    V*(start) = 4 gamma^length where the cue is remembered. At gamma 1, who forgets it gets (4 - .1) / 2.
    """
    length = _whole("length", length, 1, 100_000)
    side = length + 2

    def outcomes(state: int, action: int) -> list[Outcome]:
        cue, position = divmod(state, side)
        if position == length + 1:
            return [(1.0, state, 0.0, True)]
        if position == length and action in (0, 2):
            return [(1.0, state + 1, 4.0 if action == 2 * cue else -0.1, True)]
        if action == 1 and position < length:
            return [(1.0, state + 1, 0.0, False)]
        if action == 3 and position > 0:
            return [(1.0, state - 1, 0.0, False)]
        return [(1.0, state, -0.1, False)]

    labels = [(("up", "down")[cue], position) for cue in range(2) for position in range(side)]
    start = np.zeros(2 * side)
    start[[0, side]] = 0.5
    return explicit(labels, 4, outcomes, gamma, start, shape=(2, side))


def t_maze_observations(model: MDP) -> NDArray[np.int64]:
    """int64 [S]: 0 and 1 the sign that says up or down, 2 the corridor, 3 the junction, 4 behind the turn."""
    side = model.num_states // 2
    seen = np.full((2, side), 2)
    seen[:, 0], seen[:, -2], seen[:, -1] = (0, 1), 3, 4
    return seen.ravel()


def random_walk(num_states: int = 19, left: float = -1.0, right: float = 1.0, gamma: float = 1.0) -> MDP:
    """The random walk (Sutton & Barto 2018, Example 7.1; with 5 states and ``left=0`` Example 6.2).

    ``num_states`` states in a row, 1 to num_states, between two ends, 0 and num_states + 1. Action 0 goes one state to
    the left and action 1 one to the right; arriving at an end pays ``left`` or ``right`` and ends the episode, all else
    pays 0. Episodes begin in the middle (of an even number of states in the left one of the two). The walk of the
    source is what the uniformly random policy makes of it, whose values at gamma 1 lie on a line between the ends:
    V(s) = left + (right - left) s / (num_states + 1).
    """
    count = _whole("num_states", num_states, 1, 1_000_000)
    rewards = {0: _real("left", left), count + 1: _real("right", right)}

    def outcomes(state: int, action: int) -> list[Outcome]:
        if state in rewards:
            return [(1.0, state, 0.0, True)]
        to = state + (1 if action else -1)
        return [(1.0, to, rewards.get(to, 0.0), to in rewards)]

    return explicit(range(count + 2), 2, outcomes, gamma, _one(count + 2, (count + 1) // 2), shape=(1, count + 2))


def maximization_bias(
    num_actions: int = 10,
    mean: float = -0.1,
    variance: float = 1.0,
    num_rewards: int = 16,
    spare_actions: bool = True,
    gamma: float = 1.0,
) -> MDP:
    """The world of maximization bias (Sutton & Barto 2018, Example 6.7).

    Four states in a row: 0 an end, 1 B, 2 A, 3 the other end. Episodes begin in A. Action 1 goes right and ends the
    episode for nothing; action 0 goes left to B, for nothing too. Each of the ``num_actions`` actions of B ends the
    episode, with a reward of the same distribution: going left loses -``mean`` on average, whatever is done in B, and
    still looks good to who takes the greatest of several noisy estimates for the estimate of the greatest.

    The source draws the reward from a normal distribution, and says "many" for the number of actions. A model has
    finitely many outcomes: here the reward is one of ``num_rewards`` numbers, each as likely, the means of the parts
    into which a normal variable falls between its quantiles k / num_rewards, widened so that mean and variance are
    exactly those that are given.

    All states have as many actions as B. In A the even ones go left and the odd ones right, so that of an even number
    half go left, as of A's two actions in the source. With ``spare_actions=False`` A has those two actions alone: the
    model's `available` says so, agents take no other, and to step with another is an error.

    V*(A) = 0, V*(B) = ``mean``.
    """
    count = _whole("num_actions", num_actions, 2, 10_000)
    parts = _whole("num_rewards", num_rewards, 2, 10_000)
    mean, deviation = _real("mean", mean, most=0.0), math.sqrt(_real("variance", variance, 0.0))
    kept = count if _flag("spare_actions", spare_actions) else 2
    rewards = [mean + deviation * z for z in normal_parts(parts)]

    def outcomes(place: int, action: int) -> list[Outcome]:
        if place == 1:
            return [(1.0 / parts, 0, reward, True) for reward in rewards]
        if place == 2:
            if action >= kept:
                return []
            return [(1.0, 1, 0.0, False) if action % 2 == 0 else (1.0, 3, 0.0, True)]
        return [(1.0, place, 0.0, True)]

    return explicit(("left end", "B", "A", "right end"), count, outcomes, gamma, _one(4, 2), shape=(1, 4))


def normal_parts(count: int) -> list[float]:
    """The mean of a standard normal variable between its quantiles k / count and (k + 1) / count, rising, for all k.

    They are scaled to variance 1; their mean is 0. Between a and b it is count (phi(a) - phi(b)), phi the density.
    """
    normal = NormalDist()
    density = [0.0, *(normal.pdf(normal.inv_cdf(k / count)) for k in range(1, count)), 0.0]
    means = [low - high for low, high in pairwise(density)]
    means = [0.5 * (one - other) for one, other in zip(means, reversed(means), strict=True)]  # exactly symmetric
    size = math.sqrt(math.fsum(z * z for z in means) / count)
    return [z / size for z in means]


def _one(count: int, state: int) -> NDArray[np.float64]:
    start = np.zeros(count)
    start[state] = 1.0
    return start


# --- how they are shown ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LabelScene(Scene):
    """States as the cells of the model's own picture, and in words."""

    model: MDP
    actions: tuple[str, ...]
    words: str  # a format of the label's parts

    def picture(self, state: int | None) -> tuple[Any, int | None]:
        return self.model, state

    def text(self, state: int | None) -> str:
        if state is None:
            return "before the first reset\n"
        return self.label(state) + "\n"

    def label(self, state: int) -> str:
        label: Any = self.model.states[state] if self.model.states is not None else state
        return self.words.format(*(label if isinstance(label, tuple) else (label,)))


# --- environments ---------------------------------------------------------------------------------------------------


class Parts(NamedTuple):
    """What an environment is made of."""

    model: MDP
    scene: Scene
    observation_of: NDArray[np.int64] | None = None
    action_mask_of: NDArray[Any] | None = None
    kind: Callable[..., GridWorld] = GridWorld
    draws: Draws | None = None  # where a step draws more than one number


def _parts_of_racetrack(**arguments: Any) -> Parts:
    from rlgrid.envs.racetrack import TrackScene, racetrack

    model = racetrack(**arguments)
    track = arguments.get("track", "left")
    return Parts(model, TrackScene(track if isinstance(track, str) else tuple(track), model))


def _parts_of_taxi(**arguments: Any) -> Parts:
    from rlgrid.envs.taxi import TaxiScene, action_masks, fickle_draws, observations, taxi
    from rlgrid.envs.toy_text import FickleTaxi, Taxi

    model = taxi(**arguments)
    fickle = arguments.get("fickle_passenger", False)
    masks = action_masks(model)
    if not fickle:
        return Parts(model, TaxiScene(), None, masks, Taxi)
    probability = arguments.get("fickle_probability", 0.3)
    kind = partial(FickleTaxi, fickle_probability=probability)
    return Parts(model, TaxiScene(), observations(model), masks, kind, fickle_draws(model, probability))


def _parts_of_t_maze(**arguments: Any) -> Parts:
    model = t_maze(**arguments)
    moves = ("up", "right", "down", "left")
    return Parts(model, LabelScene(model, moves, "goal {}, position {}"), t_maze_observations(model))


def _labelled(build: Callable[..., MDP], words: str, *actions: str) -> Callable[..., Parts]:
    def parts(**arguments: Any) -> Parts:
        model = build(**arguments)
        names = actions or tuple(str(a) for a in range(model.num_actions))
        return Parts(model, LabelScene(model, names, words))

    return parts


def _parts_of_jacks(**arguments: Any) -> Parts:
    model = jacks_car_rental(**arguments)
    limit = model.num_actions // 2
    moves = tuple(f"{n:+d} to the second" if n else "none moved" for n in range(-limit, limit + 1))
    scene = LabelScene(model, moves, "{} cars at the first location, {} at the second")
    return Parts(model, scene, action_mask_of=jacks_moves(model))


def _parts_of_deep_sea(**arguments: Any) -> Parts:
    model = deep_sea(**arguments)
    moves = ("left", "right") if arguments.get("mapping_seed") is None else ("0", "1")
    return Parts(model, LabelScene(model, moves, "row {}, column {}"))


def _parts_of_gambler(**arguments: Any) -> Parts:
    model = gamblers_problem(**arguments)
    stakes = tuple(f"stake {a}" for a in range(model.num_actions))
    return Parts(model, LabelScene(model, stakes, "capital {}"), action_mask_of=gamblers_stakes(model))


_WORLDS: dict[str, tuple[str, Callable[..., Parts]]] = {
    # name: (module and function of the model, what makes the parts of an environment)
    "jacks_car_rental": ("classics:jacks_car_rental", _parts_of_jacks),
    "gamblers_problem": ("classics:gamblers_problem", _parts_of_gambler),
    "river_swim": ("classics:river_swim", _labelled(river_swim, "place {}", "left", "right")),
    "chain": ("classics:chain", _labelled(chain, "state {}", "forward", "back")),
    "deep_sea": ("classics:deep_sea", _parts_of_deep_sea),
    "t_maze": ("classics:t_maze", _parts_of_t_maze),
    "random_walk": ("classics:random_walk", _labelled(random_walk, "state {}", "left", "right")),
    "maximization_bias": ("classics:maximization_bias", _labelled(maximization_bias, "{}")),
    "racetrack": ("racetrack:racetrack", _parts_of_racetrack),
    "taxi": ("taxi:taxi", _parts_of_taxi),
}


@lru_cache(maxsize=32, typed=True)  # typed: True and 1 are equal, and not the same argument
def _kept_parts(world: str, **arguments: Any) -> Parts:
    return _WORLDS[world][1](**arguments)


def parts_of(world: str, arguments: dict[str, Any], maker: Callable[..., Any] | None = None) -> Parts:
    """The model of a world of this name with these arguments, and how it is seen; equal ones share one model.

    Args:
        world: the name.
        arguments: of the model.
        maker: the function whose other arguments are named where one is wrong; `make` if None.

    Raises:
        ValueError, TypeError: naming the world or the argument that is wrong.
    """
    if world not in _WORLDS:
        near = difflib.get_close_matches(str(world), _WORLDS, 1, 0.4)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(_WORLDS)}"
        raise ValueError(f"there is no world {world!r}: {hint}")
    module, _, function = _WORLDS[world][0].partition(":")
    known = list(inspect.signature(getattr(import_module(f"rlgrid.envs.{module}"), function)).parameters)
    for name in arguments:
        if name not in known:
            every = [
                *known,
                *list(inspect.signature(maker or make).parameters)[1:-1],
            ]  # but for the world, and for these
            near = difflib.get_close_matches(name, every, 1, 0.5)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise TypeError(f"{world} has no argument {name!r}: {hint}it has {', '.join(every)}")
    try:
        return _kept_parts(world, **arguments)
    except TypeError:  # an argument that has no hash, such as a list (or one that is wrong, which says so again)
        return _WORLDS[world][1](**arguments)


def make(
    world: str,
    render_mode: str | None = None,
    *,
    observation: str = "index",
    view_size: int = 7,
    see_through_walls: bool = False,
    theme: str = "dark",
    cell_size: int | None = None,
    **arguments: Any,
) -> gym.Env[Any, int]:
    """The environment of a world by its name, with the arguments of its model: what ``gymnasium.make`` calls."""
    parts = parts_of(world, arguments)
    return parts.kind(
        model=parts.model,
        render_mode=render_mode,
        observation=observation,
        view_size=view_size,
        see_through_walls=see_through_walls,
        theme=theme,
        cell_size=cell_size,
        observation_of=parts.observation_of,
        action_mask_of=parts.action_mask_of,
        scene=parts.scene,
    )


# So that Gymnasium knows which render modes it may add, as it does for a class.
make.metadata = GridWorld.metadata  # type: ignore[attr-defined]


def make_vector(
    world: str,
    num_envs: int = 1,
    max_episode_steps: int | None = None,
    render_mode: str | None = None,
    *,
    autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
    copy: bool = True,
    observation: str = "index",
    view_size: int = 7,
    see_through_walls: bool = False,
    theme: str = "dark",
    cell_size: int | None = None,
    disable_env_checker: bool | None = None,
    **arguments: Any,
) -> GridWorldVector:
    """Many copies of a world: what ``gymnasium.make_vec`` calls. One compiled loop steps them."""
    parts = parts_of(world, arguments, make_vector)
    return GridWorldVector(
        num_envs,
        model=parts.model,
        max_episode_steps=max_episode_steps,
        render_mode=render_mode,
        autoreset_mode=autoreset_mode,
        copy=copy,
        observation=observation,
        view_size=view_size,
        see_through_walls=see_through_walls,
        theme=theme,
        cell_size=cell_size,
        disable_env_checker=disable_env_checker,
        observation_of=parts.observation_of,
        action_mask_of=parts.action_mask_of,
        scene=parts.scene,
        draws=parts.draws,
    )
