"""The Gymnasium environments; importing this registers them under ``rlgrid/``."""

if __name__ != "rlgrid.envs":
    raise ImportError("import rlgrid.envs: under its bare name this package would be a second copy of its classes")

from typing import Any, NamedTuple

import gymnasium as gym


class MapWorld(NamedTuple):
    """A world that is a built-in map: an id's entry in `MAPS`."""

    map: str  # the name by which `GridSpec.builtin` knows it
    title: str
    max_episode_steps: int | None
    # No policy's mean return (not discounted, under the step cap) exceeds the exact optimum, the value of a problem of
    # finite horizon; so a threshold lies at the optimum where the world is deterministic and just below it elsewhere.
    reward_threshold: float
    optimum: float  # the value of the start under an optimal policy, J*, at the map's own gamma (of its first map)

    @property
    def citation(self) -> str:
        """The source, as the map file names it."""
        from rlgrid.gridmap import GridSpec

        return GridSpec.builtin(self.map).citation


MAPS: dict[str, MapWorld] = {
    "rlgrid/FourRooms-v0": MapWorld("four_rooms", "Four rooms", 500, 0.99, 0.713927907045),  # 1 - 2.7e-15
    # The small frozen lakes keep Gymnasium's thresholds; their optima are 0.74419 and 0.91322.
    "rlgrid/FrozenLake-v1": MapWorld("frozen_lake_4x4", "Frozen lake, 4 x 4", 100, 0.70, 0.542025932000),
    "rlgrid/FrozenLake8x8-v1": MapWorld("frozen_lake_8x8", "Frozen lake, 8 x 8", 200, 0.85, 0.414640361800),
    "rlgrid/FrozenLake16x16-v0": MapWorld(
        "frozen_lake_16x16", "Frozen lake, 16 x 16, random", 400, 0.60, 0.0810866273383
    ),  # 0.60634
    "rlgrid/CliffWalking-v1": MapWorld("cliff_walking", "Cliff walking", None, -13.0, -13.0),
    "rlgrid/CliffWalkingSlippery-v1": MapWorld(
        "cliff_walking_slippery", "Cliff walking, slippery", None, -65.0, -64.7091759100
    ),
    "rlgrid/CliffWalkingWindy-v0": MapWorld("cliff_walking_windy", "Cliff walking, windy", 1000, -17.3, -17.222),
    "rlgrid/CliffGrid-v0": MapWorld("cliff_grid", "Cliff grid", 100, 9.9, 4.37497449744),  # 10 - 5e-13
    "rlgrid/BridgeGrid-v0": MapWorld("bridge_grid", "Bridge grid", 100, -19.5, -17.28),  # -19.2
    "rlgrid/DiscountGrid-v0": MapWorld("discount_grid", "Discount grid", 100, 9.6, 2.92891023001),  # 9.72603
    "rlgrid/WindyGridworld-v0": MapWorld("windy_gridworld", "Windy gridworld", 1000, -15.0, -15.0),
    "rlgrid/WindyGridworldKings-v0": MapWorld(
        "windy_gridworld_kings", "Windy gridworld, king's moves", 1000, -7.0, -7.0
    ),
    "rlgrid/WindyGridworldStochastic-v0": MapWorld(
        "windy_gridworld_stochastic", "Windy gridworld, king's moves and gusts", 1000, -11.0, -10.9646090535
    ),
    "rlgrid/DynaMaze-v0": MapWorld("dyna_maze", "Dyna maze", 5000, 1.0, 0.95**13),
    # Both maps of each pay 1, in the end, to whoever takes the shortest way; the optimum is that of the first.
    "rlgrid/BlockingMaze-v0": MapWorld("blocking_maze", "Blocking maze", 5000, 1.0, 0.95**9),
    "rlgrid/ShortcutMaze-v0": MapWorld("shortcut_maze", "Shortcut maze", 5000, 1.0, 0.95**15),
    "rlgrid/KeyDoor-v0": MapWorld("key_door", "Key and door", 500, 1.0, 0.95**17),
    "rlgrid/KeysAndSwitch-v0": MapWorld(
        "keys_and_switch", "Keys and a switch", 1000, 0.99, 0.590001669097
    ),  # 1 - 4e-14
    "rlgrid/CollectStars-v0": MapWorld("collect_stars", "Collect the stars", 500, -24.0, -24.0),
    "rlgrid/DeepSeaTreasure-v0": MapWorld("deep_sea_treasure", "Deep sea treasure", 1000, 105.0, 105.0),
    "rlgrid/Teleports-v0": MapWorld("teleports", "Teleports", 500, 0.99, 0.834552599893),  # 1 - 8e-15
    "rlgrid/ThinWalls-v0": MapWorld("thin_walls", "Thin walls", 1000, -31.0, -30.2583414316),
    "rlgrid/PuddleWorld-v0": MapWorld("puddle_world", "Puddle world", 1000, -21.5, -21.4508736935),
    "rlgrid/WilsonMaze-v0": MapWorld("wilson_maze", "Wilson's maze, 21 x 21", 2000, 1.0, 0.99**83),
    "rlgrid/RussellNorvig4x3-v0": MapWorld(
        "russell_norvig_4x3", "Russell & Norvig, 4 x 3", 100, 0.70, 0.705308219178
    ),  # with the cap as without it, to 12 digits
    "rlgrid/SuttonBarto4x4-v0": MapWorld("sutton_barto_4x4", "Sutton & Barto, 4 x 4", 100, -2.0, -2.0),
    "rlgrid/SuttonBarto5x5-v0": MapWorld("sutton_barto_5x5", "Sutton & Barto, 5 x 5", 100, 198.0, 17.3286165417),
}
"""id -> a world that is a built-in map, in the order of menus."""

