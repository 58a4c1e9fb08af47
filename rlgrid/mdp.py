"""Markov decision processes with every outcome written out.

An MDP is the 5-tuple (S, A, {P_sa}, gamma, R) with a start distribution (Sutton & Barto, 2nd ed., ch. 3; Puterman
1994, ch. 2). For each state s and action a it holds a run of outcomes (probability, next state, reward, terminated),
in compressed arrays; the order of a run and its duplicates are kept, since sampling depends on them. Rewards may be
given as R(s), R(s, a) or R(s, a, s'); `reward_form` says which. `terminated` belongs to the outcome: nothing follows
it, so it is worth its reward alone.

The stored probabilities of a run sum to 1 within 1e-9 and mean p_i / sum(p), the floats taken as exact rationals.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from functools import cached_property
from importlib import import_module
from itertools import chain, count
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rlgrid import transitions
from rlgrid.compressed import Survey, index_type, read_only, survey

if TYPE_CHECKING:
    from rlgrid.kernels.model import ExplicitArrays

PROBABILITY_TOLERANCE = 1e-9
LARGE = 1 << 16  # outcomes (or entries of P) from which on models are built and checked by compiled code
MANY_ROWS = 1000  # states of a table that is worth loading compiled code for
FIELDS = "next_state", "probability", "reward", "terminated"

Outcome = tuple[float, int, float, bool]

_SMALL_TABLES = count()  # read once compiled code was there


def check_gamma(gamma: float) -> float:
    """``gamma`` as a float in [0, 1], or an error that says what was wrong."""
    if isinstance(gamma, bool) or not isinstance(gamma, int | float | np.integer | np.floating):
        raise TypeError(f"gamma must be a number in [0, 1], not {gamma!r}")
    if not 0.0 <= gamma <= 1.0:
        raise ValueError(f"gamma must lie in [0, 1], not {gamma!r}")
    return float(gamma)


def check_start(start: ArrayLike | None, num_states: int) -> NDArray[np.float64]:
    """A start distribution float64 [S]; uniform over all states where none is given."""
    if start is None:
        return np.full(num_states, 1.0 / num_states)
    if isinstance(start, int | np.integer) and not isinstance(start, bool):
        if not 0 <= start < num_states:
            raise ValueError(f"start state {start} is not one of the states 0 to {num_states - 1}")
        distribution = np.zeros(num_states)
        distribution[start] = 1.0
        return distribution
    distribution = np.array(start, dtype=np.float64)
    if distribution.shape != (num_states,):
        raise ValueError(f"start must have shape ({num_states},), one probability a state, not {distribution.shape}")
    total = np.add.reduce(distribution)
    if np.minimum.reduce(distribution) >= 0 and abs(total - 1.0) <= PROBABILITY_TOLERANCE:
        return distribution
    wrong = np.flatnonzero(~np.isfinite(distribution) | (distribution < 0))
    if wrong.size:
        raise ValueError(
            f"start probability of state {wrong[0]} is {distribution[wrong[0]]}: it must be >= 0 and finite"
        )
    raise ValueError(f"the start probabilities sum to {total:.12g}: they must sum to 1")


def check_cap(max_episode_steps: int | None) -> int | None:
    """A step cap: an integer of at least 1, or None for no cap."""
    if max_episode_steps is None:
        return None
    if isinstance(max_episode_steps, bool) or not isinstance(max_episode_steps, int | np.integer):
        raise TypeError(f"max_episode_steps must be an integer or None, not {max_episode_steps!r}")
    if max_episode_steps < 1:
        raise ValueError(f"max_episode_steps must be at least 1, not {max_episode_steps}")
    return int(max_episode_steps)


def _accepted(name: str, given: ArrayLike, dtype: Any) -> NDArray[Any]:
    """``given`` as an array whose entries this type can hold."""
    try:
        array = np.asarray(given)
        if array.size == 0:
            array = array.astype(dtype)
        kinds = {"i": "ui", "f": "uif", "b": "b"}[np.dtype(dtype).kind]
        if array.dtype.kind not in kinds and not (kinds == "ui" and array.dtype.kind == "f" and _integral(array)):
            raise TypeError
    except (TypeError, ValueError):
        what = {"i": "integers", "f": "numbers", "b": "bools"}[np.dtype(dtype).kind]
        raise TypeError(f"{name} must be an array of {what}, not {given!r:.80}") from None
    return array


def _own(name: str, given: ArrayLike, dtype: Any) -> NDArray[Any]:
    """A copy of ``given``, read-only and the model's own: nobody outside can change what was checked."""
    own = _accepted(name, given, dtype).astype(dtype)
    own.setflags(write=False)
    return own


