"""What is to be run, and the world and the settings that a run has: values that are never changed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class Scenario:
    """What is to be run, as plain values that can be sent to another process."""

    world: str = "rlgrid/FourRooms-v0"  # an id or a built-in map's name; or the map's text, below
    map_text: str | None = None
    agent: str = "value_iteration"
    seed: int = 0
    settings: dict[str, Any] = field(default_factory=dict)  # of the agent
    pickled: bytes | None = None  # an environment and an agent of a script
    warm: tuple[str, ...] = ()  # agents whose kernels are to be compiled in the meantime
    rivals: tuple[str, ...] = ()  # agents that run beside it in the same world: `rlgrid.window.lanes`


@dataclass(frozen=True, eq=False)
class Setup:
    """The world and the settings of a part of a run: it has another one from every change on."""

    scenario: Scenario
    base: Any  # the world's model as its map says
    model: Any  # and with the changes
    world_changes: dict[str, float]
    agent_changes: dict[str, Any]
    gamma: float


def edited(setup: Setup, name: str, *rest: Any) -> tuple[Scenario, Any, dict[str, float], dict[str, Any]]:
    """Scenario, base, changes of the world and of the agent after a command that changes a run: "change" with a number
    and its value, "restore", or "remap" with the text of a map.

    Raises:
        ValueError: if the text is no map.
    """
    if name == "restore":
        return setup.scenario, setup.base, {}, {}
    if name == "remap":
        scenario = replace(setup.scenario, map_text=str(rest[0]))
        return scenario, model_of_map(scenario), setup.world_changes, setup.agent_changes
    number, value = rest[:2]
    if number in ("gamma", "slip", "step_reward"):
        return setup.scenario, setup.base, setup.world_changes | {number: float(value)}, setup.agent_changes
    return setup.scenario, setup.base, setup.world_changes, setup.agent_changes | {number: value}


def numbered(base: Any, changes: dict[str, float]) -> tuple[Any, dict[str, float]]:
    """A world with changed numbers, and those that it has taken: a map of another kind keeps its own."""
    from rlgrid.window import floors

    if not changes or not hasattr(base, "with_slip_each_side"):
        return base, {}
    return floors.with_numbers(base, changes), changes


def model_of_map(scenario: Scenario) -> Any:
    """The model of a scenario's map, or of its world that is no map.

    Raises:
        ValueError: if it is none.
    """
    from rlgrid.envs import CLASSICS, WORLDS
    from rlgrid.envs.classics import parts_of
    from rlgrid.gridmap import GridSpec
    from rlgrid.window.editing import draft_of

    if scenario.map_text is not None:
        spec: GridSpec = draft_of(scenario.map_text, scenario.world)  # its goals may be out of reach for a while
    elif scenario.world in CLASSICS:
        classic = CLASSICS[scenario.world]
        return parts_of(classic.world, classic.settings).model
    else:
        spec = GridSpec.builtin(WORLDS[scenario.world][0] if scenario.world in WORLDS else scenario.world)
    return spec.compile()
