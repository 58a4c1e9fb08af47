"""What turns values at gamma = 1 into bounds: the expected steps of a policy, and values pushed up, both in place.

    expected_steps     h = 1 + P_pi h
    press_up           u = max(u, T u + shift)

States are taken in a given order, the one in which news travels from where episodes end, so that one sweep carries it
all the way. Own loops are solved for. Neither has to be exact: a proof looks at the result alone.
"""

import math

from numba import njit


@njit(cache=True, nogil=True, error_model="numpy")
def expected_steps(order, num_actions, offsets, next_state, probability, terminated, policy, h):
    """One sweep within h [S] over the states whose policy is not -1; the greatest change."""
    most = 0.0
    for j in range(order.size):
        s = order[j]
        if policy[s] < 0:
            continue
        pair = s * num_actions + policy[s]
        total = 0.0
        mass = 0.0
        here = 0.0
        for i in range(offsets[pair], offsets[pair + 1]):
            p = probability[i]
            mass += p
            if not terminated[i]:
                if next_state[i] == s:
                    here += p
                else:
                    total += p * h[next_state[i]]
        new = (total + mass) / (mass - here)
        most = max(most, abs(new - h[s]))
        h[s] = new
    return most


@njit(cache=True, nogil=True, error_model="numpy")
def press_up(order, num_actions, offsets, next_state, probability, reward, terminated, shift, u):
    """One sweep within u [S], which rises where T u + shift is higher; how many states rose by more than shift / 4."""
    risen = 0
    for j in range(order.size):
        s = order[j]
        if u[s] == -math.inf:
            continue
        best = -math.inf
        for pair in range(s * num_actions, (s + 1) * num_actions):
            gain = 0.0
            mass = 0.0
            here = 0.0
            for i in range(offsets[pair], offsets[pair + 1]):
                p = probability[i]
                mass += p
                after = 0.0 if terminated[i] else u[next_state[i]]
                gain += p * (reward[i] + (after - u[s]))
                if not terminated[i] and next_state[i] == s:
                    here += p
            if mass > here:
                best = max(best, (gain + shift * mass) / (mass - here))
        if best > 0.0:
            risen += best > 0.25 * shift
            u[s] += best
    return risen
