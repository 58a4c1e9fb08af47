"""Pairs that lead to where nothing is left to do: what the search for end components removes at once."""

import numpy as np
from numba import njit


@njit(cache=True, nogil=True, error_model="numpy")
def drop_dead_ends(pair, state, to, incoming, starts, alive):
    """Take out of ``alive`` [pairs] all pairs that may lead to a state without a pair, again and again; linear time.

    Args:
        pair, state, to: [N] of each outcome, in the order of the pairs.
        incoming, starts: the outcomes into state s are incoming[starts[s]:starts[s + 1]].
    """
    num_states = starts.size - 1
    count = np.zeros(num_states, np.int64)
    for i in range(pair.size):
        if alive[pair[i]] and (i == 0 or pair[i] != pair[i - 1]):
            count[state[i]] += 1
    queue = np.empty(num_states, np.int64)
    tail = 0
    for s in range(num_states):
        if count[s] == 0:
            queue[tail] = s
            tail += 1
    head = 0
    while head < tail:
        dead = queue[head]
        head += 1
        for k in range(starts[dead], starts[dead + 1]):
            i = incoming[k]
            if alive[pair[i]]:
                alive[pair[i]] = False
                count[state[i]] -= 1
                if count[state[i]] == 0:
                    queue[tail] = state[i]
                    tail += 1
