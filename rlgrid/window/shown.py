"""What of a run is shown: the tables and numbers of an agent at one moment, as the window draws them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rlgrid.window.referee import Shown
from rlgrid.window.state import Floats, Snapshot

if TYPE_CHECKING:
    from rlgrid.window.engine import Engine

_TABLES = ("values", "q_values", "greedy", "previous", "lower", "upper", "change")


def snapshot_of(engine: Engine) -> Snapshot:
    """The present tables and numbers."""
    agent, shown, referee, walker = engine.agent, engine.tables, engine.referee, engine.walker
    tables: dict[str, Any] = {name: shown.get(name) for name in _TABLES}
    policy = shown.get("policy")
    learns = engine.unit == "step"
    if learns and engine.model is not None and engine.warmed:
        policy = _learnt(engine, tables)
    visits, td_error = getattr(agent, "visits", None), getattr(agent, "td_error", None) if learns else None
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
        frame = np.ascontiguousarray(engine.env.render(), np.uint8) if engine.count else None
    recent = 100 if learns else 1
    values = tables["values"]
    return Snapshot(
        count=engine.count,
        **tables,
        optimal=None if referee is None else referee.optimal,
        best=None if referee is None else referee.best,
        distance=None if referee is None or values is None else referee.distance(values),
        visits=visits,
        td_error=td_error,
        walker=state,
        trail=tuple(int(s) for s in trail),
        follows_learner=follows,
        error_bound=float(agent.error_bound) if hasattr(agent, "error_bound") and engine.warmed else None,
        regret=None if referee is None else referee.regret,
        truth={} if referee is None else referee.numbers,
        trouble="" if referee is None else referee.trouble or referee.unshared,
        judged_at=0 if referee is None else referee.judged_at,
        mean_return=float(np.mean(returns[-recent:])) if returns else None,
        episodes=len(returns),
        converged=engine.converged,
        finished=engine.finished,
        metrics=agent.metrics() if engine.warmed else {},
        frame=frame,
    )


def _learnt(engine: Engine, tables: dict[str, Any]) -> NDArray[Any] | None:
    """Put a learner's tables, those that it has, among ``tables``; its policy."""
    agent = engine.agent
    for name in ("values", "q_values"):
        tables[name] = getattr(agent, name, None)  # a network has none over vectors
    if tables["values"] is None:
        return None
    greedy: NDArray[np.bool_] = agent.greedy()
    if tables["q_values"] is not None:
        greedy = known(greedy, tables["q_values"], float(getattr(agent, "initial_q", 0.0)))
    tables["greedy"] = engine.tables["greedy"] = greedy
    policy: NDArray[Any] = agent.policy
    return policy


def known(greedy: NDArray[np.bool_], q_values: Floats, first: float) -> NDArray[np.bool_]:
    """bool [S, A] without the rows in which every action is still worth what it was at first: nothing has reached
    such a state, and an arrow there would mean nothing."""
    untouched = ((q_values == first) | np.isneginf(q_values)).all(axis=1)
    shown: NDArray[np.bool_] = greedy & ~untouched[:, None]
    return shown
