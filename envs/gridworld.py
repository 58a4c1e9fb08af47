"""`GridWorld`: the Gymnasium environment of any model.

It draws from the very model that the solvers sweep over: one uniform number a step, even where the outcome is certain,
and the first outcome whose cumulative probability exceeds it, as Gymnasium's toy_text does. So the generator of an
environment with the same model as one of theirs stays in step with it, seed for seed.

Actions are 0 to A - 1. Observations are states 0 to S - 1, or what `rlgrid.envs.observations` makes of them. A world
that is only partly observed keeps its whole state in the model and shows ``observation_of[state]``. The step cap is a
`TimeLimit` around the environment: what ``gymnasium.make`` was asked for as ``max_episode_steps`` (-1: none), else what
is registered, else the map's.
"""

from __future__ import annotations

import os
import sys
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, SupportsFloat

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.wrappers import TimeLimit
from numpy.typing import ArrayLike, NDArray

from rlgrid.envs.changing import Schedule, beside_walls
from rlgrid.envs.generated import drawn_seed, maker_of
from rlgrid.envs.models import checked_masks, checked_observations, checked_state, refuse_unknown, schedule_of
from rlgrid.envs.observations import check_new_maps, observer, observers
from rlgrid.envs.outcomes import Outcomes, WideRun, table_of
from rlgrid.envs.scene import Scene, check_drawing, scene_of
from rlgrid.gridmodel import GridModel
from rlgrid.mdp import MDP, Outcome

if TYPE_CHECKING:
    from rlgrid.display import Display
    from rlgrid.gridmap import GridSpec

# The keys of moves, by the names of actions.
_KEYS = {
    "up": "w",
    "north": "w",
    "left": "a",
    "west": "a",
    "down": "s",
    "south": "s",
    "right": "d",
    "east": "d",
    "up-left": "q",
    "up-right": "e",
    "down-left": "z",
    "down-right": "c",
}


