"""The loop of every tabular agent, written once: environment and rule in one kernel.

A rule is two functions, and a NamedTuple of what it keeps beside the tables:

    act(rule, ..., t, s, stream)                                              the action of step t in state s
    learn(rule, ..., t, s, a, reward, next_s, terminated, ended, stream)      learn from the step

``ended`` says that the episode is over, terminated or truncated: what belongs to it is then forgotten. Truncation is
no termination: s' keeps its value. ``learn`` returns whether the new q-values are finite; one that is not is not
written.

`run` takes these functions as arguments, and is inlined into one kernel for each rule, where they are inlined in turn;
the Python loop over a foreign environment calls them for each step. What a rule keeps between steps lies in its
arrays, so a run that is cut anywhere goes on the same.

What is inlined must not write to an array of the rule at an index that changes (``rule.states[i] = s``): the array was
borrowed, numba takes it for one that nobody sees again, and leaves such a write out. It belongs into a function that
is called, such as `put`.
"""

from typing import Any, NamedTuple

from numba import njit

from rlgrid.kernels.borrow import borrow
from rlgrid.kernels.model import sample_start
from rlgrid.kernels.padded import draw
from rlgrid.kernels.pcg64 import uniform


class Tables(NamedTuple):
    """What every agent learns."""

    q: Any  # float64 [S, A], -inf where a state lacks an action
    counts: Any  # int64 [S, A], how often each pair was taken
    td_error: Any  # float64 [S], the last error of each state


class Place(NamedTuple):
    """Where a run stands."""

    t: int  # steps done before
    s: int  # the present state
    elapsed: int  # steps into the episode
    limit: int  # after how many an episode is truncated
    total: float  # the episode's return so far


@njit(cache=True, nogil=True)
def put(array, i, value):
    """array[i] = value, from a function that is inlined."""
    array[i] = value


@njit(cache=True, nogil=True, inline="always")
def run(act, learn, model, world, stream, rule, settings, varied, tables, place, steps, returns, lengths):
    """Run at most ``steps`` steps on from ``place``.

    Args:
        act, learn: the functions of the rule. rule: its NamedTuple of arrays.
        model: any form that `draw` takes.
        world: the environment's stream: one uniform a step, one a reset. stream: the agent's.
        settings, varied: see `rlgrid.kernels.exploration`.
        returns, lengths: float64 [E], int64 [E]: take the episodes that end; when they are full the loop stops.

    Returns:
        (steps done, state, elapsed, total, number of episodes that ended, the state in which a q-value overflowed in
        the last step or -1)
    """
    model = borrow(model)
    rule = borrow(rule)
    q = borrow(tables.q)
    counts = borrow(tables.counts)
    td_error = borrow(tables.td_error)
    stream = borrow(stream)
    world = borrow(world)
    t = place.t
    s = place.s
    elapsed = place.elapsed
    limit = place.limit
    total = place.total
    count = 0
    done = 0
    overflown = -1
    while done < steps and count < returns.size and overflown < 0:
        a = act(rule, settings, varied, q, counts, td_error, t + done, s, stream)
        next_s, reward, terminated = draw(model, s, a, uniform(world))
        elapsed += 1
        ended = terminated or elapsed >= limit
        if not learn(
            rule,
            settings,
            varied,
            q,
            counts,
            td_error,
            t + done,
            s,
            a,
            reward,
            next_s,
            terminated,
            ended,
            stream,
        ):
            overflown = s
        s = next_s
        done += 1
        total += reward
        if ended:
            returns[count] = total
            lengths[count] = elapsed
            count += 1
            s = sample_start(model, uniform(world))
            elapsed = 0
            total = 0.0
    return done, s, elapsed, total, count, overflown
