"""CartPole, Acrobot and MountainCar: the classic control problems, one step and one start at a time.

The equations are those of Barto, Sutton & Anderson (1983), of Sutton (1996) in the form of Sutton & Barto's book, and
of Moore (1990), with the constants, the order of operations and the rounding of Gymnasium's CartPole-v1, Acrobot-v1
and MountainCar-v0: from the same start the same actions give the same bits. Sines and cosines are the C library's,
which NumPy takes as well, and so differ between systems in their last places; of an Acrobot that was just reset they
are NumPy's own of float32.

A world is a struct with its present state, an array that `move` overwrites. `observe` writes the observation, float32,
into a row.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numba import config, njit, types
from numba.extending import intrinsic, overload

from rlgrid.kernels.pcg64 import uniform


class CartPole(NamedTuple):
    """A pole on a cart that is pushed left (0) or right (1) at every step."""

    state: Any  # float64 [4]: position in m, its velocity, angle from upright in rad, its velocity
    sutton_barto_reward: bool  # 0 a step and -1 at the end, where it is 1 a step otherwise


class Acrobot(NamedTuple):
    """Two links that hang; the joint between them is turned with -1, 0 or 1 N m until the end is high."""

    state: Any  # float64 [4]: angle of the first link from hanging, of the second from the first, their velocities
    exponent: float  # 2. NumPy squares numbers by pow, whose last bit may differ from x * x, which a constant becomes


class MountainCar(NamedTuple):
    """A car in a valley that is accelerated to the left (0), not at all (1) or to the right (2)."""

    state: Any  # float64 [2]: position and velocity
    goal_velocity: float  # at least, at the goal


CLASSIC = (CartPole, Acrobot, MountainCar)

# Of CartPole, in SI units.
GRAVITY, CART_MASS, POLE_MASS, HALF_LENGTH, FORCE, SECONDS = 9.8, 1.0, 0.1, 0.5, 10.0, 0.02
TOTAL_MASS, POLE_MOMENT = POLE_MASS + CART_MASS, POLE_MASS * HALF_LENGTH
FARTHEST, LARGEST_ANGLE = 2.4, 12 * 2 * math.pi / 360

# Of Acrobot. Links are 1 m long, of 1 kg and 1 kg m^2, and have their mass in the middle.
STEP = 0.2
HALF_STEP, SIXTH_STEP = STEP / 2.0, STEP / 6.0
FASTEST = (4 * math.pi, 9 * math.pi)

# Of MountainCar.
LEFT_END, RIGHT_END, GOAL, TOP_SPEED, PUSH, PULL = -1.2, 0.6, 0.5, 0.07, 0.001, 0.0025


# --- CartPole ---------------------------------------------------------------------------------------------------------


@njit(nogil=True)
def _cart_pole(world, action):
    state = world.state
    x, x_dot, theta, theta_dot = state[0], state[1], state[2], state[3]
    force = FORCE if action == 1 else -FORCE
    cosine, sine = math.cos(theta), math.sin(theta)
    push = (force + POLE_MOMENT * (theta_dot * theta_dot) * sine) / TOTAL_MASS
    turning = (GRAVITY * sine - cosine * push) / (
        HALF_LENGTH * (4.0 / 3.0 - POLE_MASS * (cosine * cosine) / TOTAL_MASS)
    )
    acceleration = push - POLE_MOMENT * turning * cosine / TOTAL_MASS
    x = x + SECONDS * x_dot
    theta = theta + SECONDS * theta_dot
    state[0] = x
    state[1] = x_dot + SECONDS * acceleration
    state[2] = theta
    state[3] = theta_dot + SECONDS * turning
    terminated = x < -FARTHEST or x > FARTHEST or theta < -LARGEST_ANGLE or theta > LARGEST_ANGLE
    if world.sutton_barto_reward:
        return (-1.0 if terminated else 0.0), terminated
    return 1.0, terminated


# --- Acrobot ----------------------------------------------------------------------------------------------------------


@njit(nogil=True)
def _accelerations(exponent, torque, first, second, first_dot, second_dot):
    """Of both angles, by the book's equations."""
    gravity = 9.8
    cosine, sine = math.cos(second), math.sin(second)
    d1 = 0.25 + (1.0 + 0.25 + cosine) + 1.0 + 1.0
    d2 = (0.25 + 0.5 * cosine) + 1.0
    phi2 = 0.5 * gravity * math.cos(first + second - math.pi / 2.0)
    phi1 = (
        -0.5 * second_dot**exponent * sine
        - second_dot * first_dot * sine
        + 1.5 * gravity * math.cos(first - math.pi / 2.0)
        + phi2
    )
    second_acceleration = (torque + d2 / d1 * phi1 - 0.5 * first_dot**exponent * sine - phi2) / (
        0.25 + 1.0 - d2**exponent / d1
    )
    return -(d2 * second_acceleration + phi1) / d1, second_acceleration


