"""Explicit models in the fewest bytes a sweep can read, and the sweeps over them.

    q(s, a) = reward[pair] + gamma sum_k weight_k v(next_k)         pair = s * num_actions + a

`reward` is the expected reward of the pair (-inf where the action is not available), and only outcomes that go on
with a chance above 0 are kept, weight_k = p_k / sum(p): 12 bytes an outcome and about 20 a pair. Sums are rounded in
another way than those of `rlgrid.kernels.sweeps`; a certificate is always made with the model's own arrays.

    survey                        what is asked of a model before anything else, in one pass over its outcomes
    count_kept, compress          build the form (not needed where the model is in it as it stands)
    rank, sweep_and_keep          w = T v without pairs that cannot win, and the chain of the greedy policy on the way
    count_possible                how many pairs that would be
    greedy_images                 what a certificate begins with: from a model's own arrays, by the very operations

Sweeps over all pairs, and over the chain of a policy (num_actions = 1), are in `rlgrid.kernels.jacobi`. Everything
takes a range of states or pairs and writes only there, so that ranges can be worked on side by side.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from rlgrid.kernels.stencil import LINE, _fetch

SHARE = 0.125  # of the newest number in an average
DENSE = 0.5  # a share of the pairs of a state from which on no row is fetched: all lie one after the other
AHEAD = 12  # states between what is worked on and what is fetched
ONE = 2.0**-50  # a sum of probabilities so near to 1 is 1, rounded
NO_SIGN = np.uint64(0x7FFFFFFFFFFFFFFF)  # the bits of |x|, which are ordered like |x|
INFINITE = np.uint64(0x7FF0000000000000)  # of infinity; those of nan are larger


class CompressedArrays(NamedTuple):
    """Pair s * num_actions + a owns the outcomes [offsets[pair], offsets[pair + 1]) that go on, its row.

    Where nearly all rows are equally long the others may be filled up with steps of weight 0 to the state itself.
    """

    num_states: int
    num_actions: int
    offsets: Any  # int32 or int64 [S * A + 1]
    next_state: Any  # int32 [N']
    weight: Any  # float64 [N']: p / sum(p) of the pair
    reward: Any  # float64 [S * A]: expected; -inf where the action is not available
    width: int = 0  # the length of all rows; 0 where they differ


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
    rewards = reward.view(np.uint64)
    to = next_state.view(np.uint32)  # what is negative is very large
    sizes = largest.view(np.uint64)
    sound = True
    pairs = 0
    ends = False
    as_it_stands = True
    for s in range(first, last):
        begin = np.uint64(offsets[s * num_actions])
        stop = np.uint64(offsets[(s + 1) * num_actions])
        # Whole numbers are counted by vector instructions, and the bits of |r| compared; sums of floats are not.
        good = np.int64(0)
        over = np.int64(0)
        possible = np.int64(0)
        ended = np.int64(0)
        size = np.uint64(0)
        for i in range(begin, stop):
            p = probability[i]
            good += np.int64((p >= 0.0) & (p <= 1.0 + tolerance) & (to[i] < np.uint32(num_states)))
            over += np.int64(terminated[i])
            possible += np.int64(p > 0.0)
            ended += np.int64((p > 0.0) & terminated[i])
            x = rewards[i] & NO_SIGN
            size = x if x > size else size
        n = 0
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
            for i in range(begin, end):
                mass += probability[i]
                total += probability[i] * reward[i]
            sound &= (abs(mass - 1.0) <= tolerance) & (abs(total) < math.inf)
            as_it_stands &= abs(mass - 1.0) <= ONE
            expected[pair] = total / mass
        outcomes = np.int64(stop - np.uint64(offsets[s * num_actions]))
        sound &= (good == outcomes) & (n > 0) & (size < INFINITE)
        as_it_stands &= (possible == outcomes) & (over == 0)
        ends |= ended > 0
        most[s] = n
        sizes[s] = size
        goes_on[s] = over < outcomes
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
def compress(offsets, next_state, probability, terminated, num_actions, to_offsets, to_next_state, weight, first, last):
    """Fill next states and weights of the pairs [first, last); to_offsets are known (`count_kept`).

    Rows that have room for more are filled up with steps of weight 0 to the state itself.
    """
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
        for k in range(j, np.uint64(to_offsets[pair + 1])):
            to_next_state[k] = pair // num_actions
            weight[k] = 0.0


@njit(cache=True, nogil=True, error_model="numpy")
def rank(num_actions, known, policy, worth, second, first, last):
    """The first of the best pairs of the states [first, last), its `known`, and the most that any other has."""
    for s in range(first, last):
        best = -math.inf
        most = -math.inf
        chosen = 0
        for a in range(num_actions):  # no branches: which pair is the best cannot be guessed
            x = known[s * num_actions + a]
            less = best if x > best else x
            most = less if less > most else most
            chosen = a if x > best else chosen
            best = x if x > best else best
        policy[s] = chosen
        worth[s] = best
        second[s] = most


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def _next_value(next_state, weight, v, i, end):
    """Of the outcomes [i, end), both unsigned: a signed index is compared with 0 at every outcome.

    Its last loop has no round or one. Under an `if`, as the last use of the arrays, their references would be counted
    at each call.
    """
    even = 0.0
    odd = 0.0  # two sums: additions wait for each other
    size = end - i
    for _ in range(size // np.uint64(2)):
        even += weight[i] * v[np.uint32(next_state[i])]
        odd += weight[i + np.uint64(1)] * v[np.uint32(next_state[i + np.uint64(1)])]
        i += np.uint64(2)
    for _ in range(size % np.uint64(2)):
        even += weight[i] * v[np.uint32(next_state[i])]
    return even + odd


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def _fetch_row(next_state, weight, i, end):
    _fetch(next_state, np.int64(i))
    _fetch(next_state, np.int64(end))
    while i < end + np.uint64(LINE):
        _fetch(weight, np.int64(i))
        i += np.uint64(LINE)


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
    known,
    worth,
    second,
    rise,
    kept,
    first,
    last,
):
    """w = T v, and the chain of the greedy policy while its rows are in the cache; pairs that cannot win are passed by.

    Let `rise` grow from sweep to sweep by at least gamma max (v' - v), v and v' what they start from: no q rises by
    more. The pair of a state that won last is looked at first, and others only where what they were worth then and what
    `rise` has grown since are not less than the best so far (action elimination: Hastings & van Nunen 1977; Puterman
    1994, section 6.7).

    Args:
        policy: int64 [S], before and after: the first of the best actions.
        slots: [S + 1], the offsets of the chain, with room for the longest row of each state; shorter rows are filled
            up with steps of weight 0 to the state itself.
        known: float64 [S * A], what each pair was worth less the `rise` of that time; the policy's is kept in `worth`.
        kept: whether the chain is that of the policy given.
        worth, second: float64 [S], `known` of the policy's pair, and the most that any other pair has (`rank`).

    Returns:
        (least change, greatest change, pairs looked at).
    """
    low = math.inf
    high = -math.inf
    looked_at = 0
    doubt = 0.0  # how much less than it could be the first pair of a state is worth, on average of late
    for s in range(first, last):
        # Rows that are read here and there come too late unless they are asked for ahead of time.
        t = s + AHEAD
        if t < last:
            if not kept:
                top = t * num_actions + policy[t]
                _fetch_row(next_state, weight, np.uint64(offsets[top]), np.uint64(offsets[top + 1]))
            bar = worth[t] - doubt
            if second[t] >= bar:
                for pair in range(t * num_actions, (t + 1) * num_actions):
                    if known[pair] >= bar:
                        _fetch_row(next_state, weight, np.uint64(offsets[pair]), np.uint64(offsets[pair + 1]))
        top = s * num_actions + policy[s]
        chosen = top
        begin = np.uint64(slots[s])
        stop = np.uint64(slots[s + 1])
        if kept:  # its row lies between those of other states that are read now
            best = kept_reward[s] + gamma * _next_value(kept_next_state, kept_weight, v, begin, stop)
        else:
            i = np.uint64(offsets[top])
            best = reward[top] + gamma * _next_value(next_state, weight, v, i, np.uint64(offsets[top + 1]))
        looked_at += 1
        doubt += SHARE * (worth[s] + rise - best - doubt)
        if not second[s] + rise < best:
            known[top] = best - rise
            for pair in range(s * num_actions, (s + 1) * num_actions):
                if pair == top or known[pair] + rise < best:
                    continue
                looked_at += 1
                value = reward[pair] + gamma * _next_value(
                    next_state, weight, v, np.uint64(offsets[pair]), np.uint64(offsets[pair + 1])
                )
                known[pair] = value - rise
                if value > best or (value == best and pair < chosen):
                    best = value
                    chosen = pair
            most = -math.inf
            for pair in range(s * num_actions, (s + 1) * num_actions):
                if pair != chosen and known[pair] > most:
                    most = known[pair]
            second[s] = most
        worth[s] = best - rise
        w[s] = best
        low = min(low, best - v[s])
        high = max(high, best - v[s])
        if kept and chosen == top:
            continue
        policy[s] = chosen - s * num_actions
        kept_reward[s] = reward[chosen]
        i = np.uint64(offsets[chosen])
        end = np.uint64(offsets[chosen + 1])
        while i < end:
            kept_next_state[begin] = next_state[i]
            kept_weight[begin] = weight[i]
            i += np.uint64(1)
            begin += np.uint64(1)
        while begin < stop:
            kept_next_state[begin] = s
            kept_weight[begin] = 0.0
            begin += np.uint64(1)
    return low, high, looked_at


@njit(cache=True, nogil=True, error_model="numpy")
def count_possible(num_actions, gamma, v, slots, next_state, weight, reward, known, second, rise, policy, step):
    """How many pairs beside the chain's can be the best ones, among the states 0, step, 2 step ...

    Args:
        slots, next_state, weight, reward: of the chain. All others: as `sweep_and_keep` takes them.
    """
    found = 0
    for s in range(0, v.size, step):
        best = reward[s] + gamma * _next_value(next_state, weight, v, np.uint64(slots[s]), np.uint64(slots[s + 1]))
        if second[s] + rise < best:
            continue
        for a in range(num_actions):
            found += a != policy[s] and not known[s * num_actions + a] + rise < best
    return found


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def _quotient(next_state, probability, reward, terminated, gamma, v, i, end):
    """The very operations of `rlgrid.kernels.sweeps`, which certificates are made for; -inf without outcomes."""
    total = 0.0
    mass = 0.0
    if i == end:
        return -math.inf
    for k in range(i, end):
        p = probability[k]
        x = reward[k]
        if not terminated[k]:
            x = x + gamma * v[np.uint32(next_state[k])]
        total += p * x
        mass += p
    return total / mass


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def _fetch_outcomes(next_state, probability, reward, terminated, i, end):
    _fetch(terminated, np.int64(i))
    _fetch(next_state, np.int64(i))
    _fetch(next_state, np.int64(end))
    while i < end + np.uint64(LINE):
        _fetch(probability, np.int64(i))
        _fetch(reward, np.int64(i))
        i += np.uint64(LINE)


@njit(cache=True, nogil=True, error_model="numpy")
def greedy_images(
    num_actions,
    offsets,
    next_state,
    probability,
    reward,
    terminated,
    gamma,
    v,
    expected,
    most,
    margin,
    slack,
    policy,
    w,
    w_policy,
    first,
    last,
):
    """A greedy policy of the states [first, last) of an explicit model, w = T v and w_policy = T_pi v of it.

    No pair can be worth more than expected + most: those for which that is less by ``margin`` than what the pair of the
    greatest expected reward is worth are not looked at. The margin covers the rounding of all three and the slack.

    Args:
        expected: float64 [S * A], `rlgrid.compressed.Survey`. most: at least gamma v(s) of every state, and at least 0
            where episodes may end.
        policy: int64 [S] becomes the first action, unless a later one is better by more than ``slack``, and so on.
    """
    doubt = 0.0  # how much less than it could be the first pair of a state is worth, on average of late
    share = 1.0  # of pairs that are looked at
    for s in range(first, last):
        t = s + AHEAD
        if t < last and share < DENSE:
            bar = -math.inf
            for pair in range(t * num_actions, (t + 1) * num_actions):
                bar = expected[pair] if expected[pair] > bar else bar
            bar -= doubt
            for pair in range(t * num_actions, (t + 1) * num_actions):
                if expected[pair] >= bar:
                    begin = np.uint64(offsets[pair])
                    _fetch_outcomes(next_state, probability, reward, terminated, begin, np.uint64(offsets[pair + 1]))
        top = s * num_actions
        for pair in range(s * num_actions + 1, (s + 1) * num_actions):
            top = pair if expected[pair] > expected[top] else top
        i = np.uint64(offsets[top])
        end = np.uint64(offsets[top + 1])
        at_top = _quotient(next_state, probability, reward, terminated, gamma, v, i, end)
        doubt += SHARE * (expected[top] + most - at_top - doubt)
        best = -math.inf
        held = -math.inf
        chosen = 0
        looked_at = 0
        for a in range(num_actions):
            pair = s * num_actions + a
            if expected[pair] + most < at_top - margin:
                continue
            looked_at += 1
            value = at_top
            if pair != top:
                i = np.uint64(offsets[pair])
                end = np.uint64(offsets[pair + 1])
                value = _quotient(next_state, probability, reward, terminated, gamma, v, i, end)
            if looked_at == 1 or value > held + slack:
                chosen = a
                held = value
            best = max(best, value)
        share += SHARE * (looked_at / num_actions - share)
        policy[s] = chosen
        w[s] = best
        w_policy[s] = held
