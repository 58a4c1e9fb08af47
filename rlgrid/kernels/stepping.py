"""One step of any world that a kernel can run: a model that is sampled from, or one of classic control.

A learner sees its observations alone: int32 [1], the state of a model, or float32 [1, D]. Of several copies of a world
each has a row of the state of classic control; the tables of a model are those of all.
"""

import numpy as np
from numba.extending import overload

from rlgrid.kernels.classic_control import CLASSIC, Acrobot, CartPole, MountainCar, move, observe, start
from rlgrid.kernels.model import sample_start
from rlgrid.kernels.padded import draw
from rlgrid.kernels.pcg64 import uniform


def copy_of(world, e):
    """Copy e of a world whose ``state``, where it has one, is float64 [C, n]."""
    return world._replace(state=world.state[e]) if isinstance(world, CLASSIC) else world


@overload(copy_of, inline="always")
def _copy_of(world, e):
    if world.instance_class is CartPole:
        return lambda world, e: CartPole(world.state[e], world.sutton_barto_reward)
    if world.instance_class is Acrobot:
        return lambda world, e: Acrobot(world.state[e], world.exponent)
    if world.instance_class is MountainCar:
        return lambda world, e: MountainCar(world.state[e], world.goal_velocity)
    return lambda world, e: world


def enter(world, stream, observation):
    """Begin an episode, as `reset` would: the first observation is written to ``observation``."""
    if isinstance(world, CLASSIC):
        start(world, stream, observation, 0)
    else:
        observation[0] = sample_start(world, uniform(stream))


@overload(enter)
def _enter(world, stream, observation):
    if world.instance_class in CLASSIC:
        return lambda world, stream, observation: start(world, stream, observation, 0)

    def enter_model(world, stream, observation):
        observation[0] = sample_start(world, uniform(stream))

    return enter_model


def take(world, stream, observation, action, arrival):
    """Take an action where ``observation`` was seen: (reward, terminated); what is seen then goes into ``arrival``."""
    if isinstance(world, CLASSIC):
        reward, terminated = move(world, action)
        observe(world, arrival, 0)
    else:
        arrival[0], reward, terminated = draw(world, np.int64(observation[0]), action, uniform(stream))
    return reward, terminated


@overload(take, inline="always")
def _take(world, stream, observation, action, arrival):
    if world.instance_class in CLASSIC:

        def take_classic(world, stream, observation, action, arrival):
            reward, terminated = move(world, action)
            observe(world, arrival, 0)
            return reward, terminated

        return take_classic

    def take_model(world, stream, observation, action, arrival):
        to, reward, terminated = draw(world, np.int64(observation[0]), action, uniform(stream))
        arrival[0] = to
        return reward, terminated

    return take_model
