"""An agent whose values are a network's: what it takes for observations, and what can be read from it.

The network is compiled kernels over arrays (`rlgrid.kernels.network`), kept in ``_learner``, which a subclass makes.
Kernels check nothing, so every observation is checked here before they get it.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Discrete
from numpy.typing import NDArray

from rlgrid.agents.base import Agent, row_of
from rlgrid.agents.masks import masks_of
from rlgrid.agents.world import stream_of

if TYPE_CHECKING:
    from rlgrid.agents.architecture import Architecture
    from rlgrid.agents.diagnosis import Diagnosis
    from rlgrid.truth import Truth


class QNetworkAgent(Agent):
    """An agent with a network from observations to a value for each action, and a way to explore.

    A subclass provides `_learner` (`rlgrid.kernels.dqn.Learner`), `_rule()`, and ``double_q``, ``use_masking``,
    ``exploration``.
    """

    double_q: bool
    use_masking: bool
    exploration: str
    _architecture: Architecture
    _learner: Any
    _discrete: bool  # observations are the states of a Discrete space
    _width: int  # its number of states, or the length of a vector
    _num_actions: int
    _first_action: int
    _first_state: int
    _available: NDArray[np.bool_] | None  # [S, A], see `_check_masks`
    _told: bool  # which actions there are is told with each step
    _judge: Truth | None  # of `diagnosis`

    def _rule(self) -> Any:
        """The settings of the run as the kernels take them."""
        raise NotImplementedError

    # --- what the kernels are given -----------------------------------------------------------------------------------

    def _check_masks(self) -> NDArray[np.bool_] | None:
        """bool [S, A], the actions of each state; None where every action always is, or where it cannot be known."""
        available = None
        if self.model is not None:
            available = None if self.model.available is None else np.array(self.model.available, np.bool_)
            advice = getattr(self._world.inner, "action_mask_of", None)
            if self.use_masking and advice is not None:
                available = advice.astype(np.bool_) if available is None else available & (advice != 0)
            if self.use_masking and available is None:
                available = np.ones((self._width, self._num_actions), np.bool_)
        return available

    def _blank(self, rows: int) -> NDArray[Any]:
        return np.zeros(rows if self._discrete else (rows, self._width), self._architecture.observations.dtype)

    @functools.cached_property
    def _observation_space(self) -> gym.Space[Any]:
        """The environment's, without a way through its wrappers each time."""
        return self.env.observation_space

    def _put(self, place: NDArray[Any], observation: Any) -> None:
        """Write an observation of the environment into a row of numbers; kernels do not check what they are given."""
        space = self._observation_space
        if isinstance(space, Discrete):
            place[0] = row_of(observation, space)
            return
        given = np.asarray(observation)
        if given.dtype == np.float32 == place.dtype and given.shape == space.shape:
            place[0] = given.ravel()
            if math.isfinite(np.vdot(given, given)):  # a short way to see that all are, if none is huge
                return
        fits = given.shape == space.shape and given.dtype.kind in "iufb"
        if fits and place.dtype == np.uint8 and given.dtype != np.uint8:  # an array of bytes would wrap it round
            fits = bool(((given >= 0) & (given <= 255)).all())
        if not fits:
            raise ValueError(
                f"step {self.num_timesteps}: the environment gave the observation {observation!r}, which is not in "
                f"{space}"
            )
        with np.errstate(over="ignore"):  # what float32 cannot hold is infinite, and named
            place[0] = given.ravel()
        if not np.isfinite(place).all():
            raise ValueError(f"step {self.num_timesteps}: the environment's observation {observation} is not finite")

    def _put_mask(self, place: NDArray[np.bool_]) -> None:
        """Write which actions there are now into a row [1, A], where each step must tell."""
        if self._told:
            place[0] = self._checked_mask(masks_of(self.env, self._info))

    def _mask(self, q: NDArray[Any], rows: NDArray[Any], action_masks: Any) -> None:
        """Lower to -inf, in q [n, A], what the world or ``action_masks`` say that there is not.

        Raises:
            ValueError: if there are not as many masks as rows, or a mask has no action.
        """
        if self._available is not None:
            q[~self._available[rows]] = -np.inf
        if action_masks is not None:
            masks = [self._checked_mask(mask) for mask in np.atleast_2d(action_masks)]
            if len(masks) != len(q):
                raise ValueError(f"action_masks must be bool [{len(q)}, {self._num_actions}], a row an observation")
            q[~np.array(masks)] = -np.inf

    def _checked_mask(self, given: Any) -> NDArray[np.bool_]:
        mask: NDArray[np.bool_] = np.asarray(given) != 0
        if mask.shape != (self._num_actions,) or not mask.any():
            raise ValueError(
                f"step {self.num_timesteps}: a mask of actions must be bool [{self._num_actions}] that allows one, not "
                f"{given!r}"
            )
        return mask

    def _check_health(self) -> None:
        from rlgrid.kernels.dqn import BAD_OP, UPDATES

        bad = int(self._learner.counters[BAD_OP])
        if bad >= 0:
            raise FloatingPointError(
                f"step {self.num_timesteps}, gradient step {int(self._learner.counters[UPDATES]) + 1}: the values of "
                f"{self._architecture.names[bad]} are no longer finite. Lower learning_rate, scale the rewards down, "
                "or clip with max_grad_norm"
            )

    # --- what was learnt --------------------------------------------------------------------------------------------

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = True,
        action_masks: Any = None,
    ) -> tuple[Any, Any]:
        """The action for an observation, or int64 [n] for a batch of n, and ``state`` handed back.

        Args:
            observation: as the environment gives it, or a batch of such rows.
            deterministic: the greedy action; False explores as learning does at present.
            action_masks: bool [A], or [n, A] for a batch, the actions that there are (as for sb3-contrib's agents).

        Raises:
            ValueError: if the observation is not one of the environment's, or a mask has no action.
        """
        rows, single = self._rows(observation)
        q = self._evaluate(rows)
        self._mask(q, rows, action_masks)
        actions = q.argmax(axis=1)
        if not deterministic:
            for i, row in enumerate(rows):
                actions[i] = self._explore(q[i], int(row) if self._discrete else 0, int(actions[i]))
        actions += self._first_action
        return (int(actions[0]) if single else actions), state

    def _explore(self, q: NDArray[np.float64], row: int, greedy: int) -> int:
        """An action as learning would take it at present, by the generator of predictions."""
        draw, strength = self._predict_generator.random, self._present_strength(row)
        if self.exploration != "softmax":
            if draw() >= strength:
                return greedy
            there = np.flatnonzero(q > -np.inf)
            if self._learner.novelty.size:
                novelty = self._learner.novelty[row, there]
                there = there[novelty == novelty.max()]
            return int(there[int(draw() * len(there))])
        if strength == 0.0:
            return greedy
        likely = np.exp((q - q[greedy]) / strength)
        return int(np.searchsorted(np.cumsum(likely / likely.sum())[:-1], draw(), side="right"))

    def _present_strength(self, row: int) -> float:
        """epsilon or the temperature, in a state."""
        from rlgrid.kernels.dqn import strength_at

        return float(strength_at(self._rule(), self.num_timesteps, int(self._learner.visits[row]) + 1))

    def _evaluate(self, rows: NDArray[Any], weights: NDArray[Any] | None = None) -> NDArray[np.float64]:
        """float64 [n, A]: the network at observations as the kernels take them, with its own weights or others."""
        from rlgrid.kernels.dqn import evaluate

        q = np.empty((len(rows), self._num_actions))
        network = self._learner.network
        evaluate(
            network if weights is None else network._replace(theta=weights),
            rows,
            self._blank(1),
            q,
            stream_of(self._generator),
        )
        return q

    def _outputs(self, rows: NDArray[Any]) -> tuple[NDArray[np.float64], list[NDArray[np.float64]]]:
        """float64 [n, A], the values, and float64 [n, units] of each operation, at observations [n]."""
        from rlgrid.kernels.program import OUTPUTS, UNITS

        network = self._learner.network
        kept = np.empty((len(rows), self._architecture.kept))
        for i in range(len(rows)):
            self._evaluate(rows[i : i + 1])
            kept[i] = network.row[: self._architecture.kept]
        outputs = [kept[:, row[OUTPUTS] : row[OUTPUTS] + row[UNITS]] for row in network.program]
        return outputs[-1], outputs

    def distribution(self, observation: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """What is learnt of the returns of each action, at an observation as the environment gives it.

        Returns:
            float64 [A, Z], probabilities, and float64 [Z], the returns (the atoms) that they are of. For a batch of
            n observations [n, A, Z] and [Z].

        Raises:
            ValueError: if the observation is not one of the environment's, or values alone are learnt.
        """
        from rlgrid.kernels.losses import softmax
        from rlgrid.kernels.program import OUTPUTS

        network = self._learner.network
        atoms: NDArray[np.float64] | None = getattr(network, "atoms", None)
        if atoms is None:
            raise ValueError("this agent learns values alone: DQN with loss='cross_entropy' learns distributions")
        rows, single = self._rows(observation)
        found = np.empty((len(rows), self._num_actions, atoms.size))
        for i in range(len(rows)):
            self._evaluate(rows[i : i + 1])
            logits = network.row[network.inner.program[-1, OUTPUTS] :]
            for a in range(self._num_actions):
                softmax(logits[a * atoms.size : (a + 1) * atoms.size], 1.0, found[i, a])
        return (found[0] if single else found), atoms.copy()

    def _values_after(self, rows: NDArray[Any], masks: NDArray[np.bool_] | None) -> NDArray[np.float64]:
        """float64 [n]: the values of observations as targets have them."""
        there = masks
        if there is None and self._available is not None:
            there = self._available[rows]
        q_target = self._evaluate(rows, self._learner.target)
        q = self._evaluate(rows) if self.double_q else q_target
        chosen = (q if there is None else np.where(there, q, -np.inf)).argmax(axis=1)
        after: NDArray[np.float64] = q_target[np.arange(len(rows)), chosen]
        return after

    def diagnosis(self) -> Diagnosis:
        """A look inside: norms and dead units of each layer, TD errors, what the memory covers, and Q against Q*.

        The first call in a world with a model solves it.
        """
        from rlgrid.agents.diagnosis import diagnose
        from rlgrid.truth import Truth

        if self._judge is None and self._discrete:
            self._judge = Truth.of(self)
        return diagnose(self, self._judge)

    def _rows(self, observation: Any) -> tuple[NDArray[Any], bool]:
        """Observations as the kernels take them, and whether it was a single one."""
        given = np.asarray(observation)
        if self._discrete:
            rows = np.atleast_1d(given)
            last = self._first_state + self._width - 1
            if given.dtype.kind not in "iu" or rows.ndim != 1 or ((rows < self._first_state) | (rows > last)).any():
                raise ValueError(f"an observation must be in {self.env.observation_space}, not {observation!r}")
            return np.ascontiguousarray(rows - self._first_state, np.int32), given.ndim == 0
        shape = self.env.observation_space.shape
        assert shape is not None
        single = given.ndim == len(shape)
        if given.dtype.kind not in "iufb" or given.shape[0 if single else 1 :] != shape:
            raise ValueError(f"an observation must have shape {shape} or (n, *{shape}), not {given.shape}")
        if not np.isfinite(given).all():
            raise ValueError(f"an observation must be finite, not {observation!r}")
        rows = given.reshape(-1, self._width)
        return np.ascontiguousarray(rows, self._architecture.observations.dtype), single

    @property
    def q_values(self) -> NDArray[np.float64]:
        """float64 [S, A]: the network at every state; -inf where the state lacks the action, 0 in terminal states."""
        if not self._discrete:
            raise AttributeError(f"DQN has no table of q_values over {self.env.observation_space}")
        q = self._evaluate(np.arange(self._width, dtype=np.int32))
        if self.model is not None:
            q[self.model.absorbing] = 0.0
            if self._available is not None:
                q[~self._available] = -np.inf
        return q

    @property
    def visits(self) -> NDArray[np.int64] | None:
        """int64 [S]: how often each state was acted in; None over vectors."""
        return self._learner.visits.copy() if self._discrete else None

    @property
    def td_error(self) -> NDArray[np.float64] | None:
        """float64 [S]: target minus estimate when each state was last learnt from; None over vectors."""
        return self._learner.td_error.copy() if self._discrete else None