def _own_offsets(given: ArrayLike) -> NDArray[Any]:
    """Offsets in 32 bits where they fit, which is what kernels are compiled for, else in 64."""
    accepted = _accepted("offsets", given, np.int64)
    ends = int(accepted.min(initial=0)), int(accepted.max(initial=0))
    return _own("offsets", accepted, index_type(max(-ends[0], ends[1])))


def _in_one_block(total: int, types: Sequence[type]) -> list[NDArray[Any]]:
    """Empty arrays of one length in one piece of memory, which takes far fewer page faults than a piece for each."""
    sizes = [-(-total * np.dtype(dtype).itemsize // 64) * 64 for dtype in types]
    block = np.empty(sum(sizes), np.uint8)
    ends = np.cumsum(sizes).tolist()
    return [block[end - size : end].view(dtype)[:total] for end, size, dtype in zip(ends, sizes, types, strict=True)]


def _integral(array: NDArray[Any]) -> bool:
    return bool((np.isfinite(array) & (array == np.floor(array)) & (np.abs(array) < 2**53)).all())


class MDP:
    """An explicit MDP; build one with `from_arrays`, `from_gymnasium`, `from_function` or from outcome arrays.

    Attributes:
        offsets: int32 [S * A + 1], int64 from 2^31 outcomes on; pair s * A + a owns outcomes [offsets[pair],
            offsets[pair + 1]). An empty run means that the action is not available in the state.
        next_state, probability, reward, terminated: int32, float64, float64, bool, each [N], N outcomes in all.
        start: float64 [S], the start distribution.
        gamma: the discount factor in [0, 1].
        states: the labels of the states where they were given (`from_function`), else None.
        reward_form: "R(s)", "R(s, a)" or "R(s, a, s')": what the rewards were given as.
        shape: (rows, columns) where the states are the cells of a grid in row-major order, else None.
        max_episode_steps: the step cap of an episode, or None.

    Raises:
        ValueError: naming the state and the action whose outcomes are not a distribution, lead nowhere or have a
            reward that is not finite.
    """

    def __init__(
        self,
        num_states: int,
        num_actions: int,
        offsets: ArrayLike,
        next_state: ArrayLike,
        probability: ArrayLike,
        reward: ArrayLike,
        terminated: ArrayLike,
        *,
        gamma: float,
        start: ArrayLike | None = None,
        states: Sequence[Hashable] | None = None,
        reward_form: str = "R(s, a, s')",
        shape: tuple[int, int] | None = None,
        max_episode_steps: int | None = None,
    ) -> None:
        if num_states < 1 or num_actions < 1:
            raise ValueError(f"an MDP needs at least one state and one action, not {num_states} and {num_actions}")
        if num_states > np.iinfo(np.int32).max:
            raise ValueError(
                f"{num_states} states are more than the {np.iinfo(np.int32).max} that an explicit MDP holds"
            )
        self.num_states = int(num_states)
        self.num_actions = int(num_actions)
        own_offsets = _own_offsets(offsets)
        own, known = self._take_over(own_offsets, next_state, probability, reward, terminated)
        self._hold(own_offsets, *own, gamma, start, states, reward_form, shape, max_episode_steps, known)

    def _take_over(
        self, offsets: NDArray[Any], *given: ArrayLike
    ) -> tuple[tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]], Survey | None]:
        """Own copies of outcome arrays; and what is known of them, if they are many and there is nothing wrong."""
        types = np.int32, np.float64, np.float64, np.bool_
        pairs = list(zip(FIELDS, given, (np.int64, *types[1:]), strict=True))
        arrays = [_accepted(*pair) for pair in pairs]
        total = arrays[0].size
        if total >= LARGE and self._are_offsets(offsets, total) and all(array.shape == (total,) for array in arrays):
            own = _in_one_block(total, types)
            views = [array.view() for array in own]
            for view in views:
                view.setflags(write=False)

            def copy(first: int, last: int) -> bool:
                """The outcomes of a range of states, to be checked while they are in the cache."""
                here = slice(*offsets[[first * self.num_actions, last * self.num_actions]].tolist())
                to = arrays[0][here]
                if to.dtype != np.int32 and to.size and (to.min() < 0 or to.max() >= self.num_states):
                    return False
                for array, mine in zip(arrays, own, strict=True):
                    np.copyto(mine[here], array[here], "unsafe")
                return True

            known = survey(self.num_states, self.num_actions, (offsets, *views), PROBABILITY_TOLERANCE, copy)
            if known.sound:
                return (own[0], own[1], own[2], own[3]), known
        return (
            arrays[0].astype(arrays[0].dtype if arrays[0].dtype.kind in "ui" else np.int64),
            arrays[1].astype(np.float64),
            arrays[2].astype(np.float64),
            arrays[3].astype(np.bool_),
        ), None

    def _hold(
        self,
        offsets: NDArray[Any],
        next_state: NDArray[Any],
        probability: NDArray[np.float64],
        reward: NDArray[np.float64],
        terminated: NDArray[np.bool_],
        gamma: float,
        start: ArrayLike | None,
        states: Sequence[Hashable] | None = None,
        reward_form: str = "R(s, a, s')",
        shape: tuple[int, int] | None = None,
        max_episode_steps: int | None = None,
        known: Survey | None = None,
    ) -> None:
        """Check arrays that are the model's own, unless something is known of them, and keep them."""
        for array in (offsets, next_state, probability, reward, terminated):
            array.setflags(write=False)
        self.gamma = check_gamma(gamma)
        self.offsets, self.probability, self.reward, self.terminated = offsets, probability, reward, terminated
        self.states = list(states) if states is not None else None
        self.reward_form = reward_form
        self.shape = shape
        self.max_episode_steps = check_cap(max_episode_steps)
        if known is not None:
            self.__dict__["survey"] = known
        else:
            self._check(next_state)
        self.next_state: NDArray[np.int32] = next_state
        if next_state.dtype != np.int32:
            self.next_state = _own("next_state", next_state, np.int32)
        self.start = check_start(start, self.num_states)
        self.start.setflags(write=False)
        self.start_states = self.start.nonzero()[0]
        self.start_probability = self.start[self.start_states]

    def _name(self, pair: int) -> str:
        state, action = divmod(int(pair), self.num_actions)
        label = f" ({self.states[state]!r})" if self.states is not None else ""
        return f"state {state}{label}, action {action}"

    def _are_offsets(self, offsets: NDArray[Any], total: int) -> bool:
        """Whether they are those of so many outcomes."""
        if offsets.shape != (self.num_states * self.num_actions + 1,) or offsets[0] != 0 or offsets[-1] != total:
            return False
        return not bool((offsets[1:] < offsets[:-1]).any())

    def _check(self, next_state: NDArray[Any]) -> None:
        pairs = self.num_states * self.num_actions
        if self.offsets.shape != (pairs + 1,):
            raise ValueError(f"offsets must have shape ({pairs + 1},), S * A + 1, not {self.offsets.shape}")
        total = int(self.offsets[-1])
        if not self._are_offsets(self.offsets, total):
            raise ValueError("offsets must start at 0 and never decrease")
        for name, array in (
            ("next_state", next_state),
            ("probability", self.probability),
            ("reward", self.reward),
            ("terminated", self.terminated),
        ):
            if array.shape != (total,):
                raise ValueError(f"{name} must have shape ({total},), one entry an outcome, not {array.shape}")
        if total >= LARGE and self._is_sound(next_state):
            return

        def pair_of(outcome: int) -> str:
            return self._name(int(np.searchsorted(self.offsets, outcome, side="right")) - 1)

        wrong = np.flatnonzero((next_state < 0) | (next_state >= self.num_states))
        if wrong.size:
            raise ValueError(
                f"{pair_of(wrong[0])}: next state {next_state[wrong[0]]} is not one of the states "
                f"0 to {self.num_states - 1}"
            )
        # A sum may be off by the tolerance, so a certain outcome may exceed 1 by as much.
        high = self.probability > 1.0 + PROBABILITY_TOLERANCE
        wrong = np.flatnonzero(~np.isfinite(self.probability) | (self.probability < 0) | high)
        if wrong.size:
            raise ValueError(f"{pair_of(wrong[0])}: probability {self.probability[wrong[0]]} is not in [0, 1]")
        wrong = np.flatnonzero(~np.isfinite(self.reward))
        if wrong.size:
            raise ValueError(f"{pair_of(wrong[0])}: reward {self.reward[wrong[0]]} is not finite")
        sizes = np.diff(self.offsets)
        used = np.flatnonzero(sizes)
        sums = np.add.reduceat(self.probability, self.offsets[used]) if used.size else np.zeros(0)
        wrong = np.flatnonzero(np.abs(sums - 1.0) > PROBABILITY_TOLERANCE)
        if wrong.size:
            pair = used[wrong[0]]
            raise ValueError(f"{self._name(pair)}: the probabilities sum to {sums[wrong[0]]:.12g}; they must sum to 1")
        stuck = np.flatnonzero(~(sizes.reshape(self.num_states, self.num_actions) > 0).any(axis=1))
        if stuck.size:
            raise ValueError(
                f"state {stuck[0]} has no available action: give it one, for a final state (1.0, {stuck[0]}, 0.0, True)"
            )

    def _is_sound(self, next_state: NDArray[Any]) -> bool:
        """The rest of the checks at compiled speed; what is wrong is found out by those."""
        if next_state.dtype != np.int32:
            if next_state.min() < 0 or next_state.max() >= self.num_states:
                return False
            next_state = next_state.astype(np.int32)
            next_state.setflags(write=False)
        arrays = self.offsets, next_state, self.probability, self.reward, self.terminated
        known = survey(self.num_states, self.num_actions, arrays, PROBABILITY_TOLERANCE)
        if known.sound:
            self.__dict__["survey"] = known
        return known.sound

    # --- views ------------------------------------------------------------------------------------------------------

    @cached_property
    def arrays(self) -> ExplicitArrays:
        """The model as the struct of arrays that kernels take."""
        from rlgrid.kernels.model import ExplicitArrays

        return ExplicitArrays(
            self.num_states,
            self.num_actions,
            self.offsets,
            self.next_state,
            self.probability,
            self.reward,
            self.terminated,
            self.start_states,
            np.cumsum(self.start_probability),
        )

    @cached_property
    def survey(self) -> Survey:
        """What one pass over the outcomes finds out; solvers begin with it."""
        return survey(self.num_states, self.num_actions, self.arrays[2:7])

    @cached_property
    def available(self) -> NDArray[np.bool_] | None:
        """bool [S, A]: which actions each state has; None where every state has them all."""
        mask = (np.diff(self.offsets) > 0).reshape(self.num_states, self.num_actions)
        return None if mask.all() else mask

    @cached_property
    def absorbing(self) -> NDArray[np.bool_]:
        """bool [S]: states that every action leaves as they are, with reward 0 and the episode over."""
        owner = np.repeat(np.arange(self.num_states), np.diff(self.offsets[:: self.num_actions]))
        moves = ~self.terminated | (self.next_state != owner) | (self.reward != 0)
        result = np.ones(self.num_states, np.bool_)
        result[owner[moves]] = False
        return result

    @cached_property
    def P(self) -> dict[int, dict[int, list[Outcome]]]:
        """Gymnasium's toy_text form: ``P[s][a]`` is a list of (probability, next state, reward, terminated)."""
        outcomes = list(
            zip(
                self.probability.tolist(),
                self.next_state.tolist(),
                self.reward.tolist(),
                self.terminated.tolist(),
                strict=True,
            )
        )
        ends = self.offsets.tolist()
        A = self.num_actions
        return {
            s: {a: outcomes[ends[s * A + a] : ends[s * A + a + 1]] for a in range(A)} for s in range(self.num_states)
        }

    def to_mdp(self) -> MDP:
        """Itself: the explicit form of an explicit model."""
        return self

    def cell_of(self, state: int) -> tuple[int, int]:
        """(row, column) of a state of a grid."""
        if self.shape is None:
            raise ValueError("this MDP is not a grid: its states have no cells")
        return divmod(int(state), self.shape[1])

    def state_of(self, *where: Any) -> int:
        """The number of a state: of its label (`from_function`), or of a cell given as (row, column)."""
        if self.states is not None:
            label = where[0] if len(where) == 1 else where
            try:
                return self._state_index[label]
            except KeyError:
                raise ValueError(f"no state {label!r} was reached from the start states") from None
        if self.shape is None or len(where) != 2:
            raise ValueError("this MDP's states are numbers alone: it has neither labels nor cells")
        row, column = where
        if not (0 <= row < self.shape[0] and 0 <= column < self.shape[1]):
            raise ValueError(f"cell ({row}, {column}) is outside the grid of {self.shape[0]} x {self.shape[1]}")
        return int(row) * self.shape[1] + int(column)

    @cached_property
    def _state_index(self) -> dict[Hashable, int]:
        return {label: i for i, label in enumerate(self.states or [])}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """A pickle doesn't keep arrays read-only, and for others kernels would be compiled once more."""
        self.__dict__.update(state)
        read_only((self.offsets, *(getattr(self, name) for name in FIELDS), self.start))

    def __deepcopy__(self, memo: Any) -> Self:
        """The model itself, since models do not change: copies of what holds it share it, and what was made of it."""
        return self

    def _repr_html_(self) -> str:
        # By name: pictures stand on models, and a model must not import what stands on it.
        shown: str = import_module("rlgrid.notebook").as_html(self, repr(self))
        return shown

    def __repr__(self) -> str:
        return (
            f"MDP({self.num_states} states, {self.num_actions} actions, {self.probability.size} outcomes, "
            f"gamma={self.gamma:g}, rewards {self.reward_form})"
        )

    # --- ways in ----------------------------------------------------------------------------------------------------

    @classmethod
    def from_arrays(
        cls,
        P: ArrayLike | Sequence[Any],
        R: ArrayLike,
        gamma: float,
        start: ArrayLike | None = None,
        terminal: ArrayLike | None = None,
        available: ArrayLike | None = None,
    ) -> MDP:
        """An MDP from transition and reward arrays.

        Args:
            P: float [S, A, S], P[s, a, s'] the probability of s' after a in s; or a sequence of A scipy-sparse
                matrices [S, S], one for each action. Outcomes of probability 0 are left out.
            R: the reward as R(s) [S], R(s, a) [S, A] or R(s, a, s') [S, A, S] (or A sparse matrices [S, S]). R(s) and
                R(s, a) are collected in the state that is left.
            gamma: the discount factor in [0, 1].
            start: the start distribution [S], or one state; uniform if None.
            terminal: bool [S]; entering such a state ends the episode and it is worth 0: what R(s, a) and R(s, a, s')
                say of leaving it is not used, and R(s) must be 0 in it.
            available: bool [S, A]; False where the state lacks the action. All are available if None.

        Raises:
            ValueError, TypeError: naming the state and the action that are wrong.
        """
        import scipy.sparse

        matrices: list[Any] = []
        if isinstance(P, Sequence) and len(P) and all(scipy.sparse.issparse(matrix) for matrix in P):
            matrices = [scipy.sparse.csr_array(matrix) for matrix in P]
            num_actions, num_states = len(matrices), matrices[0].shape[0]
            size = sum(matrix.nnz for matrix in matrices)
        else:
            if isinstance(P, Sequence) and any(isinstance(matrix, np.ndarray) for matrix in P):
                raise ValueError(
                    "P as a list of dense arrays could mean one a state or one an action: give one array [S, A, S] "
                    "(np.stack(P, axis=1) makes it of A arrays [S, S])"
                )
            dense = np.asarray(P, dtype=np.float64)
            if dense.ndim != 3 or dense.shape[0] != dense.shape[2] or dense.size == 0:
                raise ValueError(
                    f"P must have shape [S, A, S] or be a sequence of A scipy-sparse matrices [S, S], not {dense.shape}"
                )
            num_states, num_actions, _ = dense.shape
            size = dense.size
            if size < LARGE:
                matrices = [scipy.sparse.csr_array(dense[:, a, :]) for a in range(num_actions)]
        for a, matrix in enumerate(matrices):
            if matrix.shape != (num_states, num_states):
                raise ValueError(f"P of action {a} has shape {matrix.shape}, not ({num_states}, {num_states})")
        ends = _flags(terminal, (num_states,), "terminal", default=False)
        allowed = _flags(available, (num_states, num_actions), "available", default=True)
        rewards, form = _rewards(R, num_states, num_actions)
        if form == "R(s)" and (inside := np.flatnonzero(ends & (rewards != 0))).size:
            s = int(inside[0])
            raise ValueError(
                f"state {s} is terminal but R({s}) = {rewards[s]:g}: terminal states are worth 0, so it would "
                "never be collected. Set it to 0, or give R(s, a, s') with the reward on the steps that enter the state"
            )

        def check(sizes: NDArray[Any]) -> None:
            missing = np.flatnonzero((sizes.ravel() == 0) & allowed.ravel())
            if missing.size:
                s, a = divmod(int(missing[0]), num_actions)
                raise ValueError(
                    f"state {s}, action {a}: the probabilities sum to 0; they must sum to 1 "
                    f"(or mark the action with available[{s}, {a}] = False)"
                )

        runs: tuple[NDArray[Any], ...]
        if size < LARGE:
            runs = _small_runs(matrices, rewards, ends, allowed, check)
        else:
            table: Any = (
                rewards if isinstance(rewards, list) else transitions.rewards_of(rewards, num_states, num_actions)
            )
            if matrices:
                runs = transitions.from_sparse(matrices, table, ends, allowed, check)
            else:
                runs = transitions.from_dense(np.ascontiguousarray(dense), table, ends, allowed, check)
        mdp = cls.__new__(cls)
        mdp.num_states, mdp.num_actions = num_states, num_actions
        offsets, next_state, probability, reward, terminated = runs
        mdp._hold(offsets, next_state, probability, reward, terminated, gamma, start, reward_form=form)
        return mdp

    @classmethod
    def from_gymnasium(cls, env: Any, gamma: float = 0.99, start: ArrayLike | None = None) -> MDP:
        """An MDP from an environment (or anything else) with toy_text's dict ``P``; order and duplicates are kept.

        The start distribution is ``start`` or the environment's ``initial_state_distrib`` (or ``isd``).

        Raises:
            TypeError: if there is no ``P``.
            ValueError: naming the state and action whose outcomes are wrong, or if no start distribution is known.
        """
        inner = getattr(env, "unwrapped", env)
        table = env if isinstance(env, dict) else getattr(inner, "P", None)
        if table is None:
            raise TypeError(f"{inner!r} has no transition table P as Gymnasium's toy_text environments have")
        if start is None:
            start = getattr(inner, "initial_state_distrib", getattr(inner, "isd", None))
        if start is None:
            raise ValueError("the environment names no start distribution (initial_state_distrib): pass start=")
        # FrozenLake has its map, CliffWalking its shape: with them the states can be drawn as cells.
        shape = getattr(getattr(inner, "desc", None), "shape", getattr(inner, "shape", None))
        cells = shape if isinstance(shape, tuple) and len(shape) == 2 and shape[0] * shape[1] == len(table) else None
        return cls._from_table(table, gamma=gamma, start=start, shape=cells)

    @classmethod
    def _from_table(
        cls,
        table: Any,
        gamma: float,
        start: ArrayLike,
        states: Sequence[Hashable] | None = None,
        shape: tuple[int, int] | None = None,
    ) -> MDP:
        num_states = len(table)
        # To load compiled code takes longer than to read a table of some size, or one alone.
        if "rlgrid.kernels" in sys.modules and (num_states >= MANY_ROWS or next(_SMALL_TABLES) > 0):
            read = transitions.from_table(table)
            if read is not None:
                mdp = cls.__new__(cls)
                mdp.num_states, mdp.num_actions = num_states, read[0]
                known = survey(num_states, read[0], read[1], PROBABILITY_TOLERANCE)
                mdp._hold(*read[1], gamma, start, states, shape=shape, known=known if known.sound else None)
                return mdp
        if set(table) != set(range(num_states)) or bool in set(map(type, table)):
            raise ValueError(f"the states of P must be the integers 0 to {num_states - 1}")
        rows = [table[s] for s in range(num_states)]
        if not set(map(type, rows)) <= {dict}:
            for s, row in enumerate(rows):
                if not isinstance(row, Mapping):
                    raise ValueError(f"state {s}: {row!r:.80} is not a dict of actions")
        if not set(map(type, chain.from_iterable(rows))) <= {int}:
            for s, row in enumerate(rows):
                for a in row:
                    if isinstance(a, bool) or not isinstance(a, int | np.integer):
                        raise ValueError(f"state {s}: action {a!r} is not an integer >= 0")
        if min(map(min, filter(None, rows)), default=0) < 0:
            s, row = next((s, row) for s, row in enumerate(rows) if row and min(row) < 0)
            raise ValueError(f"state {s}: action {min(row)!r} is not an integer >= 0")
        num_actions = int(max(map(max, filter(None, rows)), default=-1)) + 1
        given = sum(map(len, rows))
        if transitions.is_far_too_wide(num_states, num_actions, given):
            s = next(s for s, row in enumerate(rows) if num_actions - 1 in row)
            raise ValueError(
                f"state {s}: action {num_actions - 1} would make {num_states * num_actions:,} pairs of a state and an "
                f"action, of which {given:,} are given: number the actions 0, 1, 2, ..."
            )
        runs = [row.get(a, ()) for row in rows for a in range(num_actions)]
        if not set(map(type, runs)) <= {list, tuple}:
            for pair, run in enumerate(runs):
                if not isinstance(run, Collection):
                    where = f"state {pair // num_actions}, action {pair % num_actions}"
                    raise ValueError(f"{where}: {run!r:.80} is not a list of outcomes")
        columns = _columns(runs, num_actions)
        offsets = np.concatenate([[0], np.cumsum([len(run) for run in runs])])
        outcomes = offsets, columns[1], columns[0], columns[2], columns[3]
        return cls(num_states, num_actions, *outcomes, gamma=gamma, start=start, states=states, shape=shape)

    @classmethod
    def from_function(
        cls,
        start_states: Iterable[Hashable] | dict[Hashable, float],
        actions: int | np.integer[Any] | Callable[[Any], Iterable[int]],
        outcomes: Callable[[Any, int], Iterable[tuple[float, Hashable, float, bool]]],
        gamma: float,
        max_states: int = 10_000_000,
    ) -> MDP:
        """An MDP explored from its start states, breadth first; `states` and `state_of` map labels to numbers.

        Args:
            start_states: hashable labels, equally likely, or a dict of label to probability.
            actions: how many actions every state has, or a function of a label that gives its available ones.
            outcomes: function of (label, action) that gives [(probability, next label, reward, terminated)].
            gamma: the discount factor in [0, 1].
            max_states: exploring stops with an error beyond so many states.

        Raises:
            ValueError: naming the label and the action that are wrong.
        """
        if not callable(actions):
            if isinstance(actions, bool) or not isinstance(actions, int | np.integer) or actions < 1:
                raise ValueError(f"actions must be a number of actions >= 1 or a function of a label, not {actions!r}")
            every = range(int(actions))
        weights = dict(start_states) if isinstance(start_states, dict) else dict.fromkeys(start_states, 0.0)
        if not weights:
            raise ValueError("start_states is empty: exploring needs at least one state to begin with")
        if not isinstance(start_states, dict):
            weights = dict.fromkeys(weights, 1.0 / len(weights))
        index: dict[Hashable, int] = {label: i for i, label in enumerate(weights)}
        labels: list[Hashable] = list(weights)
        table: list[dict[int, list[Outcome]]] = []
        while len(table) < len(labels):
            label = labels[len(table)]
            row: dict[int, list[Outcome]] = {}
            for a in actions(label) if callable(actions) else every:
                if isinstance(a, bool) or not isinstance(a, int | np.integer) or a < 0:
                    raise ValueError(f"state {label!r}: action {a!r} is not an integer >= 0")
                run = []
                for outcome in outcomes(label, int(a)):
                    where = f"state {label!r}, action {a}"
                    if not isinstance(outcome, Sequence) or len(outcome) != 4:
                        raise ValueError(f"{where}: {outcome!r} is not (probability, next state, reward, terminated)")
                    probability, to, reward, terminated = outcome
                    if to not in index:
                        if len(labels) >= max_states:
                            raise ValueError(f"more than max_states = {max_states} states are reachable")
                        index[to] = len(labels)
                        labels.append(to)
                    run.append(_checked((probability, index[to], reward, terminated), where))
                row[int(a)] = run
            # A state that offers nothing is final: it stays as it is, and nothing more is collected.
            table.append(row or {0: [(1.0, len(table), 0.0, True)]})
        start = np.zeros(len(labels))
        start[: len(weights)] = list(weights.values())
        return cls._from_table(dict(enumerate(table)), gamma=gamma, start=start, states=labels)


