"""Prioritized sweeping over a model that is counted while acting.

The outcomes of a pair that were met lie in a list linked backwards, those that lead to a state in another. Pairs wait
in a heap by priority, the greatest first, and of equal ones the pair with the lowest number, so that the order in
which they are taken depends on priorities alone.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from rlgrid.kernels.borrow import borrow
from rlgrid.kernels.control import put, run
from rlgrid.kernels.exploration import greedy_action
from rlgrid.kernels.tabular import act_apart


class Counted(NamedTuple):
    """The model and the queue. An outcome of pair s * A + a is a next state, or its complement where it terminated."""

    pair: Any  # int64 [M]: of each outcome that was met
    to: Any  # int64 [M]
    many: Any  # int64 [M]: how often
    same_pair: Any  # int64 [M]: the outcome of the same pair that was met before it, or -1
    same_next: Any  # int64 [M]: likewise of the same next state
    size: Any  # int64 [1]: how many outcomes
    of_pair: Any  # int64 [S * A]: the latest outcome of each pair, or -1
    of_next: Any  # int64 [S]: the latest outcome that leads to each state, or -1
    reward: Any  # float64 [S * A]: the sum of the rewards of each pair
    priority: Any  # float64 [S * A]: of the pairs that wait
    heap: Any  # int64 [S * A]
    where: Any  # int64 [S * A]: the place of a pair in the heap, or -1
    waiting: Any  # int64 [1]: how many
    planning_steps: int
    threshold: float
    q: Any  # float64 [S * A], the table
    counts: Any  # int64 [S * A]: how often each pair was taken


@njit(cache=True, nogil=True)
def _before(priority, i, j):
    return priority[i] > priority[j] or (priority[i] == priority[j] and i < j)


@njit(cache=True, nogil=True)
def _rise(heap, where, priority, at):
    pair = heap[at]
    while at > 0:
        up = (at - 1) // 2
        if not _before(priority, pair, heap[up]):
            break
        heap[at] = heap[up]
        where[heap[at]] = at
        at = up
    heap[at] = pair
    where[pair] = at


@njit(cache=True, nogil=True)
def _sink(heap, where, priority, size, at):
    pair = heap[at]
    while 2 * at + 1 < size:
        down = 2 * at + 1
        if down + 1 < size and _before(priority, heap[down + 1], heap[down]):
            down += 1
        if not _before(priority, heap[down], pair):
            break
        heap[at] = heap[down]
        where[heap[at]] = at
        at = down
    heap[at] = pair
    where[pair] = at


@njit(cache=True, nogil=True)
def enqueue(heap, where, priority, waiting, pair, p):
    """Let a pair wait with priority p; one that waits already keeps the greater of both."""
    heap = borrow(heap)
    where = borrow(where)
    priority = borrow(priority)
    if where[pair] < 0:
        priority[pair] = p
        heap[waiting[0]] = pair
        where[pair] = waiting[0]
        waiting[0] += 1
        _rise(heap, where, priority, where[pair])
    elif p > priority[pair]:
        priority[pair] = p
        _rise(heap, where, priority, where[pair])


@njit(cache=True, nogil=True)
def _dequeue(heap, where, priority, waiting):
    heap = borrow(heap)
    where = borrow(where)
    priority = borrow(priority)
    pair = heap[0]
    waiting[0] -= 1
    where[pair] = -1
    if waiting[0] > 0:
        heap[0] = heap[waiting[0]]
        where[heap[0]] = 0
        _sink(heap, where, priority, waiting[0], 0)
    return pair


@njit(cache=True, nogil=True)
def link(pair, to, same_pair, same_next, of_pair, of_next, i):
    """Put outcome i into its lists."""
    same_pair[i] = of_pair[pair[i]]
    of_pair[pair[i]] = i
    same_next[i] = -1
    if to[i] >= 0:
        same_next[i] = of_next[to[i]]
        of_next[to[i]] = i


@njit(cache=True, nogil=True)
def _meet(pair, to, many, same_pair, same_next, size, of_pair, of_next, key, met):
    i = size[0]
    pair[i] = key
    to[i] = met
    many[i] = 1
    link(pair, to, same_pair, same_next, of_pair, of_next, i)
    size[0] += 1


@njit(cache=True, nogil=True, inline="always")
def _count(rule, key, met, reward):
    """Count an outcome; False, and its reward is left out, where their sum would no longer be finite."""
    total = rule.reward[key] + reward
    finite = abs(total) < np.inf
    if finite:
        put(rule.reward, key, total)
    i = rule.of_pair[key]
    while i >= 0 and rule.to[i] != met:
        i = rule.same_pair[i]
    if i >= 0:
        put(rule.many, i, rule.many[i] + 1)
    else:
        _meet(
            rule.pair,
            rule.to,
            rule.many,
            rule.same_pair,
            rule.same_next,
            rule.size,
            rule.of_pair,
            rule.of_next,
            key,
            met,
        )
    return finite


@njit(cache=True, nogil=True, inline="always")
def _backup(rule, q, gamma, key):
    """The mean reward of a pair plus gamma times the mean of max_b Q(s',b), latest outcome first."""
    total = rule.reward[key]
    i = rule.of_pair[key]
    while i >= 0:
        to = rule.to[np.uintp(i)]
        if to >= 0:
            _, best = greedy_action(q, to)
            total += gamma * rule.many[np.uintp(i)] * best
        i = rule.same_pair[np.uintp(i)]
    return total / rule.counts[key]


@njit(cache=True, nogil=True, inline="always")
def _sweep(rule, q, gamma):
    finite = True
    for _ in range(rule.planning_steps):
        if rule.waiting[0] == 0 or not finite:
            break
        key = np.uintp(_dequeue(rule.heap, rule.where, rule.priority, rule.waiting))
        value = _backup(rule, q, gamma, key)
        finite = abs(value) < np.inf
        if finite:
            put(rule.q, key, value)
            i = rule.of_next[key // np.uintp(q.shape[1])]
            while i >= 0 and finite:
                before = np.uintp(rule.pair[np.uintp(i)])
                p = abs(_backup(rule, q, gamma, before) - rule.q[before])
                finite = p < np.inf
                if finite and p > rule.threshold:
                    enqueue(rule.heap, rule.where, rule.priority, rule.waiting, np.int64(before), p)
                i = rule.same_next[np.uintp(i)]
    return finite


@njit(cache=True, nogil=True, inline="always")
def learn_prioritized_sweeping(
    rule, settings, varied, q, counts, td_error, t, s, a, reward, next_s, terminated, ended, stream
):
    """Full backups of the pairs whose values would change most, after each step and backwards from there.

    Moore & Atkeson 1993; Peng & Williams 1993; Sutton & Barto, 2nd ed., section 8.4 (box), with the expected update of
    section 8.5 over the outcomes that were counted, as stochastic worlds need it.
    """
    counts[np.uintp(s), np.uintp(a)] += 1
    key = s * q.shape[1] + a
    finite = _count(rule, key, ~next_s if terminated else next_s, reward)
    error = _backup(rule, q, settings.gamma, np.uintp(key)) - rule.q[key]
    p = abs(error)
    finite = finite and p < np.inf  # what is not is not kept, so that what was learnt before can be saved
    if finite:
        put(td_error, s, error)
        if p > rule.threshold:
            enqueue(rule.heap, rule.where, rule.priority, rule.waiting, key, p)
        finite = _sweep(rule, q, settings.gamma)
    return finite


@njit(cache=True, nogil=True)
def run_prioritized_sweeping(model, world, stream, rule, settings, varied, tables, place, steps, returns, lengths):
    """`run` by prioritized sweeping."""
    return run(
        act_apart,
        learn_prioritized_sweeping,
        model,
        world,
        stream,
        rule,
        settings,
        varied,
        tables,
        place,
        steps,
        returns,
        lengths,
    )
