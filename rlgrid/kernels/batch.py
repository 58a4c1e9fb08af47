"""Many copies of a world side by side, each with a random stream of its own.

Copy i draws from streams[i] (`rlgrid.kernels.pcg64`) exactly what a single environment would draw: one uniform for the
start of an episode and one for every step. An episode that has ended begins again at the next step, whose action is
not used (Gymnasium's next-step autoreset).
"""

import numpy as np
from numba import njit

from rlgrid.kernels.model import sample, sample_start
from rlgrid.kernels.pcg64 import uniform


@njit(cache=True, nogil=True)
def reset_batch(model, streams, states, elapsed, ended):
    """Begin an episode in every copy."""
    for i in range(states.size):
        states[i] = sample_start(model, uniform(streams[i]))
        elapsed[i] = 0
        ended[i] = False


@njit(cache=True, nogil=True)
def step_batch(model, limit, streams, actions, states, elapsed, ended, rewards, terminated, truncated, probability):
    """One step of every copy of any model; an episode is truncated after ``limit`` steps."""
    for i in range(states.size):
        u = uniform(streams[i])
        if ended[i]:
            states[i] = sample_start(model, u)
            elapsed[i] = 0
            ended[i] = False
            rewards[i] = 0.0
            terminated[i] = False
            truncated[i] = False
            probability[i] = 1.0
        else:
            to, reward, ends, p = sample(model, np.int64(states[i]), np.int64(actions[i]), u)
            elapsed[i] += 1
            states[i] = to
            rewards[i] = reward
            terminated[i] = ends
            truncated[i] = elapsed[i] >= limit
            probability[i] = p
            ended[i] = terminated[i] or truncated[i]


@njit(cache=True, nogil=True)
def step_table(
    table,
    starts,
    num_actions,
    limit,
    streams,
    actions,
    states,
    elapsed,
    ended,
    rewards,
    terminated,
    truncated,
    probability,
):
    """As `step_batch`, from a table of outcomes, which takes a small part of its time.

    table: (cumulative float64 [S * A, K], infinity behind the last outcome; next state int64, reward float64,
    terminated bool and probability float64, each [S * A, K + 1], the first outcome behind the last). starts:
    (cumulative float64 [B], states int64 [B + 1], the first behind the last).
    """
    cumulative, next_state, reward, ends, p = table
    start_cumulative, start_states = starts
    width = cumulative.shape[1]
    for i in range(states.size):
        u = uniform(streams[i])
        k = 0
        if ended[i]:
            while k < start_cumulative.size and start_cumulative[k] <= u:
                k += 1
            states[i] = start_states[k]
            elapsed[i] = 0
            ended[i] = False
            rewards[i] = 0.0
            terminated[i] = False
            truncated[i] = False
            probability[i] = 1.0
        else:
            pair = states[i] * num_actions + actions[i]
            for n in range(width):
                k += cumulative[pair, n] <= u
            elapsed[i] += 1
            states[i] = next_state[pair, k]
            rewards[i] = reward[pair, k]
            terminated[i] = ends[pair, k]
            truncated[i] = elapsed[i] >= limit
            probability[i] = p[pair, k]
            ended[i] = terminated[i] or truncated[i]