def _columns(runs: list[Any], num_actions: int) -> tuple[Any, ...]:
    """Probabilities, next states, rewards and ends of all outcomes, of plain types; numbers are checked later."""
    flat = list(chain.from_iterable(runs))
    if set(map(type, flat)) <= {tuple, list} and set(map(len, flat)) == {4}:
        columns = tuple([outcome[i] for outcome in flat] for i in range(4))
        kinds = ((float, int, np.float64), (int, np.int64), (float, int, np.float64), (bool, np.bool_))
        if all(set(map(type, column)) <= {*kind} for column, kind in zip(columns, kinds, strict=True)):
            try:
                return columns[0], columns[1], np.array(columns[2], np.float64), columns[3]
            except OverflowError:  # a whole number that no float holds
                pass
    outcomes = [
        _checked(outcome, f"state {pair // num_actions}, action {pair % num_actions}")
        for pair, run in enumerate(runs)
        for outcome in run
    ]
    return tuple(zip(*outcomes, strict=True)) if outcomes else ((), (), (), ())


def _checked(outcome: Any, where: str) -> Outcome:
    """An outcome as plain Python values; its numbers are checked later, with all others."""
    if not isinstance(outcome, Sequence) or len(outcome) != 4:
        raise ValueError(f"{where}: {outcome!r} is not (probability, next state, reward, terminated)")
    probability, to, reward, terminated = outcome
    if isinstance(to, bool) or not isinstance(to, int | np.integer):
        raise TypeError(f"{where}: next state {to!r} is not an integer")
    if not isinstance(terminated, bool | np.bool_):
        raise TypeError(f"{where}: terminated {terminated!r} is neither True nor False")
    try:
        if isinstance(probability, str | bytes) or isinstance(reward, str | bytes):
            raise TypeError
        return float(probability), int(to), float(reward), bool(terminated)
    except (TypeError, ValueError, OverflowError):
        raise TypeError(f"{where}: probability {probability!r} and reward {reward!r} must be numbers") from None


