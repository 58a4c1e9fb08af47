"""Many copies of a world side by side, each with a random stream of its own.

Copy i draws from streams[i] (`rlgrid.kernels.pcg64`, uint64 [6]) exactly what a single environment would draw. A world
is read through two functions, chosen by the type of ``world`` when a kernel is compiled:

    begin(world, which, chosen, streams, states)    the states in which episodes begin
    draw(world, which, actions, streams, ...)       what the steps of copies do

It holds one model or several of equally many states and actions (copy i is in model which[i]): as `Tables`, the
quickest; where those would be too large as `Grids`, without a table, or as `Runs`; or as `TwoDraws`.

An episode that has ended begins again at the next step, whose action is not used (`NEXT_STEP`), at once (`SAME_STEP`)
or when `reset_batch` is called (`DISABLED`), as Gymnasium's vector environments do.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numba.extending import overload

from rlgrid.kernels.borrow import borrow
from rlgrid.kernels.model import ABSENT, _arrive, _stay_or_leave
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


class Grids(NamedTuple):
    """M grids that differ in their tiles and starts alone."""

    grid: Any  # `rlgrid.kernels.model.GridArrays`, of whose tiles and starts nothing is read
    tiles: Any  # uint8 or uint16 [M, S]
    start_cumulative: Any  # float64 [M, B]
    start_states: Any  # int64 [M, B + 1]


class Runs(NamedTuple):
    """The outcomes of M models, one pair's after the other's: pair (m * S + s) * A + a owns a run of them."""

    num_states: int
    num_actions: int
    offsets: Any  # int32 or int64 [M * S * A + 1]: where the runs begin
    cumulative: Any  # float64 [N]: probability of the run up to and with each outcome
    probability: Any  # float64 [N]
    next_state: Any  # int32 [N]
    reward: Any  # float64 [N]
    terminated: Any  # bool [N]
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


# --- what is drawn --------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True, forceinline=True)
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


# A struct that is handed on in a loop costs more than all that the loop does: arrays are taken out of it before.


@njit(cache=True, nogil=True)
def _begin_tables(world, which, chosen, streams, states):
    cumulative, start_states = world.start_cumulative, world.start_states
    for i in range(states.size):
        if chosen[i]:
            states[i] = start_states[which[i], _place(cumulative, which[i], uniform(streams[i]))]


@njit(cache=True, nogil=True)
def _begin_two(world, which, chosen, streams, states):
    _begin_tables(world.ways, which, chosen, streams, states)
    second, more = world.second[0], np.int64(world.second[1])
    for i in range(states.size):
        if chosen[i] and uniform(streams[i]) < second:
            states[i] += more


@njit(cache=True, nogil=True)
def _draw_tables(world, which, actions, streams, states, ended, to, rewards, terminated, probability):
    num_states, num_actions, cumulative = world.num_states, world.num_actions, world.cumulative
    p, next_state, reward, ends = world.probability, world.next_state, world.reward, world.terminated
    for i in range(states.size):
        if not ended[i]:
            row = (which[i] * num_states + states[i]) * num_actions + actions[i]
            k = _place(cumulative, row, uniform(streams[i]))
            to[i] = next_state[row, k]
            rewards[i] = reward[row, k]
            terminated[i] = ends[row, k]
            probability[i] = p[row, k]


@njit(cache=True, nogil=True)
def _draw_two(world, which, actions, streams, states, ended, to, rewards, terminated, probability):
    num_actions, cumulative, p = world.ways.num_actions, world.ways.cumulative, world.ways.probability
    next_state, reward, ends = world.ways.next_state, world.ways.reward, world.ways.terminated
    first, count = world.first, world.count
    for i in range(states.size):
        if not ended[i]:
            stream = streams[i]
            row = states[i] * num_actions + actions[i]
            way = _place(cumulative, row, uniform(stream))
            k = first[row, way] + bounded(stream, count[row, way])
            to[i] = next_state[row, k]
            rewards[i] = reward[row, k]
            terminated[i] = ends[row, k]
            probability[i] = p[row, way]


@njit(cache=True, nogil=True)
def _draw_grids(world, which, actions, streams, states, ended, to, rewards, terminated, probability):
    maps, grid = borrow(world.tiles), world.grid  # a row of tiles is taken a step: its references are not counted
    height, width, displacement = grid.height, grid.width, grid.displacement
    direction, slip, gust, gust_probability = grid.direction, grid.slip, grid.gust, grid.gust_probability
    column_wind, row_wind, wall, terminal = grid.column_wind, grid.row_wind, grid.wall, grid.terminal
    step_reward, bump_reward, enter_reward = grid.step_reward, grid.bump_reward, grid.enter_reward
    leave_reward, enter_to, leave_to = grid.leave_reward, grid.enter_to, grid.leave_to
    for i in range(states.size):
        if ended[i]:
            continue
        u = uniform(streams[i])
        s = states[i]
        tiles = maps[which[i]]
        kind = tiles[s]
        if wall[kind] or terminal[kind] or leave_to[kind] >= 0:
            to[i], rewards[i], terminated[i] = _stay_or_leave(
                tiles, wall, terminal, step_reward, enter_reward, leave_reward, leave_to, s
            )
            probability[i] = 1.0
            continue
        # The first outcome whose cumulative probability exceeds u, else the first of all.
        windy = column_wind[s % width] != 0 or row_wind[s // width] != 0
        total = 0.0
        way = -1
        blows = 0
        for n in range(direction.shape[1]):
            p = slip[kind, actions[i], n]
            if p == ABSENT or total > u:
                continue
            for g in range(gust.size if windy else 1):
                q = p * gust_probability[g] if windy else p
                total += q
                if way < 0 or total > u:
                    way = direction[actions[i], n]
                    blows = gust[g] if windy else 0
                    probability[i] = q
                if total > u:
                    break
        to[i], rewards[i], terminated[i] = _arrive(
            height,
            width,
            tiles,
            displacement,
            column_wind,
            row_wind,
            wall,
            terminal,
            step_reward,
            bump_reward,
            enter_reward,
            leave_reward,
            enter_to,
            s,
            way,
            blows,
            None,
        )


@njit(cache=True, nogil=True)
def _draw_runs(world, which, actions, streams, states, ended, to, rewards, terminated, probability):
    num_states, num_actions, offsets, cumulative = world.num_states, world.num_actions, world.offsets, world.cumulative
    p, next_state, reward, ends = world.probability, world.next_state, world.reward, world.terminated
    for i in range(states.size):
        if not ended[i]:
            u = uniform(streams[i])
            pair = (which[i] * num_states + states[i]) * num_actions + actions[i]
            first, last = np.int64(offsets[pair]), np.int64(offsets[pair + 1])
            low, high = first, last
            while low < high:
                middle = (low + high) // 2
                if cumulative[middle] <= u:
                    low = middle + 1
                else:
                    high = middle
            k = low if low < last else first
            to[i] = next_state[k]
            rewards[i] = reward[k]
            terminated[i] = ends[k]
            probability[i] = p[k]


@njit(cache=True, nogil=True)
def cumulated_runs(offsets, probability, cumulative):
    """Write the cumulative sums of each run of probabilities, float64 [N]."""
    for pair in range(offsets.size - 1):
        total = 0.0
        for n in range(offsets[pair], offsets[pair + 1]):
            total += probability[n]
            cumulative[n] = total


_BEGIN = {Tables: _begin_tables, Grids: _begin_tables, Runs: _begin_tables, TwoDraws: _begin_two}
_DRAW = {Tables: _draw_tables, Grids: _draw_grids, Runs: _draw_runs, TwoDraws: _draw_two}


def begin(world, which, chosen, streams, states):
    """Begin an episode in the chosen copies, bool [N]: write its state."""
    _BEGIN[type(world)](world, which, chosen, streams, states)


def draw(world, which, actions, streams, states, ended, to, rewards, terminated, probability):
    """An outcome of the pair of every copy whose episode has not ended; ``to`` are the next states."""
    one = _DRAW[type(world)]
    one(world, which, actions, streams, states, ended, to, rewards, terminated, probability)


@overload(begin)
def _begin(world, which, chosen, streams, states):
    one = _BEGIN[world.instance_class]

    def call(world, which, chosen, streams, states):
        one(world, which, chosen, streams, states)

    return call


@overload(draw)
def _draw(world, which, actions, streams, states, ended, to, rewards, terminated, probability):
    one = _DRAW[world.instance_class]

    def call(world, which, actions, streams, states, ended, to, rewards, terminated, probability):
        one(world, which, actions, streams, states, ended, to, rewards, terminated, probability)

    return call


# --- all copies -----------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def reset_batch(world, which, chosen, streams, states, elapsed, ended):
    """Begin an episode in the chosen copies, bool [N]."""
    begin(world, which, chosen, streams, states)
    for i in range(states.size):
        if chosen[i]:
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

    Writes what every copy is given, and the state (last) to which its step led, with its probability: in `SAME_STEP`
    those of an episode that ended are in no other place.
    """
    draw(world, which, actions, streams, states, ended, last, rewards, terminated, last_probability)
    begin(world, which, ended, streams, states)
    for i in range(states.size):  # without branches, which episodes' ends would make hard to foresee
        begun = ended[i]
        elapsed[i] = 0 if begun else elapsed[i] + 1
        states[i] = states[i] if begun else last[i]
        rewards[i] = 0.0 if begun else rewards[i]
        probability[i] = 1.0 if begun else last_probability[i]
        terminated[i] = terminated[i] & (not begun)
        truncated[i] = elapsed[i] >= limit
        ended[i] = terminated[i] | truncated[i]
    if mode == SAME_STEP:
        begin(world, which, ended, streams, states)
        for i in range(states.size):
            if ended[i]:
                elapsed[i] = 0
                ended[i] = False
                probability[i] = 1.0
