"""Sweeps from old values over the compressed form of explicit models, at the speed of memory.

    sweep_of(width)               w = T v for a range of states, on request with a greedy policy
    sweep_and_keep_of(width)      the same, with what `rlgrid.kernels.compressed.sweep_and_keep` keeps beside it

Rows (the outcomes of a pair) lie one after the other, and a sweep reads each number once: it should take as long as
memory takes to bring them. Two things stand in the way.

- A loop over a few outcomes is mostly loop, and where rows differ in length the processor guesses wrong when each ends.
  Where all are equally long (`width`) no offsets are read, and for up to WIDEST outcomes the length is known when the
  kernel is compiled, one for each length, so that there is no loop at all.
- The processor does not fetch the streams (next states, weights, rewards, values) far enough ahead by itself. So what
  lies FETCHED outcomes ahead is asked for, once a state: farther than memory takes, and no more than the first cache
  holds. Half and twice as far take the same time within 5 percent, none at all 1.4 times as long.

The sums are the same to the bit in all kernels: even and odd outcomes apart, and what a row is filled up with adds 0.

A helper that takes arrays must not use any of them for the last time under an `if`: references would be counted at each
call, which takes ten times as long as all else. So `_next_value` has a loop of 0 or 1 rounds in place of one.
"""

import math
from typing import Any

import numpy as np
from numba import njit

from rlgrid.kernels.compressed import _next_value
from rlgrid.kernels.stencil import LINE, _fetch

FETCHED = 768  # outcomes between what is worked on and what is fetched
WIDEST = 4  # outcomes of the longest rows that have kernels of their own


_MADE: dict[Any, Any] = {}  # (what makes it, its argument) -> kernel


def _kept(make, width):
    kind = min(width, WIDEST + 1)
    if (make, kind) not in _MADE:
        _MADE[make, kind] = make(kind)
    return _MADE[make, kind]


def sweep_of(width):
    """The sweep for rows of that length, any lengths where it is 0."""
    return _kept(_sweep_of, width)


def sweep_and_keep_of(width):
    """`sweep_and_keep` over all pairs, for rows of that length."""
    return _kept(_sweep_and_keep_of, width)


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def _fetch_ahead(next_state, weight, i, end):
    lines = np.uint64(end - i + 2 * LINE - 1) // np.uint64(2 * LINE)
    i += FETCHED
    for _ in range(lines):
        _fetch(next_state, i)
        _fetch(weight, i)
        _fetch(weight, i + LINE)
        i += 2 * LINE


def _sweep_of(kind):
    ragged, fixed = kind == 0, kind <= WIDEST

    @njit(cache=True, nogil=True, error_model="numpy")
    def sweep(num_actions, width, offsets, next_state, weight, reward, gamma, v, w, policy, slack, first, last):
        """w(s) = max_a q(s, a) from v, for the states [first, last); (least, greatest) change w - v among them.

        Args:
            width: of all rows; 0 where they differ.
            v, w: float64 [S], not the same, finite where rows are filled up.
            policy: int64 [S] becomes greedy: the first action, unless a later one is better by more than ``slack``,
                and so on; None is none.
        """
        low = math.inf
        high = -math.inf
        n = np.uint64(kind if fixed else width)
        for s in range(first, last):
            if ragged:
                begin = np.int64(offsets[s * num_actions])
                end = np.int64(offsets[(s + 1) * num_actions])
            else:
                begin = np.int64(n) * num_actions * s
                end = begin + np.int64(n) * num_actions
            _fetch_ahead(next_state, weight, begin, end)
            i = np.uint64(begin)
            best = -math.inf
            held = -math.inf
            chosen = 0
            for a in range(num_actions):
                pair = s * num_actions + a
                stop = np.uint64(offsets[pair + 1]) if ragged else i + n
                value = reward[pair] + gamma * _next_value(next_state, weight, v, i, stop)
                i = stop
                if policy is not None and (a == 0 or value > held + slack):
                    held = value
                    chosen = a
                best = value if value > best else best
            w[s] = best
            if policy is not None:
                policy[s] = chosen
            change = 0.0 if best == v[s] else best - v[s]
            low = change if change < low else low
            high = change if change > high else high
        return low, high

    return sweep


def _sweep_and_keep_of(kind):
    ragged, fixed = kind == 0, kind <= WIDEST

    @njit(cache=True, nogil=True, error_model="numpy")
    def sweep_and_keep(
        num_actions,
        width,
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
        """`rlgrid.kernels.compressed.sweep_and_keep`, but all pairs are looked at, one after the other."""
        low = math.inf
        high = -math.inf
        n = np.uint64(kind if fixed else width)
        for s in range(first, last):
            if ragged:
                begin = np.int64(offsets[s * num_actions])
                end = np.int64(offsets[(s + 1) * num_actions])
            else:
                begin = np.int64(n) * num_actions * s
                end = begin + np.int64(n) * num_actions
            _fetch_ahead(next_state, weight, begin, end)
            i = np.uint64(begin)
            best = -math.inf
            most = -math.inf
            chosen = 0
            for a in range(num_actions):
                pair = s * num_actions + a
                stop = np.uint64(offsets[pair + 1]) if ragged else i + n
                value = reward[pair] + gamma * _next_value(next_state, weight, v, i, stop)
                i = stop
                known[pair] = value - rise
                less = best if value > best else value
                most = less if less > most else most
                chosen = a if value > best else chosen
                best = value if value > best else best
            w[s] = best
            worth[s] = best - rise
            second[s] = most - rise
            change = 0.0 if best == v[s] else best - v[s]
            low = change if change < low else low
            high = change if change > high else high
            if kept and chosen == policy[s]:
                continue
            policy[s] = chosen
            pair = s * num_actions + chosen
            kept_reward[s] = reward[pair]
            i = np.uint64(offsets[pair])
            end_of_row = np.uint64(offsets[pair + 1])
            for j in range(np.uint64(slots[s]), np.uint64(slots[s + 1])):
                there = i < end_of_row
                kept_next_state[j] = next_state[i] if there else s
                kept_weight[j] = weight[i] if there else 0.0
                i += np.uint64(1)
        return low, high

    return sweep_and_keep
