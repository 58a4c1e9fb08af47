"""`GridWorld`: the Gymnasium environment of any model.

It draws from the very model that the solvers sweep over: one uniform number a step, even where the outcome is certain,
and the first outcome whose cumulative probability exceeds it, as Gymnasium's toy_text does. So the generator of an
environment with the same model as one of theirs stays in step with it, seed for seed.

Observations are states 0 to S - 1 and actions 0 to A - 1. A world that is only partly observed keeps its whole state in
the model and shows ``observation_of[state]``. The step cap is a `TimeLimit` around the environment: what
``gymnasium.make`` was asked for as ``max_episode_steps`` (-1: none), else what is registered, else the map's.
"""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, SupportsFloat
from weakref import WeakKeyDictionary

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.wrappers import TimeLimit
from numpy.typing import ArrayLike, NDArray

from rlgrid.gridmodel import GridModel, Slip
from rlgrid.mdp import MDP, Outcome

if TYPE_CHECKING:
    from rlgrid.display import Display
    from rlgrid.gridmap import GridSpec

_EXPLICIT_STATES = 50_000  # up to so many states a grid's outcomes are read off its explicit form
_KEPT_STATES = 200_000  # outcomes of at most so many states are kept as Python tuples

_WIDE = 16  # pairs with more outcomes are searched in their arrays: tuples of them would fill the memory

# (cumulative probability up to and with it, next state, reward, terminated, its probability)
_Outcome = tuple[float, int, float, bool, float]


class _WideRun:
    """The many outcomes of a pair, in the model's own arrays. A loop over it finds nothing; `drawn` finds the one."""

    __slots__ = ("arrays", "cumulative", "first")

    def __init__(self, arrays: Any, first: int, last: int) -> None:
        self.arrays, self.first = arrays, first
        self.cumulative = np.cumsum(arrays.probability[first:last])

    def __iter__(self) -> Iterator[_Outcome]:
        return iter(())

    def drawn(self, u: float) -> _Outcome:
        """The first outcome whose cumulative probability exceeds ``u``."""
        k = int(self.cumulative.searchsorted(u, side="right"))
        at = self.first + (k if k < self.cumulative.size else 0)
        arrays = self.arrays
        p, to, reward = arrays.probability.item(at), arrays.next_state.item(at), arrays.reward.item(at)
        return 1.0, to, reward, arrays.terminated.item(at), p


_Row = dict[int, tuple[_Outcome, ...] | _WideRun]


class _Outcomes(dict[int, _Row]):
    """state -> action -> its outcomes as tuples, made when a state is first left. It holds the model's arrays alone."""

    def __init__(self, model: GridModel | MDP) -> None:
        super().__init__()
        self.num_actions = int(model.num_actions)
        self.explicit = isinstance(model, MDP) or model.num_states <= _EXPLICIT_STATES
        self.arrays: Any = model.to_mdp().arrays if self.explicit else model.arrays

    def __missing__(self, state: int) -> _Row:
        if state is None:
            raise gym.error.ResetNeeded("there is no state yet: call reset() before step()")
        row: _Row = {}
        for action in range(self.num_actions):
            if self.explicit:
                first, last = self._run(state, action)
                if last - first > _WIDE:
                    row[action] = _WideRun(self.arrays, first, last)
                    continue
            total = 0.0
            outcomes = []
            for probability, to, reward, terminated in self._outcomes(state, action):
                total += probability
                outcomes.append((total, to, reward, terminated, probability))
            if outcomes:
                row[action] = tuple(outcomes)
        if len(self) >= _KEPT_STATES:
            self.clear()
        self[state] = row
        return row

    def _run(self, state: int, action: int) -> tuple[int, int]:
        pair = state * self.num_actions + action
        return int(self.arrays.offsets[pair]), int(self.arrays.offsets[pair + 1])

    def _outcomes(self, state: int, action: int) -> list[Outcome]:
        arrays = self.arrays
        if self.explicit:
            run = slice(*self._run(state, action))
            columns = (arrays.probability, arrays.next_state, arrays.reward, arrays.terminated)
            return list(zip(*(column[run].tolist() for column in columns), strict=True))
        from rlgrid.kernels.model import count, outcome

        found = [outcome(arrays, state, action, k) for k in range(count(arrays, state, action))]
        return [(float(p), int(to), float(reward), bool(ends)) for p, to, reward, ends in found]