WORLDS: dict[str, tuple[str, str]] = {name: (world.map, world.title) for name, world in MAPS.items()}
"""id -> (name of the built-in map, title), in the order of menus."""


class GeneratedWorld(NamedTuple):
    """A world that is another map at each reset: an id's entry in `GENERATED`."""

    name: str  # by which `rlgrid.envs.registry.resolve` knows it
    title: str
    citation: str
    settings: dict[str, Any]  # arguments of `rlgrid.envs.gridworld.GridWorld`
    max_episode_steps: int
    reward_threshold: float  # as for `MapWorld`, of those who see the map
    optimum: float  # the mean of J* over all maps, each as likely as the generator makes it


GENERATED: dict[str, GeneratedWorld] = {
    "rlgrid/RandomMaze-v0": GeneratedWorld(
        "random_maze",
        "Random mazes, 9 x 9",
        "Wilson (1996), Generating random spanning trees more quickly than the cover time, STOC 28",
        {"generator": "wilson", "rows": 9, "columns": 9, "new_map_each_reset": True},
        500,
        1.0,
        0.826037691145,
    ),
    "rlgrid/RandomFrozenLake-v0": GeneratedWorld(
        "random_frozen_lake",
        "Random frozen lakes, 4 x 4",
        "Gymnasium, toy_text frozen_lake, generate_random_map (Towers et al. 2024, arXiv:2407.17032)",
        {"generator": "frozen_lake", "rows": 4, "columns": 4, "new_map_each_reset": True},
        100,
        0.85,  # 0.90290
        0.708810560110,
    ),
}
"""id -> a world that is another map at each reset, in the order of menus."""


class Classic(NamedTuple):
    """A world that is not a plain grid: an id's entry in `CLASSICS`."""

    world: str  # the name by which `rlgrid.envs.classics.make` knows it
    title: str
    citation: str
    settings: dict[str, Any]  # arguments that differ from the model's own defaults
    max_episode_steps: int | None
    reward_threshold: float  # as for `MapWorld`
    optimum: float  # J*, at the model's own gamma


