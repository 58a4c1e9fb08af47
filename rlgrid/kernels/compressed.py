"""Explicit models in the fewest bytes a sweep can read, and the sweeps over them.

    q(s, a) = reward[pair] + gamma sum_k weight_k v(next_k)         pair = s * num_actions + a

`reward` is the expected reward of the pair (-inf where the action is not available), and only outcomes that go on
with a chance above 0 are kept, weight_k = p_k / sum(p): 12 bytes an outcome and about 20 a pair. Sums are rounded in
another way than those of `rlgrid.kernels.sweeps`; a certificate is always made with the model's own arrays.

    survey                        what is asked of a model before anything else, in one pass over its outcomes
    count_kept, compress          build the form (not needed where the model is in it as it stands)
    sweep                         w = T v from old values (Jacobi), for a range of states; on request a greedy policy
    sweep_and_keep                the same without pairs that cannot win, and the chain of the greedy policy on the way

Policies are evaluated by sweeps of their chain, num_actions = 1. Everything takes a range of states or pairs and writes
only there, so that ranges can be worked on side by side.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from rlgrid.kernels.stencil import LINE, _fetch

AHEAD = 8  # states between what is worked on and what is fetched
ONE = 2.0**-50  # a sum of probabilities so near to 1 is 1, rounded


class CompressedArrays(NamedTuple):
    """Pair s * num_actions + a owns the outcomes [offsets[pair], offsets[pair + 1]) that go on."""

    num_states: int
    num_actions: int
    offsets: Any  # int32 or int64 [S * A + 1]
    next_state: Any  # int32 [N']
    weight: Any  # float64 [N']: p / sum(p) of the pair
    reward: Any  # float64 [S * A]: expected; -inf where the action is not available


@njit(cache=True, nogil=True, error_model="numpy")
def survey(
    num_states,
    num_actions,
    offsets,
    next_state,
    probability,
    reward,
    terminated,
    tolerance,
    expected,
    most,
    largest,
    goes_on,
    first,
    last,
):
    """One look at all that the states [first, last) have; the results are the fields of `rlgrid.compressed.Survey`.

    Returns:
        (whether every run is a distribution over states, within ``tolerance``, with finite rewards, and no state is
        without; pairs that have outcomes; whether some outcome of p > 0 ends the episode; whether the outcomes are the
        compressed form as they stand: all go on, and every sum of p is 1 but for its own rounding).
    """
    sound = True
    pairs = 0
    ends = False
    as_it_stands = True
    for s in range(first, last):
        n = 0
        size = 0.0
        on = False
        for pair in range(s * num_actions, (s + 1) * num_actions):
            begin = np.uint64(offsets[pair])
            end = np.uint64(offsets[pair + 1])
            if begin == end:
                expected[pair] = -math.inf
                continue
            pairs += 1
            n = max(n, np.int64(end - begin))
            mass = 0.0
            total = 0.0
            good = True
            plain = True
            for i in range(begin, end):
                p = probability[i]
                r = reward[i]
                mass += p
                total += p * r
                good &= (p >= 0.0) & (p <= 1.0 + tolerance)
                good &= (next_state[i] >= 0) & (next_state[i] < num_states)
                size = max(size, abs(r))
                plain &= (not terminated[i]) & (p > 0.0)
                on |= not terminated[i]
                ends |= terminated[i] & (p > 0.0)
            sound &= good & (abs(mass - 1.0) <= tolerance) & (abs(total) < math.inf)
            expected[pair] = total / mass
            as_it_stands &= plain & (abs(mass - 1.0) <= ONE)
        sound &= n > 0
        most[s] = n
        largest[s] = size
        goes_on[s] = on
        sound &= size < math.inf
    return sound, pairs, ends, as_it_stands


@njit(cache=True, nogil=True, error_model="numpy")
def count_kept(offsets, probability, terminated, sizes, first, last):
    """How many outcomes of the pairs [first, last) go on, into sizes."""
    for pair in range(first, last):
        size = 0
        for i in range(np.uint64(offsets[pair]), np.uint64(offsets[pair + 1])):
            size += not terminated[i] and probability[i] > 0.0
        sizes[pair] = size


@njit(cache=True, nogil=True, error_model="numpy")
def compress(offsets, next_state, probability, terminated, to_offsets, to_next_state, weight, first, last):
    """Fill next states and weights of the pairs [first, last); to_offsets are known (`count_kept`)."""
    for pair in range(first, last):
        mass = 0.0
        for i in range(np.uint64(offsets[pair]), np.uint64(offsets[pair + 1])):
            mass += probability[i]
        j = np.uint64(to_offsets[pair])
        for i in range(np.uint64(offsets[pair]), np.uint64(offsets[pair + 1])):
            if not terminated[i] and probability[i] > 0.0:
                to_next_state[j] = next_state[i]
                weight[j] = probability[i] / mass
                j += np.uint64(1)


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
    until,
    drift,
    first,
    last,
):
    """`sweep`, and the chain of the greedy policy while its rows are in the cache; pairs that cannot win are passed by.

    Let `drift` grow from sweep to sweep by at least gamma (max (v' - v) - min (v' - v)), v and v' what they start from.
    A pair that was worth g less than the best when drift was d cannot be the best before it has reached d + g (Hastings
    & van Nunen 1977; Puterman 1994, section 6.7): until then its outcomes are not read.

    Args:
        slots: [S + 1], the offsets of the chain, with room for the longest row of each state; shorter rows are filled
            up with steps of weight 0 to the state itself.
        until: float64 [S * A], d + g of each pair, or anything less.

    Returns:
        (least change, greatest change, pairs looked at).
    """
    low = math.inf
    high = -math.inf
    looked_at = 0
    values = np.empty(num_actions)
    for s in range(first, last):
        # Rows that are read here and there come too late unless they are asked for ahead of time.
        for pair in range((s + AHEAD) * num_actions, min(s + AHEAD + 1, last) * num_actions):
            if not until[pair] > drift:
                i = np.uint64(offsets[pair])
                end = np.uint64(offsets[pair + 1])
                _fetch(next_state, np.int64(i))
                _fetch(next_state, np.int64(end))
                while i < end + np.uint64(LINE):
                    _fetch(weight, np.int64(i))
                    i += np.uint64(LINE)
        best = -math.inf
        chosen = s * num_actions
        for a in range(num_actions):
            pair = s * num_actions + a
            if until[pair] > drift:
                values[a] = math.inf  # leaves `until` as it is
                continue
            looked_at += 1
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
            values[a] = value
            if value > best:
                best = value
                chosen = pair
        for a in range(num_actions):
            pair = s * num_actions + a
            until[pair] = max(until[pair], drift + (best - values[a]))
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
    return low, high, looked_at
