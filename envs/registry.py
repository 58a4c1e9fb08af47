"""Environments by the name that a person types: an id, the name of a built-in map, or a map file."""

import difflib
from pathlib import Path
from typing import Any

import gymnasium as gym
from gymnasium.envs.registration import registry

from rlgrid.envs import CLASSICS, GENERATED, MAPS


def resolve(name: str) -> tuple[str, dict[str, Any]]:
    """The id that ``name`` means, and the arguments that it adds.

    ``name`` is a registered id (``rlgrid/FourRooms-v0``, ``CartPole-v1``), an id without its ``rlgrid/`` where
    Gymnasium has none of that name, the name of a built-in map (``four_rooms``) or of another world of ours
    (``river_swim``), or the path of a map file.

    Raises:
        ValueError: for an unknown name, with the nearest known one.
        FileNotFoundError: for a map file that is not there.
    """
    if name.endswith(".toml"):
        if not Path(name).is_file():
            raise FileNotFoundError(f"there is no map file {name}")
        return "rlgrid/GridWorld-v0", {"map": name}
    if name in registry or ":" in name:  # "module:Id-v0" is imported by Gymnasium
        return name, {}
    if f"rlgrid/{name}" in registry:
        return f"rlgrid/{name}", {}
    # Of the ids of one classic the first is its plain form.
    by_map = {classic.world: world for world, classic in reversed(CLASSICS.items())}
    by_map |= {random.name: world for world, random in GENERATED.items()}
    by_map |= {entry.map: world for world, entry in MAPS.items()}
    if name in by_map:
        return by_map[name], {}
    # Of equally near names ours come first.
    plain = {world.partition("/")[2].lower(): world for world in (*MAPS, *GENERATED, *CLASSICS)}
    known = {key.lower(): key for key in registry} | {map_name: map_name for map_name in by_map} | plain
    near = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.5)
    hint = f"did you mean {known[near[0]]}?" if near else "`rlgrid envs` lists the worlds"
    raise ValueError(f"there is no environment {name!r}: {hint}")


def make(name: str, **arguments: Any) -> gym.Env[Any, Any]:
    """`gymnasium.make` of what `resolve` finds; ``arguments`` are those of the environment and of ``gymnasium.make``.

    Raises:
        ValueError, FileNotFoundError: as `resolve`, and where Gymnasium cannot make the environment.
        TypeError: for an argument that a world of ours does not have, or of a wrong kind.
    """
    world, further = resolve(name)
    try:
        env: gym.Env[Any, Any] = gym.make(world, **(further | arguments))
    except gym.error.Error as error:
        raise ValueError(f"{world} cannot be made: {error}") from error
    except Exception as error:
        # Gymnasium adds all arguments to what a TypeError says; the error itself is the cause of that one.
        cause = error.__cause__ if isinstance(error.__cause__, TypeError) else error
        if world.startswith("rlgrid/") and isinstance(cause, ValueError | TypeError | OSError):
            raise cause from None  # it says what is wrong
        # Whatever the code of others stumbled over.
        given = ", ".join(f"{key}={value!r}" for key, value in (further | arguments).items()) or "no arguments"
        raise ValueError(f"{world} cannot be made with {given}: {type(cause).__name__}: {cause}") from error
    return env