# One table for all environments of a model: a thousand of them would make it a thousand times.
_TABLES: WeakKeyDictionary[GridModel | MDP, _Outcomes] = WeakKeyDictionary()


def _outcomes_of(model: GridModel | MDP) -> _Outcomes:
    found = _TABLES.get(model)
    if found is None:
        found = _TABLES[model] = _Outcomes(model)
    return found


class Scene:
    """How the states of a world that is not a plain grid are shown; a value that can be copied and pickled.

    Attributes:
        actions: the names of the actions.
    """

    actions: tuple[str, ...]

    def picture(self, state: int | None) -> tuple[Any, int | None]:
        """(model that is drawn, its state in which the agent is drawn) for a state; None before the first reset."""
        raise NotImplementedError

    def text(self, state: int | None) -> str:
        """The state in words or as a map, lines that end in a newline."""
        raise NotImplementedError


class GridWorld(gym.Env[int, int]):
    """A gridworld, or any other finite model, as a Gymnasium environment.

    Args:
        map: the path of a map file, the name of a built-in map, or a GridSpec. "four_rooms" if neither it nor
            ``model`` is given.
        model: a GridModel or an MDP instead of a map.
        render_mode: None, "human" (a window), "rgb_array" (uint8 [H, W, 3]) or "ansi" (text).
        theme: "dark" or "light", of the pictures.
        cell_size: pixels of a cell in the pictures; chosen by the size of the world if None.
        observation_of: int [S], what is seen of each state, 0 to O - 1, of a world that is only partly observed. All
            of it if None.
        action_masks: bool or int8 [S, A], for people who want them in the info of `reset` and `step` as
            ``"action_mask"`` (int8 [A], 1 where the action changes something); advice that forbids nothing.
        scene: how states are shown where the model is not a grid.
        changes: what is to be different from the map: ``gamma``, ``slip`` (a probability of slipping to each side, a
            Slip, or a mapping of its fields), ``step_reward`` and the other arguments of GridModel.

    Attributes:
        model: the very model that is sampled.
        state: the present state, seen or not; it may be set. None before the first reset.
        observation_of, action_masks: int64 [S] and int8 [S, A], read-only, or None.

    `step` returns ``{"prob": p}``, the probability of what happened, as toy_text does.

    Raises:
        ValueError, TypeError: naming the argument that is wrong.
        FileNotFoundError: if the map file is not there.
    """

    metadata = {"render_modes": ["human", "rgb_array", "ansi"], "render_fps": 8}  # noqa: RUF012 - Gymnasium's form

    def __init__(
        self,
        map: str | os.PathLike[str] | GridSpec | None = None,
        model: GridModel | MDP | None = None,
        render_mode: str | None = None,
        *,
        theme: str = "dark",
        cell_size: int | None = None,
        observation_of: ArrayLike | None = None,
        action_masks: ArrayLike | None = None,
        scene: Scene | None = None,
        **changes: Any,
    ) -> None:
        if render_mode is not None and render_mode not in self.metadata["render_modes"]:
            modes = ", ".join(self.metadata["render_modes"])
            raise ValueError(f"render_mode must be None or one of {modes}, not {render_mode!r}")
        if map is not None and model is not None:
            raise TypeError("GridWorld takes a map or a model, not both")
        self.model = model_of(map, model, changes)
        self.render_mode = render_mode
        self.theme = theme
        self.cell_size = cell_size
        # A map with more than a plain grid gives a model that knows how its states are shown.
        self.scene: Any = self.model if scene is None and hasattr(self.model, "picture") else scene
        self.observation_of = checked_observations(self.model, observation_of)
        self.action_masks = checked_masks(self.model, action_masks)
        # Gymnasium's annotation says int, but a Discrete space is one of NumPy's integers.
        self.observation_space: Any = spaces.Discrete(num_observations(self.model, self.observation_of))
        self.action_space: Any = spaces.Discrete(self.model.num_actions)
        self._state: Any = None  # an int after the first reset
        self._last_action: int | None = None
        self._display: Display | None = None
        self._prepare()

    def _prepare(self) -> None:
        """What is made from the model, and made anew in a copy."""
        self._shows_all = self.observation_of is None and self.action_masks is None
        self._outcomes: _Outcomes | None = None
        total = 0.0
        starts = []
        for state, probability in zip(
            self.model.start_states.tolist(), self.model.start_probability.tolist(), strict=True
        ):
            total += probability
            starts.append((total, state))
        self._starts = starts

    # --- the simulator ----------------------------------------------------------------------------------------------

    @property
    def state(self) -> int:
        """The present state; None before the first reset."""
        state: int = self._state
        return state

    @state.setter
    def state(self, state: int) -> None:
        self._state = checked_state(self.model, state)
        self._last_action = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        """Begin an episode in a state drawn from the start distribution.

        Args:
            seed: of the generator, as in Gymnasium.
            options: ``{"state": s}`` begins in state s instead; a number is drawn all the same.

        Returns:
            The state (what is seen of it), and ``{"prob": 1.0}``.
        """
        super().reset(seed=seed)
        unknown = set(options or ()) - {"state"}
        if unknown:
            raise ValueError(f"reset knows the option 'state' alone, not {sorted(unknown)[0]!r}")
        u = self.np_random.random()
        state = self._starts[0][1]
        for total, start in self._starts:
            if total > u:
                state = start
                break
        self.state = options["state"] if options else state
        if self.render_mode == "human":
            self.render()
        # As a float: Gymnasium's vector environments take the type of the first copy's number for all.
        return self._seen(), self._info(1.0)

    def step(self, action: int) -> tuple[int, SupportsFloat, bool, bool, dict[str, Any]]:
        """Take an action: (what is seen of the state, reward, terminated, truncated, info); truncated is always False.

        Raises:
            ResetNeeded: before the first reset.
            ValueError: if the action is not one of the model's, or not available in the state.
        """
        try:
            outcomes = self._outcomes[self._state][action]  # type: ignore[index]
        except (KeyError, TypeError):
            outcomes = self._slowly(action)
        u = self._np_random.random()  # type: ignore[union-attr]
        for total, state, reward, terminated, probability in outcomes:  # noqa: B007 - used after the loop
            if total > u:
                break
        else:
            last = outcomes.drawn(u) if isinstance(outcomes, _WideRun) else outcomes[0]
            _, state, reward, terminated, probability = last
        self._state = state
        self._last_action = action
        if self.render_mode == "human":
            self.render()
        if self._shows_all:
            return state, reward, terminated, False, {"prob": probability}
        return self._seen(), reward, terminated, False, self._info(probability)

    def _seen(self) -> int:
        """The observation of the present state."""
        state: int = self._state
        return state if self.observation_of is None else int(self.observation_of[state])

    def _info(self, probability: float) -> dict[str, Any]:
        info: dict[str, Any] = {"prob": probability}
        if self.action_masks is not None:
            info["action_mask"] = self.action_masks[self._state].copy()
        return info

    def _slowly(self, action: Any) -> Any:
        """The outcomes of an action at a first step, for an unusual number, or the reason why there are none."""
        if self._outcomes is None:
            self._outcomes = _outcomes_of(self.model)
        row = self._outcomes[self._state]
        self.np_random  # noqa: B018 - a generator is there from now on, also where the state was set without a reset
        count = self.model.num_actions
        array = np.asarray(action)
        if array.size != 1 or array.dtype.kind not in "iu":
            raise ValueError(f"an action is a whole number from 0 to {count - 1}, not {action!r}")
        number = int(array.reshape(()))
        if not 0 <= number < count:
            raise ValueError(f"action {number} is not one of the actions 0 to {count - 1}")
        if number not in row:
            raise ValueError(
                f"action {number} is not available in state {self._state}; available are {', '.join(map(str, row))}"
            )
        return row[number]

    # --- tables -----------------------------------------------------------------------------------------------------

    @property
    def P(self) -> dict[int, dict[int, list[Outcome]]]:
        """toy_text's table: ``P[s][a]`` is a list of (probability, next state, reward, terminated)."""
        return self.model.P

    @property
    def initial_state_distrib(self) -> NDArray[np.float64]:
        """float64 [S], the start distribution, by toy_text's name."""
        return self.model.start

    def get_state(self) -> dict[str, Any]:
        """The state and the generator's state, from which `set_state` goes on exactly."""
        return {"state": self._state, "generator": self.np_random.bit_generator.state}

    def set_state(self, saved: Mapping[str, Any]) -> None:
        """Go back to what `get_state` gave."""
        self.np_random.bit_generator.state = saved["generator"]
        if saved["state"] is None:
            self._state, self._last_action = None, None
        else:
            self.state = saved["state"]

    # --- pictures ---------------------------------------------------------------------------------------------------

    def render(self) -> Any:
        """Text for "ansi", a frame uint8 [H, W, 3] for "rgb_array", nothing for "human", which shows the frame."""
        if self.render_mode is None:
            gym.logger.warn(
                'render() was called without a render mode: pass render_mode="rgb_array" (or "human", "ansi") to make()'
            )
            return None
        if self.render_mode == "ansi":
            return self._text()
        from rlgrid.picture import draw

        drawn, agent = (self.model, self._state) if self.scene is None else self.scene.picture(self._state)
        frame = draw(drawn, agent=agent, cell_size=self.cell_size, theme=self.theme)
        if self.render_mode == "rgb_array":
            return frame
        if self._display is None:
            from rlgrid.display import Display

            title = getattr(self.model, "name", "") or "rlgrid"
            self._display = Display(title, float(self.metadata["render_fps"]))
        self._display.show(frame)
        return None

    def _text(self) -> str:
        """The map with brackets around the agent's cell, below the last action."""
        named = self.model if self.scene is None else self.scene
        names = getattr(named, "actions", None) or [str(a) for a in range(self.model.num_actions)]
        last = "" if self._last_action is None else f"  ({names[int(self._last_action)]})"
        if self.scene is not None:
            text = self.scene.text(self._state)
            return f"{text}{last}\n" if last else text
        if not isinstance(self.model, GridModel):
            return f"state {self._state} of {self.model.num_states}{last}\n"
        characters = np.array([kind.character if kind.character.strip() else "." for kind in self.model.kinds])
        lines = [[" ", *" ".join(row), " "] for row in characters[self.model.tiles].tolist()]
        if self._state is None:
            return "".join("".join(line).rstrip() + "\n" for line in lines)
        row, column = self.model.cell_of(self._state)
        lines[row][2 * column], lines[row][2 * column + 2] = "[", "]"
        body = "".join("".join(line).rstrip() + "\n" for line in lines)
        return f"row {row}, column {column}{last}\n{body}"

    def close(self) -> None:
        """Close the window if there is one. Closing twice does nothing; `render` would open it again."""
        if self._display is not None:
            self._display.close()
            self._display = None

    # --- copies -----------------------------------------------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        # A window belongs to its process, and the tuples are quickly made again.
        return {**self.__dict__, "_display": None, "_outcomes": None}

    def __repr__(self) -> str:
        return f"GridWorld({self.model!r})"


