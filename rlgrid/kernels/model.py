"""The two forms of a model as structs of arrays, and the four functions through which every kernel reads them.

    count(model, s, a)        how many outcomes the pair has (0: the action is not available)
    outcome(model, s, a, k)   the k-th: (probability, next state, reward, terminated)
    sample(model, s, a, u)    one drawn with a uniform u: (next state, reward, terminated, probability)
    sample_start(model, u)    a start state

They are written once for each form and chosen by the type of ``model`` when a kernel is compiled, so a solver or an
agent is written once for both. Sampling takes the first outcome whose cumulative sum of stored probabilities exceeds
u (the first of all if rounding leaves none), which is what Gymnasium's toy_text does.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numba.extending import overload

ABSENT = -1.0  # a slip probability of an outcome that a pair does not have


class ExplicitArrays(NamedTuple):
    """Every outcome of every pair, in runs: pair s * num_actions + a owns [offsets[pair], offsets[pair + 1])."""

    num_states: int
    num_actions: int
    offsets: Any  # int32 [S * A + 1]; int64 from 2^31 outcomes on
    next_state: Any  # int32 [N]
    probability: Any  # float64 [N], as stored
    reward: Any  # float64 [N]
    terminated: Any  # bool [N]
    start_states: Any  # int64 [B], ascending
    start_cumulative: Any  # float64 [B]: probability up to and with each


class GridArrays(NamedTuple):
    """A plain grid without a transition table: one small integer per cell, and tables over the K kinds of tile.

    A step from cell s: the direction is drawn by slip, the wind of the cell is added with a random gust, walls and
    edges hold the agent back, a teleporting tile sends it on. States are row * width + column, walls included.
    """

    height: int
    width: int
    num_states: int
    num_actions: int
    tiles: Any  # uint8 or uint16 [S]: kind of each cell
    displacement: Any  # int64 [D, 2]: rows and columns of each direction
    direction: Any  # int64 [A, N]: the direction that the n-th slip of an action takes
    slip: Any  # float64 [K, A, N]: its probability, ABSENT where there is no such outcome
    column_wind: Any  # int64 [W]: rows upwards a step
    row_wind: Any  # int64 [H]: columns to the right a step
    gust: Any  # int64 [G]: added to the strength of a wind that blows
    gust_probability: Any  # float64 [G]
    wall: Any  # bool [K]
    terminal: Any  # bool [K]: entering ends the episode
    step_reward: Any  # float64 [K]: of a step onto the tile
    bump_reward: Any  # float64 [K]: of a step from the tile that a wall or the edge stops
    enter_reward: Any  # float64 [K]: on top, when arriving from another cell
    leave_reward: Any  # float64 [K]: on top, for every step from the tile
    enter_to: Any  # int64 [K]: the cell to which entering the tile leads, or -1
    leave_to: Any  # int64 [K]: the cell to which every action from the tile leads, or -1
    start_states: Any  # int64 [B], ascending
    start_cumulative: Any  # float64 [B]: probability up to and with each


# --- explicit -------------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def _explicit_count(model, s, a):
    pair = s * model.num_actions + a
    return model.offsets[pair + 1] - model.offsets[pair]


@njit(cache=True, nogil=True)
def _explicit_outcome(model, s, a, k):
    i = model.offsets[s * model.num_actions + a] + k
    return model.probability[i], np.int64(model.next_state[i]), model.reward[i], model.terminated[i]


@njit(cache=True, nogil=True)
def _explicit_sample(model, s, a, u):
    pair = s * model.num_actions + a
    first = model.offsets[pair]
    chosen = first
    total = 0.0
    for i in range(first, model.offsets[pair + 1]):
        total += model.probability[i]
        if total > u:
            chosen = i
            break
    return np.int64(model.next_state[chosen]), model.reward[chosen], model.terminated[chosen], model.probability[chosen]


# --- grid -----------------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def _grid_is_certain(model, s):
    """True where every action has the one same outcome: walls and terminals stay, some tiles teleport."""
    kind = model.tiles[s]
    return model.wall[kind] or model.terminal[kind] or model.leave_to[kind] >= 0


@njit(cache=True, nogil=True)
def _grid_windy(model, s):
    return model.column_wind[s % model.width] != 0 or model.row_wind[s // model.width] != 0


@njit(cache=True, nogil=True)
def _grid_count(model, s, a):
    if _grid_is_certain(model, s):
        return 1
    kind = model.tiles[s]
    slips = 0
    for n in range(model.direction.shape[1]):
        if model.slip[kind, a, n] != ABSENT:
            slips += 1
    return slips * model.gust.size if _grid_windy(model, s) else slips


# The two functions that say where a step ends take arrays one by one: a struct that passes through several functions
# takes numba seconds to compile and the machine most of the time of a short loop.


@njit(cache=True, nogil=True)
def _is_cut(height, width, thin, row, column, to_row, to_column):
    """True where thin walls stop a step between neighbours: a diagonal one if both ways around the corner are cut."""
    if min(row, to_row) < 0 or max(row, to_row) >= height or min(column, to_column) < 0:
        return False
    if max(column, to_column) >= width or (row == to_row and column == to_column):
        return False
    upper = min(row, to_row) * width
    left = min(column, to_column)
    if row == to_row:
        return thin[upper + left] & 1 != 0
    if column == to_column:
        return thin[upper + left] & 2 != 0
    first = thin[upper + column] & 2 != 0 or thin[to_row * width + left] & 1 != 0
    second = thin[row * width + left] & 1 != 0 or thin[upper + to_column] & 2 != 0
    return first and second


@njit(cache=True, nogil=True, forceinline=True)
def _arrive(
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
    direction,
    gust,
    thin,
):
    """Where a step from s in a direction under a gust ends: (next state, reward, terminated).

    ``thin`` is None (and then costs nothing) or the thin walls as uint8 [S]: 1 at the right side of the cell, 2 below.
    """
    row = s // width
    column = s % width
    kind = tiles[s]
    d_row = displacement[direction, 0]
    d_column = displacement[direction, 1]
    bumped = False
    # The agent's own move; off the grid is allowed until the wind has blown (Sutton & Barto add both, then clip).
    to_row = row + d_row
    to_column = column + d_column
    if 0 <= to_row < height and 0 <= to_column < width and wall[tiles[to_row * width + to_column]]:
        to_row = row
        to_column = column
        bumped = True
    if thin is not None:  # noqa: SIM102 - numba leaves a branch out by this condition alone
        if _is_cut(height, width, thin, row, column, to_row, to_column):
            to_row = row
            to_column = column
            bumped = True
    up = column_wind[column]
    right = row_wind[row]
    if up != 0:
        up += gust
    if right != 0:
        right += gust
    for _ in range(abs(up)):
        blown = to_row - (1 if up > 0 else -1)
        if 0 <= blown < height and 0 <= to_column < width and wall[tiles[blown * width + to_column]]:
            break
        if thin is not None:  # noqa: SIM102
            if _is_cut(height, width, thin, to_row, to_column, blown, to_column):
                break
        to_row = blown
    for _ in range(abs(right)):
        blown = to_column + (1 if right > 0 else -1)
        if 0 <= to_row < height and 0 <= blown < width and wall[tiles[to_row * width + blown]]:
            break
        if thin is not None:  # noqa: SIM102
            if _is_cut(height, width, thin, to_row, to_column, to_row, blown):
                break
        to_column = blown
    if (d_row != 0 and not 0 <= to_row < height) or (d_column != 0 and not 0 <= to_column < width):
        bumped = True
    to_row = min(max(to_row, 0), height - 1)
    to_column = min(max(to_column, 0), width - 1)
    to = to_row * width + to_column
    if wall[tiles[to]]:
        to = s
        bumped = True
    to_kind = tiles[to]
    # All arrays are read whatever happens: one that is used for the last time under an `if` has its references counted,
    # and with it all others, which takes ten times as long as everything else.
    bump, step, entered, elsewhere = bump_reward[kind], step_reward[to_kind], enter_reward[to_kind], enter_to[to_kind]
    reward = (bump if bumped and to == s else step) + leave_reward[kind]
    if to != s:
        reward += entered
        if elsewhere >= 0:
            to = elsewhere
    return to, reward, terminal[tiles[to]]


@njit(cache=True, nogil=True, forceinline=True)
def _stay_or_leave(tiles, wall, terminal, step_reward, enter_reward, leave_reward, leave_to, s):
    """The one outcome of a wall, a terminal cell or a tile with `leave_to`: (next state, reward, terminated)."""
    kind = tiles[s]
    over = wall[kind] | terminal[kind]
    elsewhere = leave_to[kind]
    to = s if over else elsewhere
    to_kind = tiles[to]
    reward = step_reward[to_kind] + leave_reward[kind]
    entered = enter_reward[to_kind]
    if to != s:
        reward += entered
    return to, 0.0 if over else reward, over | terminal[to_kind]


@njit(cache=True, nogil=True)
def _grid_arrive(model, s, direction, gust):
    return _arrive(
        model.height,
        model.width,
        model.tiles,
        model.displacement,
        model.column_wind,
        model.row_wind,
        model.wall,
        model.terminal,
        model.step_reward,
        model.bump_reward,
        model.enter_reward,
        model.leave_reward,
        model.enter_to,
        s,
        direction,
        gust,
        None,
    )


@njit(cache=True, nogil=True)
def _grid_certain(model, s):
    return _stay_or_leave(
        model.tiles,
        model.wall,
        model.terminal,
        model.step_reward,
        model.enter_reward,
        model.leave_reward,
        model.leave_to,
        s,
    )


@njit(cache=True, nogil=True)
def _grid_pick(model, s, a, k):
    """Direction, gust and probability of the k-th outcome: slips in order, each with its gusts in order."""
    kind = model.tiles[s]
    windy = _grid_windy(model, s)
    gusts = model.gust.size if windy else 1
    slip = k // gusts
    n = -1
    seen = -1
    while seen < slip:
        n += 1
        if model.slip[kind, a, n] != ABSENT:
            seen += 1
    probability = model.slip[kind, a, n]
    gust = 0
    if windy:
        gust = model.gust[k % gusts]
        probability = probability * model.gust_probability[k % gusts]
    return model.direction[a, n], gust, probability


@njit(cache=True, nogil=True)
def _grid_outcome(model, s, a, k):
    if _grid_is_certain(model, s):
        to, reward, terminated = _grid_certain(model, s)
        return 1.0, to, reward, terminated
    direction, gust, probability = _grid_pick(model, s, a, k)
    to, reward, terminated = _grid_arrive(model, s, direction, gust)
    return probability, to, reward, terminated


@njit(cache=True, nogil=True)
def _grid_sample(model, s, a, u):
    if _grid_is_certain(model, s):
        to, reward, terminated = _grid_certain(model, s)
        return to, reward, terminated, 1.0
    total = 0.0
    chosen = 0
    for k in range(_grid_count(model, s, a)):
        total += _grid_pick(model, s, a, k)[2]
        if total > u:
            chosen = k
            break
    direction, gust, probability = _grid_pick(model, s, a, chosen)
    to, reward, terminated = _grid_arrive(model, s, direction, gust)
    return to, reward, terminated, probability


# --- chosen by the type of the model --------------------------------------------------------------------------------


def count(model, s, a):
    """Number of outcomes of the pair (s, a)."""
    return (_grid_count if isinstance(model, GridArrays) else _explicit_count)(model, s, a)


def outcome(model, s, a, k):
    """The k-th outcome of (s, a): (probability as stored, next state, reward, terminated)."""
    return (_grid_outcome if isinstance(model, GridArrays) else _explicit_outcome)(model, s, a, k)


def sample(model, s, a, u):
    """The outcome of (s, a) that a uniform u in [0, 1) selects: (next state, reward, terminated, probability)."""
    return (_grid_sample if isinstance(model, GridArrays) else _explicit_sample)(model, s, a, u)


@overload(count)
def _count(model, s, a):
    chosen = _grid_count if model.instance_class is GridArrays else _explicit_count
    return lambda model, s, a: chosen(model, s, a)


@overload(outcome)
def _outcome(model, s, a, k):
    chosen = _grid_outcome if model.instance_class is GridArrays else _explicit_outcome
    return lambda model, s, a, k: chosen(model, s, a, k)


@overload(sample)
def _sample(model, s, a, u):
    chosen = _grid_sample if model.instance_class is GridArrays else _explicit_sample
    return lambda model, s, a, u: chosen(model, s, a, u)


@njit(cache=True, nogil=True)
def sample_start(model, u):
    """The start state that a uniform u selects."""
    low, high = 0, model.start_cumulative.size
    while low < high:
        middle = (low + high) // 2
        if model.start_cumulative[middle] <= u:
            low = middle + 1
        else:
            high = middle
    return model.start_states[low if low < model.start_states.size else 0]


@njit(cache=True, nogil=True)
def fill_grid_outcomes(
    height,
    width,
    num_actions,
    tiles,
    displacement,
    direction,
    slip,
    column_wind,
    row_wind,
    gust,
    gust_probability,
    wall,
    terminal,
    step_reward,
    bump_reward,
    enter_reward,
    leave_reward,
    enter_to,
    leave_to,
    thin,
    first,
    last,
    probability,
    next_state,
    reward,
    terminated,
):
    """Write every outcome of the states first to last - 1 of a grid, in the order of `outcome`; return how many."""
    i = 0
    for s in range(first, last):
        kind = tiles[s]
        certain = wall[kind] or terminal[kind] or leave_to[kind] >= 0
        windy = column_wind[s % width] != 0 or row_wind[s // width] != 0
        for a in range(num_actions):
            if certain:
                to, r, ends = _stay_or_leave(
                    tiles, wall, terminal, step_reward, enter_reward, leave_reward, leave_to, s
                )
                probability[i] = 1.0
                next_state[i] = to
                reward[i] = r
                terminated[i] = ends
                i += 1
                continue
            for n in range(direction.shape[1]):
                p = slip[kind, a, n]
                if p == ABSENT:
                    continue
                for g in range(gust.size if windy else 1):
                    to, r, ends = _arrive(
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
                        direction[a, n],
                        gust[g] if windy else 0,
                        thin,
                    )
                    probability[i] = p * gust_probability[g] if windy else p
                    next_state[i] = to
                    reward[i] = r
                    terminated[i] = ends
                    i += 1
    return i
