"""Explicit models in the fewest bytes a sweep can read, and the sweeps over them.

    q(s, a) = reward[pair] + gamma sum_k weight_k v(next_k)         pair = s * num_actions + a

`reward` is the expected reward of the pair (-inf where the action is not available), and only outcomes that go on
with a chance above 0 are kept, weight_k = p_k / sum(p): 12 bytes an outcome and about 20 a pair. Sums are rounded in
another way than those of `rlgrid.kernels.sweeps`; a certificate is always made with the model's own arrays.

    measure, compress             build the form (the second is not needed where the model is in it as it stands)
    restrict                      the same form of a Markov chain: what is left under one policy, num_actions = 1
    sweep                         w = T v from old values (Jacobi), for a range of states; on request a greedy policy
    sweep_and_keep                the same, and the chain of the greedy policy on the way
    sweep_in_place                within v, each action's own loop solved for (Gauss-Seidel; Puterman 1994, 6.3.3)

Policies are evaluated by the same two sweeps of their chain. Everything takes a range of states or pairs and writes
only there, `sweep_in_place` excepted, so that ranges can be worked on side by side.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numba import njit

ONE = 2.0**-50  # a sum of probabilities so near to 1 is 1, rounded


class CompressedArrays(NamedTuple):
    """Pair s * num_actions + a owns the outcomes [offsets[pair], offsets[pair + 1]) that go on."""

    num_states: int
    num_actions: int
    offsets: Any  # int32 or int64 [S * A + 1]
    next_state: Any  # int32 [N']
    weight: Any  # float64 [N']: p / sum(p) of the pair
    reward: Any  # float64 [S * A]: expected; -inf where the action is not available
    moving: Any  # float64 [S * A]: the chance that the pair ends the episode or leaves the state


@njit(cache=True, nogil=True, error_model="numpy")
def measure(
    num_actions, offsets, next_state, probability, reward, terminated, sizes, mass, expected, moving, first, last
):
    """For the pairs [first, last): outcomes that go on (sizes), sum(p) (mass), `reward` and `moving` of the form.

    Returns whether the outcomes are the compressed form as they stand: all go on, and every sum of p is 1 but for its
    own rounding.
    """
    as_it_stands = True
    s = first // num_actions
    behind = (s + 1) * num_actions  # the first pair of the next state
    for pair in range(first, last):
        if pair == behind:
            s += 1
            behind += num_actions
        size = 0
        total = 0.0
        here = 0.0
        away = 0.0
        begin = np.uint64(offsets[pair])
        end = np.uint64(offsets[pair + 1])
        for i in range(begin, end):
            p = probability[i]
            total += p * reward[i]
            size += not terminated[i] and p > 0.0
            # Both are added up: 1 - here would lose what little is left of a state that is hard to leave.
            if next_state[i] == s and not terminated[i]:
                here += p
            else:
                away += p
        sizes[pair] = size
        if begin == end:
            mass[pair] = 1.0
            expected[pair] = -math.inf
            moving[pair] = 0.0
            continue
        mass[pair] = here + away
        expected[pair] = total / mass[pair]
        moving[pair] = away / mass[pair]
        as_it_stands &= size == offsets[pair + 1] - offsets[pair] and abs(mass[pair] - 1.0) <= ONE
    return as_it_stands


@njit(cache=True, nogil=True, error_model="numpy")
def compress(offsets, next_state, probability, terminated, mass, to_offsets, to_next_state, weight, first, last):
    """Fill next states and weights of the pairs [first, last); to_offsets and mass are known (`measure`)."""
    for pair in range(first, last):
        j = to_offsets[pair]
        for i in range(offsets[pair], offsets[pair + 1]):
            if not terminated[i] and probability[i] > 0.0:
                to_next_state[j] = next_state[i]
                weight[j] = probability[i] / mass[pair]
                j += 1


@njit(cache=True, nogil=True, error_model="numpy")
def restrict(
    num_actions,
    offsets,
    next_state,
    weight,
    reward,
    moving,
    policy,
    to_offsets,
    to_next_state,
    to_weight,
    to_reward,
    to_moving,
    first,
    last,
):
    """The pairs (s, policy(s)) of the states [first, last) alone; to_offsets [S + 1] is known."""
    for s in range(first, last):
        pair = s * num_actions + policy[s]
        j = to_offsets[s]
        for i in range(offsets[pair], offsets[pair + 1]):
            to_next_state[j] = next_state[i]
            to_weight[j] = weight[i]
            j += 1
        to_reward[s] = reward[pair]
        to_moving[s] = moving[pair]


@njit(cache=True, nogil=True, error_model="numpy")
def sweep(num_actions, offsets, next_state, weight, reward, gamma, v, w, policy, slack, first, last):
    """w(s) = max_a q(s, a) from v, for the states [first, last); (least, greatest) change w - v among them.

    Args:
        v, w: float64 [S], not the same.
        policy: int64 [S] becomes greedy: the first action, unless a later one is better by more than ``slack``, and so
            on; [0] is none.
    """
    low = math.inf
    high = -math.inf
    for s in range(first, last):
        best = -math.inf
        held = -math.inf
        chosen = 0
        for a in range(num_actions):
            pair = s * num_actions + a
            i = np.uint64(offsets[pair])  # unsigned: a signed index is compared with 0 at every outcome
            end = np.uint64(offsets[pair + 1])
            even = 0.0
            odd = 0.0  # two sums: additions wait for each other
            while i + np.uint64(1) < end:
                even += weight[i] * v[np.uint32(next_state[i])]
                odd += weight[i + np.uint64(1)] * v[np.uint32(next_state[i + np.uint64(1)])]
                i += np.uint64(2)
            if i < end:
                even += weight[i] * v[np.uint32(next_state[i])]
            value = reward[pair] + gamma * (even + odd)
            if a == 0 or value > held + slack:
                held = value
                chosen = a
            best = max(best, value)
        w[s] = best
        if policy.size > 0:
            policy[s] = chosen
        if best != v[s]:
            low = min(low, best - v[s])
            high = max(high, best - v[s])
        else:
            low = min(low, 0.0)
            high = max(high, 0.0)
    return low, high


@njit(cache=True, nogil=True, error_model="numpy")
def sweep_and_keep(
    num_actions,
    offsets,
    next_state,
    weight,
    reward,
    gamma,
    v,
    w,
    policy,
    slots,
    kept_next_state,
    kept_weight,
    kept_reward,
    first,
    last,
):
    """`sweep`, and the chain of the greedy policy while its rows are in the cache.

    slots [S + 1] are the offsets of the chain, with room for the longest row of each state; shorter rows are filled up
    with steps of weight 0 to the state itself.
    """
    low = math.inf
    high = -math.inf
    for s in range(first, last):
        best = -math.inf
        chosen = s * num_actions
        for pair in range(s * num_actions, (s + 1) * num_actions):
            i = np.uint64(offsets[pair])  # unsigned: a signed index is compared with 0 at every outcome
            end = np.uint64(offsets[pair + 1])
            even = 0.0
            odd = 0.0  # two sums: additions wait for each other
            while i + np.uint64(1) < end:
                even += weight[i] * v[np.uint32(next_state[i])]
                odd += weight[i + np.uint64(1)] * v[np.uint32(next_state[i + np.uint64(1)])]
                i += np.uint64(2)
            if i < end:
                even += weight[i] * v[np.uint32(next_state[i])]
            value = reward[pair] + gamma * (even + odd)
            if value > best:
                best = value
                chosen = pair
        w[s] = best
        low = min(low, best - v[s])
        high = max(high, best - v[s])
        policy[s] = chosen - s * num_actions
        kept_reward[s] = reward[chosen]
        j = np.uint64(slots[s])
        stop = np.uint64(slots[s + 1])
        i = np.uint64(offsets[chosen])
        end = np.uint64(offsets[chosen + 1])
        while i < end:
            kept_next_state[j] = next_state[i]
            kept_weight[j] = weight[i]
            i += np.uint64(1)
            j += np.uint64(1)
        while j < stop:
            kept_next_state[j] = s
            kept_weight[j] = 0.0
            j += np.uint64(1)
    return low, high


@njit(cache=True, nogil=True, error_model="numpy")
def sweep_in_place(
    num_states, num_actions, offsets, next_state, weight, reward, moving, gamma, v, order, backwards, grouped, w
):
    """One sweep within v; (least, greatest) change.

        v(s) <- max_a (reward + gamma sum_{k: s_k != s} weight_k v(s_k)) / (1 - gamma sum_{k: s_k = s} weight_k)

    Args:
        order: int32 [S], the states as they are taken, or [0] for 0, 1, 2 ...
        backwards: whether from the last to the first.
        grouped: bool [S], states whose new value goes into w [S] instead, to be tied by the caller; [0] is none.
    """
    low = math.inf
    high = -math.inf
    for n in range(num_states):
        m = num_states - 1 - n if backwards else n
        s = np.int64(order[m]) if order.size > 0 else m
        best = -math.inf
        for a in range(num_actions):
            pair = s * num_actions + a
            i = np.uint64(offsets[pair])
            end = np.uint64(offsets[pair + 1])
            total = 0.0
            here = 0.0
            while i < end:
                if next_state[i] == s:
                    here += weight[i]
                else:
                    total += weight[i] * v[np.uint32(next_state[i])]
                i += np.uint64(1)
            value = reward[pair] + gamma * total
            if here > 0.0:
                share = moving[pair] + (1.0 - gamma) * here
                value = value / share if share > 0.0 else -math.inf
            best = max(best, value)
        if grouped.size > 0 and grouped[s]:
            w[s] = best
        elif best != v[s]:
            low = min(low, best - v[s])
            high = max(high, best - v[s])
            v[s] = best
    return min(low, 0.0) if low == math.inf else low, max(high, 0.0) if high == -math.inf else high