CLASSICS: dict[str, Classic] = {
    "rlgrid/JacksCarRental-v0": Classic(
        "jacks_car_rental", "Jack's car rental", "Sutton & Barto (2018), Example 4.2", {}, 100, 5000.0, 574.948323985
    ),
    "rlgrid/GamblersProblem-v0": Classic(
        "gamblers_problem", "Gambler's problem", "Sutton & Barto (2018), Example 4.3", {}, 1000, 0.39, 0.399063595022
    ),
    "rlgrid/RiverSwim-v0": Classic(
        "river_swim",
        "RiverSwim",
        "Strehl & Littman (2008); Osband, Russo & Van Roy (2013)",
        {},
        20,
        3.39,
        37.8547011401,
    ),
    "rlgrid/DeepSea-v0": Classic(
        "deep_sea", "Deep sea", "Osband, Van Roy, Russo & Wen (2019); bsuite", {}, None, 0.989, 0.99
    ),
    "rlgrid/DeepSeaStochastic-v0": Classic(
        "deep_sea",
        "Deep sea, stochastic",
        "Osband, Van Roy, Russo & Wen (2019); bsuite",
        {"stochastic": True},
        None,
        0.38,
        0.9**9 - 0.01 * (1 - 0.9**10),
    ),
    "rlgrid/Chain-v0": Classic(
        "chain", "Chain", "Dearden, Friedman & Russell (1998); Strens (2000)", {}, 1000, 3650.0, 354.768100557
    ),
    "rlgrid/TMaze-v0": Classic("t_maze", "T-maze, partly observed", "Bakker (2001)", {}, 1000, 3.9, 4 * 0.98**10),
    "rlgrid/Racetrack-v0": Classic(
        "racetrack", "Racetrack, left", "Sutton & Barto (2018), Exercise 5.12", {}, 1000, -12.0, -11.8329741302
    ),
    "rlgrid/RacetrackRight-v0": Classic(
        "racetrack",
        "Racetrack, right",
        "Sutton & Barto (2018), Exercise 5.12",
        {"track": "right"},
        1000,
        -9.0,
        -8.90809396980,
    ),
    "rlgrid/RandomWalk-v0": Classic(
        "random_walk", "Random walk, 19 states", "Sutton & Barto (2018), Example 7.1", {}, None, 1.0, 1.0
    ),
    "rlgrid/MaximizationBias-v0": Classic(
        "maximization_bias", "Maximization bias", "Sutton & Barto (2018), Example 6.7", {}, None, 0.0, 0.0
    ),
    "rlgrid/Taxi-v4": Classic("taxi", "Taxi", "Dietterich (2000); Gymnasium's Taxi-v4", {}, 200, 7.9, 7.93),
}
"""id -> a world that is not a plain grid, in the order of menus."""


class Control(NamedTuple):
    """A problem of classic control, with no model: an id's entry in `CONTROL`."""

    name: str  # of the class in `rlgrid.envs.classic_control`
    title: str
    citation: str
    max_episode_steps: int
    reward_threshold: float  # Gymnasium's


CONTROL: dict[str, Control] = {
    "rlgrid/CartPole-v1": Control("CartPole", "Cart and pole", "Barto, Sutton & Anderson (1983)", 500, 475.0),
    "rlgrid/Acrobot-v1": Control("Acrobot", "Acrobot", "Sutton (1996)", 500, -100.0),
    "rlgrid/MountainCar-v0": Control("MountainCar", "Mountain car", "Moore (1990)", 200, -110.0),
}
"""id -> a problem of classic control: vectors of real numbers, which Gymnasium's ids of these names have too."""


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


ONE_HOT = ("rlgrid/FourRooms-v0", "rlgrid/FrozenLake-v1", "rlgrid/CliffWalking-v1", "rlgrid/Taxi-v4")
"""Worlds that have an id with one-hot observations too, for programs that take an id and no arguments."""


def one_hot_id(name: str) -> str:
    """The id of a world with one-hot observations: rlgrid/FourRoomsOneHot-v0 of rlgrid/FourRooms-v0."""
    return name.replace("-v", "OneHot-v")


def _register() -> None:
    vector = "rlgrid.envs.vector:GridWorldVector"
    gym.register("rlgrid/GridWorld-v0", entry_point="rlgrid.envs.gridworld:from_map", vector_entry_point=vector)
    grid: dict[str, Any] = {"entry_point": "rlgrid.envs.gridworld:GridWorld", "vector_entry_point": vector}
    for name, world in MAPS.items():
        gym.register(
            name,
            **_TOY_TEXT.get(name, {**grid, "kwargs": {"map": world.map}}),
            max_episode_steps=world.max_episode_steps,
            reward_threshold=world.reward_threshold,
        )
    for name, random in GENERATED.items():
        gym.register(
            name,
            **grid,
            kwargs=random.settings,
            max_episode_steps=random.max_episode_steps,
            reward_threshold=random.reward_threshold,
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
    for name, control in CONTROL.items():
        gym.register(
            name,
            entry_point=f"rlgrid.envs.classic_control:{control.name}",
            max_episode_steps=control.max_episode_steps,
            reward_threshold=control.reward_threshold,
        )
    for name in ONE_HOT:
        spec = gym.spec(name)
        gym.register(
            one_hot_id(name),
            entry_point=spec.entry_point,
            vector_entry_point=spec.vector_entry_point,
            kwargs={**spec.kwargs, "observation": "one_hot"},
            max_episode_steps=spec.max_episode_steps,
            reward_threshold=spec.reward_threshold,
        )


_register()