# --- ways to a model ------------------------------------------------------------------------------------------------


def model_of(
    map: str | os.PathLike[str] | GridSpec | None, model: GridModel | MDP | None, changes: Mapping[str, Any]
) -> GridModel | MDP:
    """The model that the arguments of an environment mean; callers have refused both at once."""
    if model is None:
        return load_map("four_rooms" if map is None else map, changes)
    if not isinstance(model, GridModel | MDP):
        hint = "a map, by its name, its path or as a GridSpec, is given as map"
        if isinstance(model, gym.Env):
            hint = "MDP.from_gymnasium makes one of an environment that has a table P"
        raise TypeError(f"model must be a GridModel or an MDP, not {model!r}: {hint}")
    return change_model(model, changes) if changes else model


def checked_state(model: GridModel | MDP, state: Any) -> int:
    """A state of the model as a Python integer."""
    if type(state) is int and 0 <= state < model.num_states:
        return state
    array = np.asarray(state)
    number = array.item() if array.size == 1 and array.dtype.kind in "iuf" else -1
    if not 0 <= number < model.num_states or number != int(number):
        raise ValueError(f"state {state!r} is not one of the states 0 to {model.num_states - 1}")
    return int(number)


def checked_observations(model: GridModel | MDP, given: ArrayLike | None) -> NDArray[np.int64] | None:
    """What is seen of each state, int64 [S] and read-only, or None.

    Raises:
        ValueError, TypeError: for what is not one whole number of at least 0 for each state.
    """
    if given is None:
        return None
    array = np.asarray(given)
    if array.shape != (model.num_states,):
        raise ValueError(f"observation_of must have shape ({model.num_states},), one a state, not {array.shape}")
    if array.dtype.kind not in "iu":
        raise TypeError(f"observation_of must hold whole numbers, not {array.dtype}")
    if array.min() < 0:
        raise ValueError(f"observation_of[{array.argmin()}] is {array.min()}: observations count from 0")
    seen = array.astype(np.int64)
    seen.setflags(write=False)
    return seen


