"""rlgrid: gridworlds with their exact solution, learners at compiled speed, and a window that shows both.

Importing the package registers its environments with Gymnasium under ``rlgrid/``; everything else is loaded when it
is first used, so that the import stays short.
"""

from typing import TYPE_CHECKING, Any

from rlgrid import envs

if TYPE_CHECKING:
    from rlgrid import agents, curves
    from rlgrid.agents.evaluation import evaluate_policy
    from rlgrid.generators import GENERATORS, generate, generate_model, generate_tiles, random_frozen_lake
    from rlgrid.gridmap import GridSpec, MapError
    from rlgrid.gridmodel import GridModel, Slip, TileKind
    from rlgrid.many import learn_many
    from rlgrid.mapdifficulty import difficulty
    from rlgrid.mdp import MDP
    from rlgrid.picture import draw
    from rlgrid.regret import share_of_regret
    from rlgrid.runs import Runs
    from rlgrid.solvers import Solution, policy_values, solve, verify
    from rlgrid.study import Study
    from rlgrid.truth import Truth
    from rlgrid.tuning import tune
    from rlgrid.window import watch

__version__ = "0.1.0"

_HOMES = {
    "agents": "rlgrid.agents",
    "curves": "rlgrid.curves",
    "evaluate_policy": "rlgrid.agents.evaluation",
    "GENERATORS": "rlgrid.generators",
    "generate": "rlgrid.generators",
    "generate_model": "rlgrid.generators",
    "generate_tiles": "rlgrid.generators",
    "random_frozen_lake": "rlgrid.generators",
    "GridSpec": "rlgrid.gridmap",
    "MapError": "rlgrid.gridmap",
    "GridModel": "rlgrid.gridmodel",
    "Slip": "rlgrid.gridmodel",
    "TileKind": "rlgrid.gridmodel",
    "learn_many": "rlgrid.many",
    "difficulty": "rlgrid.mapdifficulty",
    "MDP": "rlgrid.mdp",
    "draw": "rlgrid.picture",
    "Solution": "rlgrid.solvers",
    "policy_values": "rlgrid.solvers",
    "share_of_regret": "rlgrid.regret",
    "Runs": "rlgrid.runs",
    "Truth": "rlgrid.truth",
    "solve": "rlgrid.solvers",
    "Study": "rlgrid.study",
    "tune": "rlgrid.tuning",
    "verify": "rlgrid.solvers",
    "watch": "rlgrid.window",
}

__all__ = [
    "GENERATORS",
    "MDP",
    "GridModel",
    "GridSpec",
    "MapError",
    "Runs",
    "Slip",
    "Solution",
    "Study",
    "TileKind",
    "Truth",
    "agents",
    "curves",
    "difficulty",
    "draw",
    "envs",
    "evaluate_policy",
    "generate",
    "generate_model",
    "generate_tiles",
    "learn_many",
    "policy_values",
    "random_frozen_lake",
    "share_of_regret",
    "solve",
    "tune",
    "verify",
    "watch",
]


def __getattr__(name: str) -> Any:
    import importlib

    if name not in _HOMES:
        raise AttributeError(f"module 'rlgrid' has no attribute {name!r}")
    module = importlib.import_module(_HOMES[name])
    value = module if name in {"agents", "curves"} else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
