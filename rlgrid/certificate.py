"""Proofs of how far values can be from the optimum, independent of the method that found them.

An upper bound u is proven by one computed sweep: with T the Bellman operator of the exact model, T^ the computed one
and e(s) a bound on |T^ u - T u| (`rlgrid.kernels.rounding`, rounding of the test itself included),

    T^ u + e <= u  in every state    implies    T u <= u    implies    V* <= u,

since T is monotone and T^n u converges to V*. In the same way T^_pi l - e >= l implies V^pi >= l, and V^pi <= V*. Both
tests can be made by anyone who has the model, the policy and the bounds (`rlgrid.verify`).

gamma < 1. With w = T v, u = v + c passes for c = (max(0, max(w - v)) + margin) / (1 - gamma) and l = v - c' likewise:
T(v + c) = w + gamma c at the most (Puterman 1994, theorem 6.6.2; where episodes end c must not be negative). What is
reported is T^ u + e, a sweep tighter: computed sweeps are monotone and e does not depend on u while |u| <= scale, so
it passes the test again. Of explicit models T v and T_pi v are at hand, and bounds are made of them without that sweep
(`rlgrid.kernels.certificate.bounds_of_images`) as long as changes are well above rounding. Where rounding is
most of the margin, the test is also made in differences of values (as at gamma = 1): its rounding is in proportion to
|r| and the differences, which are small where values are large.

gamma = 1: see `rlgrid.undiscounted_certificate`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rlgrid.parallel import in_pieces
from rlgrid.problem import Problem, extent, largest
from rlgrid.undiscounted_certificate import undiscounted_bounds

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

EPSILON = float(np.finfo(np.float64).eps)


def distance(values: Floats, lower: Floats, upper: Floats) -> float:
    """An upper bound of max |values - x| over lower <= x <= upper, rounded outwards; equal infinities are at 0."""
    from rlgrid.kernels.stencil import greatest_gap

    given = (values, lower, upper) if values.ndim == 1 else (values.reshape(-1), lower.reshape(-1), upper.reshape(-1))
    worst = max(in_pieces(lambda first, last: float(greatest_gap(first, last, *given)), values.size))
    return outwards(worst)


def outwards(greatest: float) -> float:
    """An upper bound of the exact differences whose greatest is this, rounded.

    They round to nearest, and monotonically: the float above the greatest is above them all.
    """
    return greatest if greatest == 0.0 else math.nextafter(greatest, math.inf)


@dataclass(frozen=True)
class Certificate:
    """lower <= V^policy <= V* <= upper, all [S]; infinite where nothing is proven (or where V* is)."""

    lower: Floats
    upper: Floats
    policy: Ints
    policy_values: Floats | None = None  # where the policy was evaluated on the way
    error: float | None = None  # `distance` of the values it was made from, where that was worked out on the way


def where_upper_fails(problem: Problem, upper: Floats) -> int:
    """The first state in which the proof of an upper bound fails, or -1. +inf everywhere claims nothing."""
    if (problem.finite(upper) == np.inf).all():
        return -1
    with np.errstate(invalid="ignore", over="ignore"):
        if problem.stencil is not None and problem.holds_above(upper):
            return -1
        if problem.undiscounted is None:
            image = problem.image_above(upper)
        else:
            image = problem.above(upper)
        holds = np.isfinite(upper) & (image <= upper)
        if problem.undiscounted is None and not holds.all():
            holds |= np.isfinite(upper) & (problem.above(upper) <= upper)
    if problem.undiscounted is not None:
        from rlgrid.kernels.sweeps import tie_highest

        tied = upper.copy()
        tie_highest(tied, problem.members, problem.offsets)
        holds &= tied == upper
        holds |= problem.undiscounted.hopeless
    return -1 if holds.all() else int(holds.argmin())


def where_lower_fails(problem: Problem, policy: Ints, lower: Floats) -> int:
    """The first state in which the proof fails that a policy is worth at least so much, or -1.

    -inf everywhere claims nothing.
    """
    if (lower == -np.inf).all():
        return -1
    with np.errstate(invalid="ignore", over="ignore"):
        if problem.stencil is not None and problem.holds_below(policy, lower):
            return -1
        if problem.undiscounted is None:
            image = problem.image_below(policy, lower)
        else:
            image = problem.below(problem.leaving(policy), lower)
        holds = np.isfinite(lower) & (image >= lower)
        if problem.undiscounted is None and not holds.all():
            holds |= np.isfinite(lower) & (problem.below(policy, lower) >= lower)
    if problem.undiscounted is not None:
        from rlgrid.kernels.sweeps import tie_lowest

        stays = problem.undiscounted.staying(policy)
        tied = np.where(stays, np.inf, lower)
        tie_lowest(tied, problem.members, problem.offsets)
        holds &= np.where(stays, lower <= 0, tied == lower) & problem.undiscounted.is_proper(policy)
        holds |= problem.undiscounted.hopeless & (lower == -np.inf)
    return -1 if holds.all() else int(holds.argmin())


def certify(
    problem: Problem, v: Floats, patience: int = 100_000, deadline: float = np.inf, enough: float = 0.0
) -> Certificate:
    """Bounds from values, which may be any.

    Bounds that are within ``enough`` of the values are not made tighter by a slower test.
    ``patience`` is how many sweeps a proof at gamma = 1 may take; none is begun after ``deadline`` (perf_counter).
    """
    with np.errstate(invalid="ignore", over="ignore"):
        if problem.undiscounted is None:
            return _discounted(problem, v, enough)
        lower, upper, policy, exact = undiscounted_bounds(problem, v, patience, deadline, enough)
        if upper is None:
            zero = problem.start()
            upper = zero if where_upper_fails(problem, zero) < 0 else np.full(problem.num_states, np.inf)
        if lower is None:
            lower = np.full(problem.num_states, -np.inf)
        return Certificate(lower, np.where(problem.undiscounted.hopeless, -np.inf, upper), policy, exact)


def _discounted(problem: Problem, v: Floats, enough: float) -> Certificate:
    from rlgrid.kernels.certificate import bounds_of_images, moved_outwards

    images: tuple[Floats, Floats] | None = None
    proven = False
    if problem.explicit:
        sizes = extent(v)
        size = sizes[1]
        policy, w, w_policy = problem.greedy_images(v, enough, sizes)
        images = w_policy, w
        lower, upper = np.empty_like(v), np.empty_like(v)
        known = *problem.survey[1:4], problem.largest_reward, problem.gamma, size
        rise, fall, proven = bounds_of_images(*known, v, w_policy, w, lower, upper)
    else:
        size = largest(v)
        policy, rise, fall = problem.greedy(v, size, enough)
    if proven:
        error = distance(v, lower, upper)
        if error <= enough:
            return Certificate(lower, upper, policy, error=error)
    rise, fall = max(0.0, rise), max(0.0, -fall)
    rest = 1.0 - problem.gamma
    reach = size + max(rise, fall)

    def shifted(sign: float, moved: float, policy: Ints | None) -> Floats:
        """v + sign * c with the least c that passes the test, after one sweep; infinite if none was found."""
        stencil = problem.stencil
        for widen, share in ((0.0, 0.0), (1.0, 1.25), (1.0, 3.0), (2.0, 8.0), (16.0, 64.0), (1024.0, 4096.0)):
            if widen == 0.0 and moved > 0.0:
                continue
            scale = 1.01 * (reach + widen * moved / rest)
            margin = 0.0
            for _ in range(2 if share else 0):  # what the margin adds to the scale adds to the margin
                margin = share * problem.largest_rounding(scale)
                scale += 2.0 * margin / rest
            shift = sign * (widen * moved + margin) / rest
            if problem.overflows(scale):
                continue
            if stencil is not None:
                w = np.empty_like(v)
                plus = sign * problem.largest_rounding(scale)
                low, high = stencil.sweep(problem.gamma, v, w, shift, plus, policy)
                passes = (high if sign > 0.0 else -low) <= 0.0
                # T^ and T^_pi are monotone, so w lies between v +- shift and T^ v or T^_pi v: |w| is within reach or
                # |v| + |shift|, and that within the scale.
            else:
                bound = v + shift
                if shift == 0.0 and images is not None:
                    w = images[0 if sign < 0.0 else 1].copy()
                else:
                    w = problem.sweep(bound) if policy is None else problem.sweep_policy(policy, bound)
                passes = moved_outwards(problem.rounding(scale), scale, sign > 0.0, bound, w)
            if passes:
                return w
        return np.full_like(v, sign * np.inf)

    def finer(sign: float, coarse: Floats, policy: Ints | None) -> Floats:
        """The same with the test in differences of values, where that proves more."""
        image = problem.above(v) if policy is None else problem.below(policy, v)
        shifted_ones = problem.goes_on | (image != v)  # what ends at once is exact already
        # The image is rounded to a float, a unit in the last place above what is lost at the most: less may do.
        c = max(float((sign * (image - v)).max()), 0.0) / rest / 8.0
        for _ in range(16):
            bound = v + np.where(shifted_ones, sign * c, 0.0)
            if not (sign * (bound - coarse)).sum() < 0.0:
                return coarse
            image = problem.above(bound) if policy is None else problem.below(policy, bound)
            if (sign * image <= sign * bound).all():
                return bound
            c = max(2.0 * c, EPSILON * reach)
        return coarse

    if not np.isfinite(reach):
        return Certificate(np.full(problem.num_states, -np.inf), np.full(problem.num_states, np.inf), policy)
    rounding = problem.largest_rounding(reach)
    if not (proven and fall > 64.0 * rounding):  # a test with a sweep proves more
        lower = shifted(-1.0, fall, policy)
    if not (proven and rise > 64.0 * rounding):
        upper = shifted(1.0, rise, None)
    doubtful = 8.0 * rounding
    if min(rise, fall) < doubtful and distance(v, lower, upper) > enough:
        lower = finer(-1.0, lower, policy) if fall < doubtful else lower
        upper = finer(1.0, upper, None) if rise < doubtful else upper
    return Certificate(lower, upper, policy)
