"""The Gymnasium environments; importing this registers them under ``rlgrid/``."""

if __name__ != "rlgrid.envs":
    raise ImportError("import rlgrid.envs: under its bare name this package would be a second copy of its classes")

import gymnasium as gym

# id: (built-in map, title, step cap as the map has it, reward threshold).
# A threshold is at or just below the exact optimum: the largest mean return, not discounted, of an episode under the
# step cap (a problem of finite horizon, solved backwards). The optimum stands behind each. No policy can exceed it.
_TABLE: dict[str, tuple[str, str, int | None, float | None]] = {
    "rlgrid/FourRooms-v0": ("four_rooms", "Four rooms", None, None),
    "rlgrid/FrozenLake-v1": ("frozen_lake_4x4", "Frozen lake 4x4", 100, 0.70),
    "rlgrid/FrozenLake8x8-v1": ("frozen_lake_8x8", "Frozen lake 8x8", 200, 0.85),
    "rlgrid/CliffWalking-v1": ("cliff_walking", "Cliff walking", None, -13.0),
    "rlgrid/WindyGridworld-v0": ("windy_gridworld", "Windy gridworld", None, None),
    "rlgrid/WindyGridworldKings-v0": ("windy_gridworld_kings", "Windy gridworld, king's moves", None, None),
    "rlgrid/WindyGridworldStochastic-v0": ("windy_gridworld_stochastic", "Windy gridworld, random wind", None, None),
    "rlgrid/DynaMaze-v0": ("dyna_maze", "Dyna maze", None, None),
    "rlgrid/RussellNorvig4x3-v0": ("russell_norvig_4x3", "Russell and Norvig's 4x3 world", None, None),
    "rlgrid/SuttonBarto5x5-v0": ("sutton_barto_5x5", "Sutton and Barto's 5x5 world", None, None),
}

WORLDS: dict[str, tuple[str, str]] = {name: (map_name, title) for name, (map_name, title, _, _) in _TABLE.items()}
"""id -> (name of the built-in map, title), in the order of menus."""


def _register() -> None:
    gym.register("rlgrid/GridWorld-v0", entry_point="rlgrid.envs.gridworld:from_map")
    for name, (map_name, _, limit, threshold) in _TABLE.items():
        gym.register(
            name,
            entry_point="rlgrid.envs.gridworld:GridWorld",
            kwargs={"map": map_name},
            max_episode_steps=limit,
            reward_threshold=threshold,
        )


_register()