@njit(nogil=True)
def _wrapped(angle):
    """In [-pi, pi]."""
    while angle > math.pi:
        angle = angle - 2 * math.pi
    while angle < -math.pi:
        angle = angle + 2 * math.pi
    return angle


@njit(nogil=True)
def _acrobot(world, action):
    state = world.state
    torque = action - 1.0
    a, b, c, d = state[0], state[1], state[2], state[3]
    # Runge and Kutta's method of fourth order; the derivative of an angle is its velocity.
    a1, b1 = c, d
    c1, d1 = _accelerations(world.exponent, torque, a, b, c, d)
    a2, b2 = c + HALF_STEP * c1, d + HALF_STEP * d1
    c2, d2 = _accelerations(world.exponent, torque, a + HALF_STEP * a1, b + HALF_STEP * b1, a2, b2)
    a3, b3 = c + HALF_STEP * c2, d + HALF_STEP * d2
    c3, d3 = _accelerations(world.exponent, torque, a + HALF_STEP * a2, b + HALF_STEP * b2, a3, b3)
    a4, b4 = c + STEP * c3, d + STEP * d3
    c4, d4 = _accelerations(world.exponent, torque, a + STEP * a3, b + STEP * b3, a4, b4)
    first = _wrapped(a + SIXTH_STEP * (a1 + 2 * a2 + 2 * a3 + a4))
    second = _wrapped(b + SIXTH_STEP * (b1 + 2 * b2 + 2 * b3 + b4))
    state[0] = first
    state[1] = second
    state[2] = min(max(c + SIXTH_STEP * (c1 + 2 * c2 + 2 * c3 + c4), -FASTEST[0]), FASTEST[0])
    state[3] = min(max(d + SIXTH_STEP * (d1 + 2 * d2 + 2 * d3 + d4), -FASTEST[1]), FASTEST[1])
    terminated = -math.cos(first) - math.cos(second + first) > 1.0
    return (0.0 if terminated else -1.0), terminated


if config.DISABLE_JIT:  # type: ignore[attr-defined]

    def _fused(a, b, c):
        """a b + c, rounded once but in rare cases."""
        return np.float32(np.float64(a) * np.float64(b) + np.float64(c))

else:

    @intrinsic
    def _fused(_context, a, b, c):
        """a b + c of float32, rounded once."""

        def generate(context, builder, signature, arguments):
            return builder.fma(*arguments)

        return types.float32(types.float32, types.float32, types.float32), generate


_COSINE = tuple(
    np.float32(float.fromhex(c)) for c in ("0x1.98e616p-16", "-0x1.6c06dcp-10", "0x1.55553cp-05", "-0x1p-1", "0x1p0")
)
_SINE = tuple(
    np.float32(float.fromhex(c)) for c in ("0x1.7d3bbcp-19", "-0x1.a06bbap-13", "0x1.11119ap-07", "-0x1.555556p-03")
)


SMALL_ANGLE = math.pi / 4


@njit(nogil=True)
def _single_cos_sin(x):
    """(cos x, sin x) of a float32 |x| < SMALL_ANGLE, by the polynomials that NumPy takes on processors with FMA."""
    square = x * x
    cosine, sine = _COSINE[0], _SINE[0]
    for coefficient in _COSINE[1:]:
        cosine = _fused(cosine, square, coefficient)
    for coefficient in _SINE[1:]:
        sine = _fused(sine, square, coefficient)
    return cosine, _fused(sine * square, x, x)


