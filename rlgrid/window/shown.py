"""What of a run is shown: the tables and numbers of an agent at one moment, as the window draws them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rlgrid.window.planned import known
from rlgrid.window.referee import Shown
from rlgrid.window.state import Snapshot

if TYPE_CHECKING:
    from rlgrid.window.engine import Engine

PLANNED = ("values", "q_values", "greedy", "previous", "lower", "upper", "change")
TABLES = (*PLANNED, "visits", "td_error", "optimal", "best")
UNASKED = "a large world is judged only while layer 6 or 8 shows it"


def snapshot_of(engine: Engine, wanted: frozenset[str] | None = None) -> Snapshot:
    """The present tables and numbers; only tables that are ``wanted``, and the values, where not all of them are."""
    agent, shown, referee, walker = engine.agent, engine.tables, engine.referee, engine.walker
    wants = set(TABLES) if wanted is None else {"values", *wanted}
    judging = wanted is None or bool(wants & {"optimal", "best"})
    tables: dict[str, Any] = {name: shown.get(name) if name in wants else None for name in PLANNED}
    learns = engine.unit == "step"
    policy = None
    if learns and engine.model is not None and engine.warmed:
        policy = _learnt(engine, tables, wants, judging)
    elif judging and referee is not None and not referee.trouble:
        policy = shown.get("policy")
    visits = getattr(agent, "visits", None) if "visits" in wants else None
    td_error = getattr(agent, "td_error", None) if learns and "td_error" in wants else None
    if policy is not None:
        q_values = tables["q_values"]
        alone = tables["values"] if q_values is None else None
        engine.to_judge = Shown(engine.count, np.asarray(policy), q_values, visits, alone)
    engine.judge()
    follows = engine.follows_learner
    state = agent.state if follows else (walker.state if walker is not None else None)
    trail = engine.trail if follows else (walker.trail if walker is not None else ())
    returns = agent.episode_returns if learns else (walker.returns if walker else [])
    frame = None
    if engine.model is None and getattr(engine.env, "render_mode", None) == "rgb_array":
        frame = _frame(engine.env) if engine.count else None
    recent = 100 if learns else 1
    values = tables["values"]
    return Snapshot(
        count=engine.count,
        num_states=None if engine.model is None else engine.model.num_states,
        **tables,
        optimal=referee.optimal if referee is not None and "optimal" in wants else None,
        best=referee.best if referee is not None and "best" in wants else None,
        distance=referee.distance(values) if referee is not None and values is not None and judging else None,
        visits=visits,
        td_error=td_error,
        walker=state,
        trail=tuple(int(s) for s in trail),
        follows_learner=follows,
        error_bound=engine.error_bound(),
        regret=None if referee is None else referee.regret,
        truth={} if referee is None else referee.numbers,
        trouble="" if referee is None else referee.trouble or referee.unshared or (UNASKED if not judging else ""),
        judged_at=0 if referee is None else referee.judged_at,
        mean_return=float(np.mean(returns[-recent:])) if returns else None,
        episodes=len(returns),
        converged=engine.converged,
        finished=engine.finished,
        metrics=agent.metrics() if engine.warmed and not engine.large else {},
        frame=frame,
    )


def _frame(env: Any) -> NDArray[np.uint8]:
    """uint8 [H, W, 3], what a foreign environment looks like.

    Raises:
        ValueError: if it renders anything else.
    """
    given = env.render()
    shape: tuple[int, ...] = np.shape(given) if given is not None else ()
    if len(shape) != 3 or shape[-1] != 3 or 0 in shape:
        what = f"the shape {shape}" if shape else f"{given!r:.80}"
        raise ValueError(f"{type(env.unwrapped).__name__}.render must return uint8 [H, W, 3], not {what}")
    return np.ascontiguousarray(given, np.uint8)


def _learnt(engine: Engine, tables: dict[str, Any], wants: set[str], judging: bool) -> NDArray[Any] | None:
    """Put a learner's tables, those that it has, among ``tables``; its policy, if that is to be judged."""
    agent = engine.agent
    values = getattr(agent, "values", None)  # a network has none over vectors
    if values is None:
        return None
    tables["values"] = values
    greedy = {"greedy"} & wants
    if {"q_values"} & wants or greedy:
        tables["q_values"] = getattr(agent, "q_values", None)
    if greedy:
        ties: NDArray[np.bool_] = agent.greedy()
        if tables["q_values"] is not None:
            ties = known(ties, tables["q_values"], float(getattr(agent, "initial_q", 0.0)))
        tables["greedy"] = engine.tables["greedy"] = ties
    if "q_values" not in wants:
        tables["q_values"] = None
    policy: NDArray[Any] | None = agent.policy if judging else None
    return policy
