"""The agents: what learns and what plans. Each is loaded when it is first used."""

if __name__ != "rlgrid.agents":
    raise ImportError("import rlgrid.agents: under its bare name this package would be a second copy of its classes")

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rlgrid.agents.base import Agent
    from rlgrid.agents.checkpoint import CheckpointError
    from rlgrid.agents.dqn import DQN
    from rlgrid.agents.evaluation import evaluate_policy
    from rlgrid.agents.q_learning import QLearning
    from rlgrid.agents.value_iteration import ValueIteration

_HOMES = {
    "Agent": "base",
    "CheckpointError": "checkpoint",
    "DQN": "dqn",
    "QLearning": "q_learning",
    "ValueIteration": "value_iteration",
    "evaluate_policy": "evaluation",
}

AGENTS: dict[str, str] = {"value_iteration": "Value iteration", "q_learning": "Q-learning", "dqn": "DQN"}
"""The name of each agent on the command line, and its title for people, in the order of menus."""

_CLASSES = {"value_iteration": "ValueIteration", "q_learning": "QLearning", "dqn": "DQN"}

__all__ = [
    "AGENTS",
    "DQN",
    "Agent",
    "CheckpointError",
    "QLearning",
    "ValueIteration",
    "agent_class",
    "evaluate_policy",
]


def agent_class(name: str) -> "type[Agent]":
    """The class of an agent by its name in `AGENTS`.

    Raises:
        ValueError: naming the agents that there are.
    """
    if name not in _CLASSES:
        raise ValueError(f"there is no agent {name!r}; there are {', '.join(_CLASSES)}")
    chosen: type[Agent] = __getattr__(_CLASSES[name])
    return chosen


def __getattr__(name: str) -> Any:
    import importlib

    if name not in _HOMES:
        raise AttributeError(f"module 'rlgrid.agents' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"rlgrid.agents.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