# --- MountainCar ------------------------------------------------------------------------------------------------------


@njit(nogil=True)
def _mountain_car(world, action):
    state = world.state
    velocity = state[1] + ((action - 1) * PUSH + math.cos(3 * state[0]) * -PULL)
    velocity = min(max(velocity, -TOP_SPEED), TOP_SPEED)
    position = min(max(state[0] + velocity, LEFT_END), RIGHT_END)
    if position == LEFT_END and velocity < 0.0:
        velocity = 0.0
    state[0] = position
    state[1] = velocity
    return -1.0, position >= GOAL and velocity >= world.goal_velocity


# --- all of them ------------------------------------------------------------------------------------------------------

_MOVES = {CartPole: _cart_pole, Acrobot: _acrobot, MountainCar: _mountain_car}


def move(world, action):
    """One step of a world: (reward, terminated); its state is overwritten."""
    return _MOVES[type(world)](world, action)


@overload(move)
def _move(world, action):
    chosen = _MOVES[world.instance_class]
    return lambda world, action: chosen(world, action)  # noqa: PLW0108 - matched by the arguments' names


@njit(nogil=True)
def _observe_state(world, out, i):
    for k in range(world.state.size):
        out[i, k] = np.float32(world.state[k])


@njit(nogil=True)
def _observe_angles(world, out, i):
    state = world.state
    out[i, 0] = np.float32(math.cos(state[0]))
    out[i, 1] = np.float32(math.sin(state[0]))
    out[i, 2] = np.float32(math.cos(state[1]))
    out[i, 3] = np.float32(math.sin(state[1]))
    out[i, 4] = np.float32(state[2])
    out[i, 5] = np.float32(state[3])


@njit(cache=True, nogil=True)
def observe_at_rest(world, out, i):
    """`observe` of an Acrobot that was just reset: its angles are float32 then, and so are their sines and cosines."""
    for k in range(2):
        cosine, sine = _single_cos_sin(np.float32(world.state[k]))
        out[i, 2 * k] = cosine
        out[i, 2 * k + 1] = sine
    out[i, 4] = np.float32(world.state[2])
    out[i, 5] = np.float32(world.state[3])


def observe(world, out, i):
    """The present observation into row i of ``out``, float32 [N, 4], [N, 6] (Acrobot) or [N, 2] (MountainCar)."""
    (_observe_angles if isinstance(world, Acrobot) else _observe_state)(world, out, i)


@overload(observe)
def _observe(world, out, i):
    chosen = _observe_angles if world.instance_class is Acrobot else _observe_state
    return lambda world, out, i: chosen(world, out, i)  # noqa: PLW0108


@njit(nogil=True)
def _start_cart_pole(world, stream, out, i):
    for k in range(4):
        world.state[k] = -0.05 + 0.1 * uniform(stream)
    _observe_state(world, out, i)


@njit(nogil=True)
def _start_acrobot(world, stream, out, i):
    for k in range(4):
        world.state[k] = np.float32(-0.1 + 0.2 * uniform(stream))
    observe_at_rest(world, out, i)


@njit(nogil=True)
def _start_mountain_car(world, stream, out, i):
    world.state[0] = -0.6 + (-0.4 - -0.6) * uniform(stream)
    world.state[1] = 0.0
    _observe_state(world, out, i)


_STARTS = {CartPole: _start_cart_pole, Acrobot: _start_acrobot, MountainCar: _start_mountain_car}


def start(world, stream, out, i):
    """Begin an episode with the numbers that Gymnasium's reset draws; its first observation goes into out[i]."""
    _STARTS[type(world)](world, stream, out, i)


@overload(start)
def _start(world, stream, out, i):
    chosen = _STARTS[world.instance_class]
    return lambda world, stream, out, i: chosen(world, stream, out, i)  # noqa: PLW0108


# --- for Python to call -----------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def move_once(world, action, out):
    """`move` and `observe` into row 0: (reward, terminated)."""
    reward, terminated = move(world, action)
    observe(world, out, 0)
    return reward, terminated


@njit(cache=True, nogil=True)
def observe_once(world, out):
    """`observe` into row 0."""
    observe(world, out, 0)
