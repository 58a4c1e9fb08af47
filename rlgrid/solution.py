"""The result of the solver: arrays, what is proven of them, and a file that holds both.

A file is safetensors with JSON metadata under the key "rlgrid"; it is written beside its place and renamed, so that a
reader finds the old file or the new one. Nothing in it is executed when it is read.
"""

from __future__ import annotations

import html
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rlgrid.atomic import write_atomically
from rlgrid.problem import Problem, magnitude

if TYPE_CHECKING:
    from rlgrid.gridmodel import GridModel
    from rlgrid.mdp import MDP

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_FORMAT = "rlgrid-solution"
_ARRAYS = ("values", "policy", "lower", "upper", "history")
_FACTS = (
    "error_bound",
    "policy_loss_bound",
    "converged",
    "gamma",
    "method",
    "tolerance",
    "sweeps",
    "backups",
    "seconds",
    "horizon",
    "reason",
)
_AVERAGE = ("gain", "gain_lower", "gain_upper")  # None, and in old files not there, under other criteria


@dataclass
class Solution:
    """What `solve` found, and what is proven of it.

    With a horizon T the arrays have one more axis in front: values, lower, upper [T + 1, S] and policy [T, S], where
    values[t] is the value when t steps have passed (values[0] for the whole horizon, values[T] = 0) and policy[t] the
    action to take then.

    Under criterion="average" lower and upper bound the gain (average reward a step), lower <= g^policy <= g* <= upper,
    error_bound and policy_loss_bound are those of the gain, and `values` is the bias (`rlgrid.average`); gamma is 1.
    """

    values: Floats  # [S]
    policy: Ints  # [S]
    lower: Floats  # [S], lower <= V^policy
    upper: Floats  # [S], V* <= upper
    error_bound: float  # >= max |values - V*|
    policy_loss_bound: float  # >= max (V* - V^policy)
    converged: bool  # error_bound <= tolerance is proven
    gamma: float
    method: str
    tolerance: float
    sweeps: int
    backups: int  # (state, action) pairs backed up by the sweeps
    seconds: float
    horizon: int | None = None
    reason: str = ""  # why it stopped short, if it did
    history: Floats = field(default_factory=lambda: np.zeros(0))  # [sweeps] spread of the changes of each sweep
    criterion: str = "discounted"
    gain: float | None = None  # the average reward a step, in every state that is not absorbing
    gain_lower: float | None = None  # <= g^policy
    gain_upper: float | None = None  # >= g*
    model: MDP | GridModel | None = field(default=None, repr=False)
    _q: Floats | None = field(default=None, repr=False)

    @property
    def bias(self) -> Floats | None:
        """float64 [S], what a start in a state earns beyond the gain in the long run; None unless "average"."""
        return self.values if self.criterion == "average" else None

    @property
    def q_values(self) -> Floats:
        """float64 [S, A] (with a horizon [T, S, A]): q under `values`; -inf where an action is not available.

        Under criterion="average" r + P bias - gain, and -inf also where an action may end an episode whose going on
        is proven to earn more than 0 a step for ever.

        Raises:
            ValueError: if the solution was loaded without its model.
        """
        if self._q is None:
            if self.model is None:
                raise ValueError("q_values need the model: Solution.load(path, model), or set solution.model")
            if self.criterion == "average":
                self._q = _relative_q(self.model, self)
            elif self.horizon is None:
                self._q = Problem.of(self.model, self.gamma).q_values(self.values)
            else:
                problem = Problem.plain(self.model, self.gamma)
                tables = [problem.q_values(v) for v in self.values[1:]]
                self._q = np.array(tables).reshape(len(tables), self.model.num_states, self.model.num_actions)
        return self._q

    @property
    def suboptimal_actions(self) -> NDArray[np.bool_]:
        """bool [S, A] (with a horizon [T, S, A]): actions proven to be worse than the optimum; a new array each time.

        An action is marked where q(s, a) under `upper`, with the bound of its rounding added, lies below `lower`: then
        q*(s, a) < V*(s) (MacQueen 1967; Puterman 1994, section 6.7). What is not marked may be optimal or only not yet
        told apart: a smaller tolerance marks more. Actions that are not available are not marked.

        Raises:
            ValueError: if the solution was loaded without its model, and under criterion="average", whose bounds are
                of the gain alone.
        """
        if self.model is None:
            raise ValueError("suboptimal_actions need the model: Solution.load(path, model), or set solution.model")
        if self.criterion == "average":
            raise ValueError('suboptimal_actions are proven by bounds of values; criterion="average" bounds the gain')
        if self.horizon is None:
            problem = Problem.of(self.model, self.gamma)
            marked = _below(problem, self.upper, self.lower)
        else:
            problem = Problem.plain(self.model, self.gamma)
            tables = [_below(problem, u, low) for u, low in zip(self.upper[1:], self.lower[:-1], strict=True)]
            marked = np.array(tables, np.bool_).reshape(len(tables), self.model.num_states, self.model.num_actions)
        if self.model.available is not None:
            marked &= self.model.available
        return marked

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the solution as safetensors with JSON metadata; the file appears whole or not at all."""
        from safetensors.numpy import save

        target = Path(path)
        arrays = {name: np.ascontiguousarray(getattr(self, name)) for name in _ARRAYS}
        facts = {name: getattr(self, name) for name in _FACTS}
        facts |= {name: repr(getattr(self, name)) for name in ("error_bound", "policy_loss_bound")}
        if self.criterion != "discounted":
            facts |= {"criterion": self.criterion} | {name: repr(getattr(self, name)) for name in _AVERAGE}
        content = save(arrays, {"rlgrid": json.dumps({"format": _FORMAT, "format_version": 1} | facts)})
        write_atomically(target, content)
        return target

    @classmethod
    def load(cls, path: str | os.PathLike[str], model: MDP | GridModel | None = None) -> Solution:
        """Read a solution; with its model `q_values` and pictures work too.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if the file is not a solution, or not one of the model.
        """
        from safetensors import SafetensorError, safe_open

        source = Path(path)
        if not source.is_file():
            raise FileNotFoundError(f"no solution {source}")
        try:
            with safe_open(source, framework="numpy") as file:
                facts = json.loads((file.metadata() or {}).get("rlgrid", "null"))
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, ValueError) as error:
            raise ValueError(f"{source} is torn or not a safetensors file: {error}") from error
        if not isinstance(facts, dict) or facts.get("format") != _FORMAT:
            raise ValueError(f"{source} is not a solution of rlgrid")
        if facts.get("format_version") != 1:
            raise ValueError(f"{source} has format version {facts.get('format_version')!r}; this rlgrid reads 1")
        missing = [name for name in (*_ARRAYS, *_FACTS) if name not in arrays and name not in facts]
        if missing:
            raise ValueError(f"{source} lacks {missing[0]!r}")
        known = {name: facts[name] for name in _FACTS} | {name: arrays[name] for name in _ARRAYS}
        known |= {name: float(facts[name]) for name in ("error_bound", "policy_loss_bound")}
        if "criterion" in facts:
            known |= {"criterion": facts["criterion"]} | {name: float(facts[name]) for name in _AVERAGE}
        if model is not None and arrays["values"].shape[-1] != model.num_states:
            raise ValueError(
                f"{source} solves a model of {arrays['values'].shape[-1]} states; this one has {model.num_states}"
            )
        return cls(**known, model=model)

    def __repr__(self) -> str:
        states = self.values.shape[-1]
        steps = "" if self.horizon is None else f", horizon {self.horizon}"
        end = "converged" if self.converged else f"not converged: {self.reason}"
        if self.criterion == "average":
            return (
                f"Solution({states} states, average reward, gain={self.gain:.6g}, {self.method}, {self.sweeps} sweeps, "
                f"error <= {self.error_bound:.3g}, {end})"
            )
        return (
            f"Solution({states} states, gamma={self.gamma:g}{steps}, {self.method}, {self.sweeps} sweeps, "
            f"error <= {self.error_bound:.3g}, {end})"
        )

    def _repr_html_(self) -> str:
        values = self.values if self.horizon is None else self.values[0]
        policy = self.policy if self.horizon is None or self.horizon == 0 else self.policy[0]
        if self.model is None or getattr(self.model, "shape", None) is None or policy.ndim != 1:
            numbers = ", ".join(f"{v:.6g}" for v in values[:12]) + (", ..." if values.size > 12 else "")
            return f"<pre>{html.escape(repr(self))}\nvalues: {numbers}</pre>"
        from rlgrid.notebook import as_html

        return as_html(self.model, repr(self), values=np.where(np.isfinite(values), values, 0.0), policy=policy)


def _relative_q(model: MDP | GridModel, solution: Solution) -> Floats:
    """r + P h - g of every pair (Puterman 1994, eq. 8.4.2), an ended episode being worth h = 0."""
    assert solution.gain is not None
    assert solution.gain_lower is not None
    q = Problem.plain(model, 1.0).q_values(solution.values) - solution.gain
    if solution.gain_lower > 0.0:  # to end is to lose the gain for ever
        mdp = model.to_mdp()
        ends = (mdp.terminated | mdp.absorbing[mdp.next_state]) & (mdp.probability > 0.0)
        pair = np.searchsorted(mdp.offsets, np.flatnonzero(ends), side="right") - 1
        pair = pair[~mdp.absorbing[pair // mdp.num_actions]]
        q.reshape(-1)[pair] = -np.inf
    q[model.absorbing] = np.where(np.isfinite(q[model.absorbing]), 0.0, -np.inf)  # over: nothing is earned or lost
    return q


def _below(problem: Problem, upper: Floats, lower: Floats) -> NDArray[np.bool_]:
    """bool [S, A]: where q under ``upper`` is certainly below ``lower``; nowhere where floats may overflow."""
    if problem.overflows(magnitude(upper)):
        return np.zeros((problem.num_states, problem.num_actions), np.bool_)
    with np.errstate(invalid="ignore", over="ignore"):
        q = problem.q_values(upper) + problem.rounding(magnitude(upper))[:, None]
        below: NDArray[np.bool_] = q < lower[:, None]
    return below
