"""The agents: what learns and what plans. Each is loaded when it is first used."""

if __name__ != "rlgrid.agents":
    raise ImportError("import rlgrid.agents: under its bare name this package would be a second copy of its classes")

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rlgrid.agents.base import Agent
    from rlgrid.agents.checkpoint import CheckpointError
    from rlgrid.agents.dqn import DQN
    from rlgrid.agents.dyna import DynaQ, DynaQPlus
    from rlgrid.agents.evaluation import evaluate_policy
    from rlgrid.agents.monte_carlo import MonteCarlo, OffPolicyMonteCarlo
    from rlgrid.agents.n_step import NStepSarsa, TreeBackup
    from rlgrid.agents.optimistic import UCBVI, UCBQLearning
    from rlgrid.agents.prediction import TD0, MonteCarloPrediction, NStepTD, TDLambda, TrueOnlineTDLambda
    from rlgrid.agents.prioritized_sweeping import PrioritizedSweeping
    from rlgrid.agents.psrl import PSRL
    from rlgrid.agents.q_learning import DoubleQLearning, QLearning
    from rlgrid.agents.r_max import RMax
    from rlgrid.agents.recurrent_dqn import RecurrentDQN
    from rlgrid.agents.sarsa import ExpectedSarsa, Sarsa
    from rlgrid.agents.traces import QLambda, SarsaLambda, TrueOnlineSarsaLambda
    from rlgrid.agents.value_iteration import ValueIteration

_HOMES = {
    "Agent": "base",
    "CheckpointError": "checkpoint",
    "DQN": "dqn",
    "DoubleQLearning": "q_learning",
    "DynaQ": "dyna",
    "DynaQPlus": "dyna",
    "ExpectedSarsa": "sarsa",
    "MonteCarlo": "monte_carlo",
    "MonteCarloPrediction": "prediction",
    "NStepSarsa": "n_step",
    "NStepTD": "prediction",
    "OffPolicyMonteCarlo": "monte_carlo",
    "PSRL": "psrl",
    "PrioritizedSweeping": "prioritized_sweeping",
    "QLambda": "traces",
    "QLearning": "q_learning",
    "RMax": "r_max",
    "RecurrentDQN": "recurrent_dqn",
    "Sarsa": "sarsa",
    "SarsaLambda": "traces",
    "TD0": "prediction",
    "TDLambda": "prediction",
    "TreeBackup": "n_step",
    "TrueOnlineSarsaLambda": "traces",
    "TrueOnlineTDLambda": "prediction",
    "UCBQLearning": "optimistic",
    "UCBVI": "optimistic",
    "ValueIteration": "value_iteration",
    "evaluate_policy": "evaluation",
}

AGENTS: dict[str, str] = {
    "value_iteration": "Value iteration",
    "q_learning": "Q-learning",
    "dqn": "DQN",
    "sarsa": "Sarsa",
    "expected_sarsa": "Expected Sarsa",
    "double_q_learning": "Double Q-learning",
    "n_step_sarsa": "n-step Sarsa",
    "tree_backup": "Tree backup",
    "sarsa_lambda": "Sarsa(λ)",
    "q_lambda": "Watkins's Q(λ)",
    "true_online_sarsa_lambda": "True online Sarsa(λ)",
    "monte_carlo": "Monte Carlo",
    "off_policy_monte_carlo": "Off-policy Monte Carlo",
    "dyna_q": "Dyna-Q",
    "dyna_q_plus": "Dyna-Q+",
    "prioritized_sweeping": "Prioritized sweeping",
    "r_max": "R-max",
    "ucb_q_learning": "UCB Q-learning",
    "ucbvi": "UCBVI",
    "psrl": "PSRL",
    "recurrent_dqn": "Recurrent DQN",
    "td0": "TD(0), prediction",
    "n_step_td": "n-step TD, prediction",
    "td_lambda": "TD(λ), prediction",
    "true_online_td_lambda": "True online TD(λ), prediction",
    "monte_carlo_prediction": "Monte Carlo, prediction",
}
"""The name of each agent on the command line, and its title for people, in the order of menus."""

_CLASSES = {
    "value_iteration": "ValueIteration",
    "q_learning": "QLearning",
    "dqn": "DQN",
    "sarsa": "Sarsa",
    "expected_sarsa": "ExpectedSarsa",
    "double_q_learning": "DoubleQLearning",
    "n_step_sarsa": "NStepSarsa",
    "tree_backup": "TreeBackup",
    "sarsa_lambda": "SarsaLambda",
    "q_lambda": "QLambda",
    "true_online_sarsa_lambda": "TrueOnlineSarsaLambda",
    "monte_carlo": "MonteCarlo",
    "off_policy_monte_carlo": "OffPolicyMonteCarlo",
    "dyna_q": "DynaQ",
    "dyna_q_plus": "DynaQPlus",
    "prioritized_sweeping": "PrioritizedSweeping",
    "r_max": "RMax",
    "ucb_q_learning": "UCBQLearning",
    "ucbvi": "UCBVI",
    "psrl": "PSRL",
    "recurrent_dqn": "RecurrentDQN",
    "td0": "TD0",
    "n_step_td": "NStepTD",
    "td_lambda": "TDLambda",
    "true_online_td_lambda": "TrueOnlineTDLambda",
    "monte_carlo_prediction": "MonteCarloPrediction",
}

__all__ = [
    "AGENTS",
    "DQN",
    "PSRL",
    "TD0",
    "UCBVI",
    "Agent",
    "CheckpointError",
    "DoubleQLearning",
    "DynaQ",
    "DynaQPlus",
    "ExpectedSarsa",
    "MonteCarlo",
    "MonteCarloPrediction",
    "NStepSarsa",
    "NStepTD",
    "OffPolicyMonteCarlo",
    "PrioritizedSweeping",
    "QLambda",
    "QLearning",
    "RMax",
    "RecurrentDQN",
    "Sarsa",
    "SarsaLambda",
    "TDLambda",
    "TreeBackup",
    "TrueOnlineSarsaLambda",
    "TrueOnlineTDLambda",
    "UCBQLearning",
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