def num_observations(model: GridModel | MDP, observation_of: NDArray[np.int64] | None) -> int:
    """How many observations there are: one more than the greatest."""
    return int(model.num_states if observation_of is None else observation_of.max() + 1)


def checked_masks(model: GridModel | MDP, given: ArrayLike | None) -> NDArray[np.int8] | None:
    """Masks of actions, int8 [S, A] and read-only, or None.

    Raises:
        ValueError: for what is not 0 or 1 for each state and action.
    """
    if given is None:
        return None
    array = np.asarray(given)
    if array.shape != (model.num_states, model.num_actions) or not np.isin(array, (0, 1)).all():
        raise ValueError(f"action_masks must be 0 or 1 for each of [{model.num_states}, {model.num_actions}]")
    masks = array.astype(np.int8)
    masks.setflags(write=False)
    return masks


def load_map(map: str | os.PathLike[str] | GridSpec, changes: Mapping[str, Any] | None = None) -> GridModel | MDP:
    """The model of a map file, of a built-in map by its name, or of a GridSpec, with ``changes`` (`change_model`).

    Models do not change, so environments of equal maps with equal changes share one.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if there is no such built-in map, with the nearest name; or MapError, if the map is wrong.
        TypeError: if ``map`` is none of these, or a change is unknown.
    """
    spec = _load_spec(map)
    try:
        return _compiled(spec, tuple((changes or {}).items()))
    except TypeError:  # a change that has no hash, such as a list of winds (or one that is wrong, which says so again)
        model = spec.compile()
        return change_model(model, changes) if changes else model


