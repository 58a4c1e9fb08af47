"""The numbers of the world and of the agent, as the window lists them and lets them be changed."""

from __future__ import annotations

import inspect
import math
from typing import TYPE_CHECKING, Any

from rlgrid.window import floors
from rlgrid.window.state import Parameter

if TYPE_CHECKING:
    from rlgrid.window.engine import Engine

METHOD_WORDS = {"value_iteration": "Jacobi", "gauss_seidel": "Gauss-Seidel"}
SETTINGS: dict[str, dict[str, Any]] = {"q_learning": {"learning_rate": 0.3}}  # other than the agents' own defaults


def settings_of(agent: str, given: dict[str, Any]) -> dict[str, Any]:
    """The constructor arguments of an agent that is watched."""
    return SETTINGS.get(agent, {}) | given


def parameters(engine: Engine) -> list[Parameter]:
    """The numbers of the world and of the agent, for sliders and lines of text."""
    found = []
    base, model = engine.base, engine.model
    adjustable = engine.scenario.pickled is None
    if model is not None and hasattr(model, "kinds"):
        gamma, slip = float(model.gamma), floors.slip_of(model)[0]
        first_slip, mixed = floors.slip_of(base)
        reward, first = floors.step_reward_of(model), floors.step_reward_of(base)
        low, high = min(-1.0, first), max(1.0, first)
        top = 1.0 if adjustable else 0.0
        found = [
            Parameter(
                "gamma",
                "Discount γ",
                "world",
                gamma,
                low=0.5 * top,
                high=top,
                digits=4,
                grain=3,
                initial=base.gamma,
            ),
            Parameter(
                "slip",
                "Slip, most cells" if mixed else "Slip, each side",
                "world",
                slip,
                high=0.45 * top,
                digits=4,
                initial=first_slip,
            ),
            Parameter(
                "step_reward",
                "Step reward",
                "world",
                reward,
                low=low * top,
                high=high * top,
                digits=4,
                initial=first,
            ),
        ]
    elif model is not None:
        found = [Parameter("gamma", "Discount γ", "world", float(model.gamma), digits=3, initial=float(model.gamma))]
    return found + _agent_parameters(engine, adjustable)


def _agent_parameters(engine: Engine, adjustable: bool) -> list[Parameter]:
    agent = engine.agent
    found: list[Parameter] = []
    top = 1.0 if adjustable else 0.0
    first = _defaults_of(type(agent)) | settings_of(engine.scenario.agent, engine.scenario.settings)
    if hasattr(agent, "method"):
        words = METHOD_WORDS.get(agent.method, agent.method)
        found.append(Parameter("method", "Sweep order", "agent", 0.0, text=words))
    if hasattr(agent, "tolerance"):
        found.append(
            Parameter(
                "tolerance",
                "Tolerance",
                "agent",
                float(agent.tolerance),
                low=1e-9 * top,
                high=1e-1 * top,
                log=True,
                initial=float(first.get("tolerance", 1e-6)),
            )
        )
    measures = agent.metrics() if engine.warmed else {}
    found += _rate_parameters(engine, measures, first, top)
    epsilon = measures.get("epsilon")
    if epsilon is not None:
        held = "epsilon" in engine.agent_changes
        label = "Exploration ε" if held else "Exploration ε ↓"
        value = float(engine.agent_changes["epsilon"]) if held else float(epsilon)
        start = math.nan if held else value
        found.append(Parameter("epsilon", label, "agent", value, high=top, digits=4 if held else 2, initial=start))
    layers = hidden_layers(agent)
    if layers is not None:
        dense = all(isinstance(layer, int) for layer in layers)
        words = " × ".join(map(str, layers)) if dense else f"{len(layers)} layers"
        found.append(Parameter("net", "Hidden units" if dense else "Network", "agent", 0.0, text=words or "none"))
    return found


def _rate_parameters(engine: Engine, measures: dict[str, float], first: dict[str, Any], top: float) -> list[Parameter]:
    """The learning rate, if there is one; one that follows a schedule is shown as it is now."""
    rate = getattr(engine.agent, "learning_rate", None)
    if rate is None or "learning_rate" in type(engine.agent).not_taken:
        return []
    falling = not isinstance(rate, float)
    now = measures.get("learning_rate") if falling else rate
    if now is None:
        start = str(rate).rpartition("_")[2]  # of a schedule such as "lin_1e-3"
        return [Parameter("learning_rate", "Learning rate α ↓", "agent", 0.0, text=start)]
    low, high = (1e-5, 1e-2) if hidden_layers(engine.agent) is not None else (1e-3, 1.0)
    start = first.get("learning_rate", rate)
    changed = "learning_rate" in engine.agent_changes
    initial = float(start) if isinstance(start, int | float) else (math.nan if changed else float(now))
    label = "Learning rate α ↓" if falling else "Learning rate α"
    value = float(f"{now:.3g}")
    initial = initial if not falling else value
    return [
        Parameter("learning_rate", label, "agent", value, low=low * top, high=high * top, log=True, initial=initial)
    ]


def hidden_layers(agent: Any) -> list[Any] | None:
    """The hidden layers of an agent's network, as they were asked for; None where it has no network."""
    settings = getattr(agent, "settings", None)
    network = settings.get("policy_kwargs") if isinstance(settings, dict) else None
    return None if network is None else list(network["net_arch"])


def as_settings(changes: dict[str, Any]) -> dict[str, Any]:
    """Constructor arguments of changed parameters; a chosen epsilon holds from now on."""
    settings = dict(changes)
    if "epsilon" in settings:
        epsilon = float(settings.pop("epsilon"))
        settings |= {"exploration_initial_eps": epsilon, "exploration_final_eps": epsilon}
    return settings


def _defaults_of(kind: type) -> dict[str, Any]:
    parameters = inspect.signature(kind).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not inspect.Parameter.empty}