def _flags(given: ArrayLike | None, shape: tuple[int, ...], name: str, *, default: bool) -> NDArray[np.bool_]:
    if given is None:
        return np.full(shape, default)
    flags = np.asarray(given)
    if flags.dtype != np.bool_:
        raise TypeError(f"{name} must be an array of bool {list(shape)}, not of {flags.dtype}")
    if flags.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, not {flags.shape}")
    return flags


def _rewards(R: Any, num_states: int, num_actions: int) -> tuple[Any, str]:
    """Rewards as an array [S], [S, A] or [S, A, S], or as A sparse matrices; and the form in which they were given."""
    import scipy.sparse

    if isinstance(R, Sequence) and len(R) and all(scipy.sparse.issparse(matrix) for matrix in R):
        matrices = [scipy.sparse.csr_array(matrix) for matrix in R]
        if len(matrices) != num_actions or any(m.shape != (num_states, num_states) for m in matrices):
            raise ValueError(f"R as sparse matrices must be {num_actions} of shape ({num_states}, {num_states})")
        return matrices, "R(s, a, s')"
    rewards = np.asarray(R, dtype=np.float64)
    forms = {1: "R(s)", 2: "R(s, a)", 3: "R(s, a, s')"}
    if rewards.ndim in forms and rewards.shape == (num_states, num_actions, num_states)[: rewards.ndim]:
        return rewards, forms[rewards.ndim]
    raise ValueError(
        f"R must be R(s) {(num_states,)}, R(s, a) {(num_states, num_actions)} or "
        f"R(s, a, s') {(num_states, num_actions, num_states)}, not {rewards.shape}"
    )


