"""The Gymnasium environments; importing this registers them under ``rlgrid/``."""

if __name__ != "rlgrid.envs":
    raise ImportError("import rlgrid.envs: under its bare name this package would be a second copy of its classes")

from typing import Any, NamedTuple

import gymnasium as gym

# id: (built-in map, title, step cap of the map, reward threshold).
# No policy's mean return (not discounted, under the step cap) exceeds the exact optimum, the value of a problem of
# finite horizon; so a threshold lies at the optimum where the world is deterministic and just below it elsewhere.
# The frozen lakes keep Gymnasium's, whose optima are 0.74419 and 0.91322.
_TABLE: dict[str, tuple[str, str, int | None, float]] = {
    "rlgrid/FourRooms-v0": ("four_rooms", "Four rooms", 500, 0.99),  # 1 - 2.7e-15
    "rlgrid/FrozenLake-v1": ("frozen_lake_4x4", "Frozen lake, 4 x 4", 100, 0.70),
    "rlgrid/FrozenLake8x8-v1": ("frozen_lake_8x8", "Frozen lake, 8 x 8", 200, 0.85),
    "rlgrid/CliffWalking-v1": ("cliff_walking", "Cliff walking", None, -13.0),
    "rlgrid/CliffWalkingSlippery-v1": ("cliff_walking_slippery", "Cliff walking, slippery", None, -65.0),  # -64.709
    "rlgrid/WindyGridworld-v0": ("windy_gridworld", "Windy gridworld", 1000, -15.0),
    "rlgrid/WindyGridworldKings-v0": ("windy_gridworld_kings", "Windy gridworld, king's moves", 1000, -7.0),
    "rlgrid/WindyGridworldStochastic-v0": (
        "windy_gridworld_stochastic",
        "Windy gridworld, king's moves and gusts",
        1000,
        -11.0,
    ),
    "rlgrid/DynaMaze-v0": ("dyna_maze", "Dyna maze", 5000, 1.0),
    "rlgrid/RussellNorvig4x3-v0": ("russell_norvig_4x3", "Russell & Norvig, 4 x 3", 100, 0.70),  # 0.705308
    "rlgrid/SuttonBarto4x4-v0": ("sutton_barto_4x4", "Sutton & Barto, 4 x 4", 100, -2.0),
    "rlgrid/SuttonBarto5x5-v0": ("sutton_barto_5x5", "Sutton & Barto, 5 x 5", 100, 198.0),
}

WORLDS: dict[str, tuple[str, str]] = {name: (map_name, title) for name, (map_name, title, _, _) in _TABLE.items()}
"""id -> (name of the built-in map, title), in the order of menus."""


class Classic(NamedTuple):
    """A world that is not a plain grid: an id's entry in `CLASSICS`."""

    world: str  # the name by which `rlgrid.envs.classics.make` knows it
    title: str
    citation: str
    settings: dict[str, Any]  # arguments that differ from the model's own defaults
    max_episode_steps: int | None
    reward_threshold: float  # as in the table of maps


CLASSICS: dict[str, Classic] = {
    "rlgrid/JacksCarRental-v0": Classic(
        "jacks_car_rental", "Jack's car rental", "Sutton & Barto (2018), Example 4.2", {}, 100, 5000.0
    ),
    "rlgrid/GamblersProblem-v0": Classic(
        "gamblers_problem", "Gambler's problem", "Sutton & Barto (2018), Example 4.3", {}, 1000, 0.39
    ),
    "rlgrid/RiverSwim-v0": Classic(
        "river_swim", "RiverSwim", "Strehl & Littman (2008); Osband, Russo & Van Roy (2013)", {}, 20, 3.39
    ),
    "rlgrid/DeepSea-v0": Classic(
        "deep_sea", "Deep sea", "Osband, Van Roy, Russo & Wen (2019); bsuite", {}, None, 0.989
    ),
    "rlgrid/DeepSeaStochastic-v0": Classic(
        "deep_sea",
        "Deep sea, stochastic",
        "Osband, Van Roy, Russo & Wen (2019); bsuite",
        {"stochastic": True},
        None,
        0.38,
    ),
    "rlgrid/Chain-v0": Classic("chain", "Chain", "Dearden, Friedman & Russell (1998); Strens (2000)", {}, 1000, 3650.0),
    "rlgrid/TMaze-v0": Classic("t_maze", "T-maze, partly observed", "Bakker (2001)", {}, 1000, 3.9),
    "rlgrid/Racetrack-v0": Classic(
        "racetrack", "Racetrack, left", "Sutton & Barto (2018), Exercise 5.12", {}, 1000, -12.0
    ),
    "rlgrid/RacetrackRight-v0": Classic(
        "racetrack", "Racetrack, right", "Sutton & Barto (2018), Exercise 5.12", {"track": "right"}, 1000, -9.0
    ),
    "rlgrid/Taxi-v4": Classic("taxi", "Taxi", "Dietterich (2000); Gymnasium's Taxi-v4", {}, 200, 7.9),
}
"""id -> a world that is not a plain grid, in the order of menus."""


def _toy_text(name: str, **arguments: Any) -> dict[str, Any]:
    place = f"rlgrid.envs.toy_text:{name}"
    return {"entry_point": place, "vector_entry_point": f"{place}Vector", "kwargs": arguments}


# Those that take the arguments of Gymnasium's twin, and are registered with Gymnasium's own.
_TOY_TEXT: dict[str, dict[str, Any]] = {
    "rlgrid/FrozenLake-v1": _toy_text("FrozenLake", map_name="4x4"),
    "rlgrid/FrozenLake8x8-v1": _toy_text("FrozenLake", map_name="8x8"),
    "rlgrid/CliffWalking-v1": _toy_text("CliffWalking"),
    "rlgrid/CliffWalkingSlippery-v1": _toy_text("CliffWalking", is_slippery=True),
}


def _register() -> None:
    vector = "rlgrid.envs.vector:GridWorldVector"
    gym.register("rlgrid/GridWorld-v0", entry_point="rlgrid.envs.gridworld:from_map", vector_entry_point=vector)
    grid = {"entry_point": "rlgrid.envs.gridworld:GridWorld", "vector_entry_point": vector}
    for name, (map_name, _, limit, threshold) in _TABLE.items():
        gym.register(
            name,
            **_TOY_TEXT.get(name, {**grid, "kwargs": {"map": map_name}}),
            max_episode_steps=limit,
            reward_threshold=threshold,
        )
    for name, classic in CLASSICS.items():
        gym.register(
            name,
            entry_point="rlgrid.envs.classics:make",
            vector_entry_point="rlgrid.envs.classics:make_vector",
            kwargs={"world": classic.world, **classic.settings},
            max_episode_steps=classic.max_episode_steps,
            reward_threshold=classic.reward_threshold,
        )


_register()