@lru_cache(maxsize=16)
def _compiled(spec: GridSpec, changes: tuple[tuple[str, Any], ...]) -> GridModel | MDP:
    model = spec.compile()
    return change_model(model, dict(changes)) if changes else model


@lru_cache(maxsize=32)
def _builtin(name: str) -> GridSpec:
    from rlgrid.gridmap import GridSpec

    return GridSpec.builtin(name)


def _load_spec(map: str | os.PathLike[str] | GridSpec) -> GridSpec:
    from rlgrid.gridmap import GridSpec

    if isinstance(map, GridSpec):
        return map
    if not isinstance(map, str | os.PathLike):
        raise TypeError(f"map must be a path, the name of a built-in map or a GridSpec, not {map!r}")
    text = os.fspath(map)
    path = Path(text)
    if isinstance(map, os.PathLike) or path.suffix or len(path.parts) > 1:
        if path.is_file():
            return GridSpec.load(path)
        beside = [other.name for other in path.parent.glob("*.toml")] if path.parent.is_dir() else []
        near = [str(path.with_name(name)) for name in difflib.get_close_matches(path.name, beside, 1, 0.5)]
        near += [repr(name) for name in difflib.get_close_matches(path.stem, GridSpec.builtin_names(), 1, 0.6)]
        hint = f"; did you mean {' or the built-in map '.join(near)}?" if near else ""
        raise FileNotFoundError(f"there is no map file {text!r}{hint}")
    names = list(GridSpec.builtin_names())
    if text not in names:
        near = difflib.get_close_matches(text.lower().replace("-", "_").replace(" ", "_"), names, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(names)}"
        raise ValueError(f"there is no built-in map {text!r}: {hint} (a map file's path ends in .toml)")
    return _builtin(text)


# The arguments of GridModel that can be changed, and what else an environment takes.
_CHANGES = ("gamma", "slip", "actions", "column_wind", "row_wind", "gust", "step_reward", "bump_reward", "start")
_OTHERS = ("map", "model", "render_mode", "theme", "cell_size", "observation_of", "action_masks", "scene")