def _small_runs(
    matrices: list[Any],
    rewards: Any,
    ends: NDArray[np.bool_],
    allowed: NDArray[np.bool_],
    check: Callable[[NDArray[Any]], None],
) -> tuple[NDArray[Any], ...]:
    """Offsets, next states, probabilities, rewards and ends of all pairs, without compiled code.

    The start of a process is most of the time of a small model; `rlgrid.transitions` does the same for large ones.
    """
    num_states, num_actions = allowed.shape
    states, actions, nexts, probabilities = [], [], [], []
    for a, given in enumerate(matrices):
        matrix = given.astype(np.float64)  # a copy
        matrix.sum_duplicates()
        matrix.eliminate_zeros()
        rows = np.repeat(np.arange(num_states), np.diff(matrix.indptr))
        keep = allowed[rows, a] & ~ends[rows]
        states.append(rows[keep])
        actions.append(np.full(int(keep.sum()), a))
        nexts.append(matrix.indices[keep])
        probabilities.append(matrix.data[keep])
    finals = np.flatnonzero(ends)
    states.append(np.repeat(finals, num_actions))
    actions.append(np.tile(np.arange(num_actions), finals.size))
    nexts.append(np.repeat(finals, num_actions))
    probabilities.append(np.ones(finals.size * num_actions))
    state, action, to = np.concatenate(states), np.concatenate(actions), np.concatenate(nexts)
    pair = state * num_actions + action
    order = np.argsort(pair, kind="stable")
    state, action, to = state[order], action[order], to[order]
    sizes = np.bincount(pair, minlength=num_states * num_actions)
    check(sizes)
    if isinstance(rewards, list):
        reward = np.zeros(to.size)
        for a, matrix in enumerate(rewards):
            here = action == a
            reward[here] = np.asarray(matrix[state[here], to[here]]).ravel()
    else:
        reward = rewards[(state, action, to)[: rewards.ndim]]
    reward[ends[state]] = 0.0
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
    return offsets, to.astype(np.int32), np.concatenate(probabilities)[order], reward, ends[to]
