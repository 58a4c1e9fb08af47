"""Many copies of a world side by side, each with a random stream of its own.

Copy i draws from streams[i] (`rlgrid.kernels.pcg64`, uint64 [6]) exactly what a single environment would draw. A world
is read through two functions, chosen by the type of ``world`` when a kernel is compiled:

    begin(world, which, stream)         the state in which an episode begins
    draw(world, which, s, a, stream)    what a step does: (next state, reward, terminated, probability)

It is the struct of arrays of a model (`rlgrid.kernels.model`), or `Tables`, which take a small part of its time and can
hold several models of equally many states and actions (copy i is in model which[i]), or `TwoDraws`.

An episode that has ended begins again at the next step, whose action is not used (`NEXT_STEP`), at once (`SAME_STEP`)
or when `reset_batch` is called (`DISABLED`), as Gymnasium's vector environments do.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numba.extending import overload

from rlgrid.kernels.model import sample, sample_start
from rlgrid.kernels.pcg64 import bounded, uniform

NEXT_STEP, SAME_STEP, DISABLED = 0, 1, 2
_SCANNED = 16  # as many outcomes are compared one by one; more are searched by halves


class Tables(NamedTuple):
    """The outcomes of M models, every pair's in a row of its own: row (m * S + s) * A + a.

    Behind the last outcome of a pair lies its first, which happens where rounding leaves a uniform none.
    """

    num_states: int
    num_actions: int
    cumulative: Any  # float64 [M * S * A, K]: probability up to and with each outcome, infinity behind the last
    probability: Any  # float64 [M * S * A, K + 1]
    next_state: Any  # int64 [M * S * A, K + 1]
    reward: Any  # float64 [M * S * A, K + 1]
    terminated: Any  # bool [M * S * A, K + 1]
    start_cumulative: Any  # float64 [M, B]
    start_states: Any  # int64 [M, B + 1]


class TwoDraws(NamedTuple):
    """Tables of a world in which a step draws a way, and then one of the outcomes of that way, each as likely.

    The columns of ``ways.cumulative`` and ``.probability`` are ways, those of the other tables are outcomes.
    """

    ways: Tables
    first: Any  # int64 [S * A, K + 1]: a way's first outcome
    count: Any  # int64 [S * A, K + 1]: how many it has
    second: Any  # float64 [2]: with the probability [0] the second draw of a start adds [1] to the state


# --- what a copy draws ----------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def _place(cumulative, row, u):
    """The first place of a row whose entry exceeds u; K if there is none."""
    width = cumulative.shape[1]
    low = 0
    if width <= _SCANNED:
        for k in range(width):
            low += cumulative[row, k] <= u
        return low
    high = width
    while low < high:
        middle = (low + high) // 2
        if cumulative[row, middle] <= u:
            low = middle + 1
        else:
            high = middle
    return low


@njit(cache=True, nogil=True)
def _begin_tables(world, which, stream):
    return world.start_states[which, _place(world.start_cumulative, which, uniform(stream))]


@njit(cache=True, nogil=True)
def _draw_tables(world, which, s, a, stream):
    row = (which * world.num_states + s) * world.num_actions + a
    k = _place(world.cumulative, row, uniform(stream))
    return world.next_state[row, k], world.reward[row, k], world.terminated[row, k], world.probability[row, k]


@njit(cache=True, nogil=True)
def _begin_two(world, which, stream):
    state = _begin_tables(world.ways, which, stream)
    return state + np.int64(world.second[1]) if uniform(stream) < world.second[0] else state


@njit(cache=True, nogil=True)
def _draw_two(world, which, s, a, stream):
    ways = world.ways
    row = s * ways.num_actions + a
    way = _place(ways.cumulative, row, uniform(stream))
    k = world.first[row, way] + bounded(stream, world.count[row, way])
    return ways.next_state[row, k], ways.reward[row, k], ways.terminated[row, k], ways.probability[row, way]


@njit(cache=True, nogil=True)
def _begin_model(world, which, stream):
    return sample_start(world, uniform(stream))


@njit(cache=True, nogil=True)
def _draw_model(world, which, s, a, stream):
    return sample(world, s, a, uniform(stream))


_BEGIN = {Tables: _begin_tables, TwoDraws: _begin_two}
_DRAW = {Tables: _draw_tables, TwoDraws: _draw_two}


def begin(world, which, stream):
    """A start state."""
    return _BEGIN.get(type(world), _begin_model)(world, which, stream)


def draw(world, which, s, a, stream):
    """An outcome of the pair (s, a): (next state, reward, terminated, probability)."""
    return _DRAW.get(type(world), _draw_model)(world, which, s, a, stream)


@overload(begin)
def _begin(world, which, stream):
    chosen = _BEGIN.get(world.instance_class, _begin_model)
    return lambda world, which, stream: chosen(world, which, stream)  # noqa: PLW0108 - numba matches arguments' names


@overload(draw)
def _draw(world, which, s, a, stream):
    chosen = _DRAW.get(world.instance_class, _draw_model)
    return lambda world, which, s, a, stream: chosen(world, which, s, a, stream)  # noqa: PLW0108


# --- all copies -----------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def reset_batch(world, which, chosen, streams, states, elapsed, ended):
    """Begin an episode in the copies of ``chosen`` (bool [N])."""
    for i in range(states.size):
        if chosen[i]:
            states[i] = begin(world, which[i], streams[i])
            elapsed[i] = 0
            ended[i] = False


@njit(cache=True, nogil=True)
def wrong_action(num_actions, available, mode, actions, which, states, ended):
    """The first copy that cannot take its action (available: bool [M, S, A], or None where every action is), or -1.

    A copy whose episode has ended takes no action in `NEXT_STEP`, and can take none in the other modes.
    """
    for i in range(states.size):
        if ended[i]:
            if mode != NEXT_STEP:
                return i
            continue
        a = actions[i]
        if a < 0 or a >= num_actions:
            return i
        if available is not None:  # noqa: SIM102 - numba leaves a branch out by this condition alone
            if not available[which[i], states[i], a]:
                return i
    return -1


@njit(cache=True, nogil=True)
def step_batch(
    world,
    limit,
    mode,
    which,
    actions,
    streams,
    states,
    elapsed,
    ended,
    rewards,
    terminated,
    truncated,
    probability,
    last,
    last_probability,
):
    """One step of every copy; an episode is truncated after ``limit`` steps.

    Writes what every copy was given, and in `SAME_STEP` the state (last) and the probability with which an episode
    ended. Returns how many episodes ended.
    """
    finished = 0
    for i in range(states.size):
        stream = streams[i]
        if ended[i]:
            states[i] = begin(world, which[i], stream)
            elapsed[i] = 0
            ended[i] = False
            rewards[i] = 0.0
            terminated[i] = False
            truncated[i] = False
            probability[i] = 1.0
            continue
        to, reward, ends, p = draw(world, which[i], states[i], np.int64(actions[i]), stream)
        elapsed[i] += 1
        cut = elapsed[i] >= limit
        rewards[i] = reward
        terminated[i] = ends
        truncated[i] = cut
        if ends or cut:
            finished += 1
            if mode == SAME_STEP:
                last[i] = to
                last_probability[i] = p
                to = begin(world, which[i], stream)
                p = 1.0
                elapsed[i] = 0
            else:
                ended[i] = True
        states[i] = to
        probability[i] = p
    return finished