def change_model(model: GridModel | MDP, changes: Mapping[str, Any]) -> GridModel:
    """A copy of a grid with some of GridModel's arguments changed.

    ``slip`` may be a number, the same to each side, or a mapping of Slip's fields; forward is what they leave.

    Raises:
        TypeError: for an unknown argument, with the nearest known one, or if the model is not a grid.
        ValueError: naming the argument that is wrong.
    """
    for name in changes:
        if name not in _CHANGES:
            near = difflib.get_close_matches(name, (*_CHANGES, *_OTHERS), n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}? " if near else ""
            if name == "max_episode_steps":
                hint = "gymnasium.make takes it, or wrap the environment in gymnasium.wrappers.TimeLimit; "
            raise TypeError(f"GridWorld has no argument {name!r}: {hint}it has {', '.join((*_OTHERS, *_CHANGES))}")
    if not isinstance(model, GridModel):
        raise TypeError(f"{next(iter(changes))!r} cannot be changed: only a grid can, not {model!r}")
    rest = {name: _checked_change(name, value) for name, value in changes.items() if name != "slip"}
    slip = changes.get("slip")
    if isinstance(slip, bool) or not (slip is None or isinstance(slip, int | float | np.number | Slip | Mapping)):
        raise TypeError(f"slip must be a probability for each side, a Slip or a mapping of its fields, not {slip!r}")
    if isinstance(slip, int | float | np.number):
        if not 0.0 <= slip <= 0.5:
            raise ValueError(
                f"slip = {slip:g} is the probability of slipping to each of two sides: it must be from 0 to 0.5"
            )
        model = model.with_slip_each_side(float(slip))
    elif slip is not None:
        rest["slip"] = _slip_of(slip)
    return model.with_changes(**rest) if rest else model


def _slip_of(slip: Slip | Mapping[str, Any]) -> Slip:
    """As in a map file, where forward may be left out."""
    from rlgrid import mapvalues
    from rlgrid.maperrors import Wrong

    try:
        return mapvalues.slip(slip, ("slip",))
    except Wrong as wrong:
        raise ValueError(wrong.message) from None


def _checked_change(name: str, value: Any) -> Any:
    """The value, if it is of a kind that GridModel can check further."""
    if name in ("gamma", "step_reward") or (name == "bump_reward" and value is not None):
        if isinstance(value, bool) or not isinstance(value, int | float | np.number):
            raise TypeError(f"{name} must be a number, not {value!r}")
    elif name == "start":
        many = isinstance(value, Mapping) and value and all(_is_whole(s) and _is_real(p) for s, p in value.items())
        if not _is_whole(value) and not many:
            raise TypeError(f"start must be a state or {{state: probability}}, as {{14: 0.5, 15: 0.5}}, not {value!r}")
    elif name == "gust" and value is not None:
        pairs = value.items() if isinstance(value, Mapping) else [("", "")]
        if not all(_is_whole(offset) and _is_real(p) for offset, p in pairs):
            raise TypeError(f"gust must be {{offset: probability}}, as {{-1: 0.5, 1: 0.5}}, not {value!r}")
    return value


def _is_whole(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _is_real(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


def from_map(**arguments: Any) -> gym.Env[int, int]:
    """A `GridWorld` under the map's own step cap: what ``gymnasium.make("rlgrid/GridWorld-v0", map=...)`` calls.

    A cap that ``make`` was asked for, as an argument or by a spec that was saved, wins: then the map's is left out,
    since inside the other it could only lower it.
    """
    env = GridWorld(**arguments)
    limit = env.model.max_episode_steps
    return env if limit is None or _make_sets_the_cap() else TimeLimit(env, limit)


# So that Gymnasium knows which render modes it may add, as it does for a class.
from_map.metadata = GridWorld.metadata  # type: ignore[attr-defined]


def _make_sets_the_cap() -> bool:
    """True where ``gymnasium.make``, calling `from_map`, puts its own TimeLimit around it or was asked for none.

    The map is known when the environment is made and not when it is registered, and ``make`` keeps its argument
    ``max_episode_steps`` from entry points; so the argument is read where it stands, in the call of ``make``.
    """
    caller = sys._getframe(2)
    if caller.f_globals.get("__name__") != gym.make.__module__ or caller.f_code.co_name != "make":
        return False
    spec = caller.f_locals.get("env_spec")
    asked = caller.f_locals.get("max_episode_steps")
    return asked is not None or getattr(spec, "max_episode_steps", None) is not None