class GridWorld(gym.Env[Any, int]):
    """A gridworld, or any other finite model, as a Gymnasium environment.

    Args:
        map: the path of a map file, the name of a built-in map, or a GridSpec (or a mapping of its fields, as a saved
            spec has one). "four_rooms" if neither it nor ``model`` is given.
        model: a GridModel or an MDP instead of a map.
        render_mode: None, "human" (a window), "rgb_array" (uint8 [H, W, 3]) or "ansi" (text).
        theme: "dark" or "light", of the pictures.
        cell_size: pixels of a cell in the pictures; chosen by the size of the world if None.
        observation: what is seen of a state: its number ("index"), or another of the kinds of
            `rlgrid.envs.observations`.
        observation_of: int [S], what is seen of each state, 0 to O - 1, of a world that is only partly observed. All
            of it if None. Of a map that changes, or is made anew, it is the same in every one.
        view_size, see_through_walls: of the observation "view".
        action_mask_of: bool or int8 [S, A], for people who want them in the info of `reset` and `step` as
            ``"action_mask"`` (int8 [A], 1 where the action changes something); advice that forbids nothing. They are
            of the whole state, so they tell what is hidden where they differ between states that are seen alike.
        scene: how states are shown where the model is not a grid.
        generator, rows, columns: a generator of maps by its name (`rlgrid.generators.GENERATORS`) instead of a map,
            and the shape of its maps. Its options are arguments too: ``ends``, ``braid``, ``p`` and so on.
        map_seed: the seed of the generator's map; 0 if None.
        new_map_each_reset: whether each reset makes another map (`rlgrid.envs.generated` says how).
        changes: what is to be different from the map: ``gamma``, ``slip`` (a probability of slipping to each side, a
            Slip, or a mapping of its fields), ``step_reward`` and the other arguments of GridModel.

    A map that changes at certain steps has a clock; `rlgrid.envs.changing` says what a change does.

    Attributes:
        model: the very model that is sampled; where the map changes, the one from which the next step will be drawn.
        map_seed: the seed of the present map, where a generator made it.
        first_model: the model at the beginning. is_static: whether there is no other one, ever.
        clock: how many steps were made since ``reset(seed=...)``; None where no map changes by it.
        state: the present state, seen or not; it may be set. None before the first reset.
        observer: what is seen of the states of ``model`` (`rlgrid.envs.observations.Observer`).
        action_mask_of: int8 [S, A], read-only, or None.

    `step` returns ``{"prob": p}``, the probability of what happened, as toy_text does.

    Raises:
        ValueError, TypeError: naming the argument that is wrong.
        FileNotFoundError: if the map file is not there.
    """

    metadata = {"render_modes": ["human", "rgb_array", "ansi"], "render_fps": 8}  # noqa: RUF012 - Gymnasium's form

    def __init__(
        self,
        map: str | os.PathLike[str] | GridSpec | Mapping[str, Any] | None = None,
        model: GridModel | MDP | None = None,
        render_mode: str | None = None,
        *,
        theme: str = "dark",
        cell_size: int | None = None,
        observation: str = "index",
        observation_of: ArrayLike | None = None,
        view_size: int = 7,
        see_through_walls: bool = False,
        action_mask_of: ArrayLike | None = None,
        scene: Scene | None = None,
        generator: str | None = None,
        rows: int | None = None,
        columns: int | None = None,
        map_seed: int | None = None,
        new_map_each_reset: bool = False,
        **changes: Any,
    ) -> None:
        if render_mode is not None and render_mode not in self.metadata["render_modes"]:
            modes = ", ".join(self.metadata["render_modes"])
            raise ValueError(f"render_mode must be None or one of {modes}, not {render_mode!r}")
        given = [name for name, one in (("map", map), ("model", model), ("generator", generator)) if one is not None]
        if len(given) > 1:
            raise TypeError(f"GridWorld takes a map, a model or a generator, not both {given[0]} and {given[1]}")
        self._maker = maker_of(type(self), generator, rows, columns, map_seed, new_map_each_reset, changes)
        if self._maker is None:
            refuse_unknown(type(self), changes, has_model=model is not None)
            self._schedule = schedule_of(map, model, changes)
        else:
            self._schedule = Schedule((0,), (self._maker.shared_model(),))
        self._draws_maps = new_map_each_reset
        self.map_seed = None if self._maker is None else self._maker.seed
        self.first_model = self._schedule.models[0]
        self.is_static = self._schedule.is_static and not new_map_each_reset
        check_drawing(scene, theme, cell_size)
        self.render_mode = render_mode
        self.theme = theme
        self.cell_size = cell_size
        self._given_scene = scene
        self._seeing: dict[str, Any] = {
            "kind": observation,
            "observation_of": checked_observations(self.first_model, observation_of),
            "view_size": view_size,
            "see_through_walls": see_through_walls,
            "cell_size": cell_size,
            "theme": theme,
            "thin_walls": self._schedule.thin_walls,
        }
        self.action_mask_of = checked_masks(self._schedule, action_mask_of, new_map_each_reset)
        self._state: Any = None  # an int after the first reset
        self._last_action: int | None = None
        self._clock = 0
        self._display: Display | None = None
        if new_map_each_reset:
            check_new_maps(observation, observation_of)
        self._observers = dict(
            zip(self._schedule.models, observers(self._schedule.models, scene, self._seeing), strict=True)
        )
        self._use(self.first_model)
        self.observation_space = self.observer.space
        # Gymnasium's annotation says int, but a Discrete space is one of NumPy's integers.
        self.action_space: Any = spaces.Discrete(self.model.num_actions)
        shows_states = self.observer.kind == "index" and self.observation_of is None
        self._shows_all = shows_states and self.is_static and self.action_mask_of is None

    def _use(self, model: GridModel | MDP) -> None:
        """Sample from this model from now on."""
        seen = self._observers.get(model)
        self.observer = observer(model, scene=self._given_scene, **self._seeing) if seen is None else seen
        self.model = model
        self.scene = scene_of(model, self._given_scene)
        self._prepare()

    def _prepare(self) -> None:
        """What is made from the model."""
        self._outcomes: Outcomes | None = None
        self._set_starts(self.model.start_states, self.model.start_probability)

    def _set_starts(self, states: NDArray[np.int64], probability: NDArray[np.float64]) -> None:
        """The states of which a reset draws one: the first whose cumulative probability exceeds a uniform number."""
        self._starts, self._start_sums = states.tolist(), np.cumsum(probability).tolist()

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

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin an episode in a state drawn from the start distribution.

        Args:
            seed: of the generator, as in Gymnasium; with one the clock of a map that changes begins again.
            options: ``{"state": s}`` begins in state s instead; a number is drawn all the same.

        Returns:
            What is seen of the state, and ``{"prob": 1.0}``.
        """
        if options:
            if not isinstance(options, Mapping):
                raise TypeError(f"options of reset are a mapping, as {{'state': 7}}, not {options!r}")
            for name in options:
                if name != "state":
                    raise ValueError(f"reset knows the option 'state' alone, not {name!r}")
            asked = checked_state(self.model, options["state"])
        super().reset(seed=seed)
        if not self.is_static:
            self._begin_map(seed)
        place = bisect_right(self._start_sums, self.np_random.random())
        self._state = asked if options else self._starts[place if place < len(self._starts) else 0]
        self._last_action = None
        # As a float: Gymnasium's vector environments take the type of the first copy's number for all.
        if self._shows_all and self.render_mode != "human":
            return self._state, {"prob": 1.0}
        self._finish_start(bool(options))
        if self.render_mode == "human":
            self.render()
        return self._seen(), self._info(1.0)

    def _finish_start(self, is_given: bool) -> None:
        """What a start draws beside the state, in worlds that hide something; ``is_given`` where options say it all."""

    def step(self, action: int) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        """Take an action: (what is seen of the state, reward, terminated, truncated, info); truncated is always False.

        Raises:
            ResetNeeded: before the first reset.
            ValueError: if the action is not one of the model's, or not available in the state. As in Gymnasium, 2.0 is
                action 2, and so is an array of it.
        """
        try:
            outcomes = self._outcomes[self._state][action]  # type: ignore[index]
        except (KeyError, TypeError):
            action = self._checked_action(action)
            outcomes = self._outcomes[self._state][action]  # type: ignore[index]
        u = self._np_random.random()  # type: ignore[union-attr]
        for total, state, reward, terminated, probability in outcomes:  # noqa: B007 - used after the loop
            if total > u:
                break
        else:
            last = outcomes.drawn(u) if isinstance(outcomes, WideRun) else outcomes[0]
            _, state, reward, terminated, probability = last
        self._state = state
        self._last_action = action
        if self._shows_all and self.render_mode != "human":
            return state, reward, terminated, False, {"prob": probability}
        if not self.is_static:
            self._tick(terminated)
        if self.render_mode == "human":
            self.render()
        return self._seen(), reward, terminated, False, self._info(probability)

    @property
    def clock(self) -> int | None:
        """How many steps were made since ``reset(seed=...)``, over all episodes; None where no map changes by it."""
        return None if self._schedule.is_static else self._clock

    def _begin_map(self, seed: int | None) -> None:
        """The map of the episode that a reset begins, drawn if it is a new one each time."""
        if self._draws_maps:
            self._set_map(drawn_seed(self.np_random.random()))
        elif seed is not None:
            self._set_clock(0)

    def _set_map(self, seed: int) -> None:
        """The map of a seed."""
        if seed != self.map_seed:
            assert self._maker is not None
            self._use(self._maker.model(seed))
            self.map_seed = seed

    def _set_clock(self, clock: int) -> None:
        self._clock = clock
        model = self._schedule.at(clock)
        if model is not self.model:
            self._use(model)

    def _tick(self, terminated: bool) -> None:
        """A step of the clock, and the new map if one begins there (`rlgrid.envs.changing` says how)."""
        self._clock += 1
        phase = self._schedule.phases.get(self._clock)
        if phase is not None:
            model: Any = self._schedule.models[phase]
            self._use(model)
            if not terminated:
                self._state = beside_walls(model, self._state)

    def _seen(self) -> Any:
        """The observation of the present state."""
        return self.observer.one_of(self._state)

    def _info(self, probability: float) -> dict[str, Any]:
        info: dict[str, Any] = {"prob": probability}
        if self.action_mask_of is not None:
            info["action_mask"] = self.action_mask_of[self._state].copy()
        return info

    def _checked_action(self, action: Any) -> int:
        """The number of an action at a first step, of an unusual form, or the reason why there is none."""
        if self._outcomes is None:
            self._outcomes = table_of(self.model, self._draws_maps)
        row = self._outcomes[self._state]
        self.np_random  # noqa: B018 - a generator is there from now on, also where the state was set without a reset
        count = self.model.num_actions
        array = np.asarray(action)
        number = array.item() if array.size == 1 and array.dtype.kind in "iufb" else None
        if number is None or number % 1 != 0:
            raise ValueError(f"an action is a whole number from 0 to {count - 1}, not {action!r}")
        number = int(number)
        if not 0 <= number < count:
            raise ValueError(f"action {number} is not one of the actions 0 to {count - 1}")
        if number not in row:
            raise ValueError(
                f"action {number} is not available in state {self._state}; available are {', '.join(map(str, row))}"
            )
        return number

    def action_masks(self) -> NDArray[np.bool_]:
        """Which actions make sense in the present state, by the name that sb3-contrib's MaskablePPO asks for.

        Returns:
            bool [A], the caller's own: True where `action_mask_of` has a 1 and the model has the action; all True for
            a world that has neither masks nor actions that are missing somewhere.

        Raises:
            ResetNeeded: before the first reset.
        """
        if self._state is None:
            raise gym.error.ResetNeeded("there is no state yet: call reset() before action_masks()")
        available = self.model.available
        masks: NDArray[np.bool_] = np.ones(self.model.num_actions, np.bool_)
        if available is not None:
            masks &= available[self._state]
        if self.action_mask_of is not None:
            masks &= self.action_mask_of[self._state].astype(np.bool_)
        return masks

    def get_keys_to_action(self) -> dict[tuple[int, ...], int]:
        """The keys of `gymnasium.utils.play`: w, a, s, d, q, e, z, c for moves, and the digit of an action's number."""
        keys: dict[tuple[int, ...], int] = {(ord(str(a)),): a for a in range(min(10, self.model.num_actions))}
        return keys | {(ord(_KEYS[name]),): a for a, name in enumerate(self._action_names()) if name in _KEYS}

    # --- tables -----------------------------------------------------------------------------------------------------

    @property
    def observation_of(self) -> NDArray[np.int64] | None:
        """int64 [S], read-only: the number of what is seen of each state; None where no two states look the same."""
        return self.observer.observation_of

    @property
    def P(self) -> dict[int, dict[int, list[Outcome]]]:
        """toy_text's table: ``P[s][a]`` is a list of (probability, next state, reward, terminated)."""
        return self.model.P

    @property
    def initial_state_distrib(self) -> NDArray[np.float64]:
        """float64 [S], the start distribution, by toy_text's name."""
        return self.model.start

    def get_state(self) -> dict[str, Any]:
        """Everything from which `set_state` goes on exactly, as plain data that JSON can keep.

        Returns:
            ``"state"`` and ``"last_action"``, int or None; ``"generator"``, the state of the generator as NumPy gives
            it; ``"clock"`` where the map changes by it, and ``"map_seed"`` where each reset makes a new one.
        """
        last = None if self._last_action is None else int(self._last_action)
        saved = {"state": self._state, "last_action": last, "generator": self.np_random.bit_generator.state}
        if self.clock is not None:
            saved["clock"] = self._clock
        if self._draws_maps:
            saved["map_seed"] = self.map_seed
        return saved

    def set_state(self, saved: Mapping[str, Any]) -> None:
        """Go back to what `get_state` gave, of this environment or of another one of the same world.

        Nothing is changed if anything is wrong with it.

        Raises:
            ValueError, TypeError: naming what is wrong.
        """
        expected = set(self.get_state())
        if not isinstance(saved, Mapping):
            raise TypeError(f"a saved state is a mapping with {', '.join(sorted(expected))}, not {saved!r}")
        for name in sorted(expected - set(saved)):
            raise ValueError(f"the saved state has no {name!r}: it is another world's, or not what get_state gave")
        for name in sorted(set(saved) - expected, key=str):
            raise ValueError(f"the saved state has {name!r}, which is nothing of this world's: it is another one's")
        state = None if saved["state"] is None else checked_state(self.model, saved["state"])
        last = (
            None if saved["last_action"] is None else _checked_whole(saved, "last_action", self.model.num_actions - 1)
        )
        clock = _checked_whole(saved, "clock", sys.maxsize) if "clock" in saved else 0
        map_seed = _checked_whole(saved, "map_seed", sys.maxsize) if "map_seed" in saved else 0
        self.np_random.bit_generator.state = _checked_generator(self.np_random, saved["generator"])
        self._np_random_seed = -1  # Gymnasium's sign for a generator that no seed of its own has made
        if self.clock is not None:
            self._set_clock(clock)
        if self._draws_maps:
            self._set_map(map_seed)
        self._state, self._last_action = state, last

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

    def _action_names(self) -> Sequence[str]:
        named = self.model if self.scene is None else self.scene
        return getattr(named, "actions", None) or [str(a) for a in range(self.model.num_actions)]

    def _text(self) -> str:
        """The map with brackets around the agent's cell, below the last action."""
        last = "" if self._last_action is None else f"  ({self._action_names()[int(self._last_action)]})"
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


def _checked_whole(saved: Mapping[str, Any], name: str, most: int) -> int:
    value = saved[name]
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not 0 <= value <= most:
        raise ValueError(f"the saved {name} must be a whole number from 0 to {most}, not {value!r}")
    return int(value)


def _checked_generator(generator: np.random.Generator, saved: Any) -> Any:
    """The state of a bit generator, if it is one of a generator of this kind."""
    kind: Any = type(generator.bit_generator)
    trial = kind()
    try:
        trial.state = saved
    except (TypeError, ValueError, KeyError, OverflowError) as error:
        raise ValueError(f"the saved generator is no state of a {kind.__name__}, NumPy says: {error!r}") from None
    return trial.state


def from_map(**arguments: Any) -> gym.Env[Any, int]:
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
