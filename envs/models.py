"""Ways to a model: by a map's name or path, by a `GridSpec`, with changes; and checks of what goes with a model."""

from __future__ import annotations

import difflib
import inspect
import os
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np
from numpy.typing import ArrayLike, NDArray

from rlgrid.envs.changing import Schedule
from rlgrid.gridmodel import GridModel, Slip
from rlgrid.mdp import MDP

if TYPE_CHECKING:
    from rlgrid.gridmap import GridSpec


_MOST_OBSERVATIONS = 2**31 - 1


def schedule_of(
    map: str | os.PathLike[str] | GridSpec | Mapping[str, Any] | None,
    model: GridModel | MDP | None,
    changes: Mapping[str, Any],
) -> Schedule:
    """The models that the arguments of an environment mean; callers have refused a map and a model at once."""
    if model is None:
        return load_schedule("four_rooms" if map is None else map, changes)
    checked_model(model)
    return Schedule((0,), (change_model(model, changes) if changes else model,))


def checked_model(model: Any) -> GridModel | MDP:
    """The model, if it is one.

    Raises:
        TypeError: saying where a map, or an environment, goes instead.
    """
    if not isinstance(model, GridModel | MDP):
        hint = "a map, by its name, its path or as a GridSpec, is given as map"
        if isinstance(model, gym.Env):
            hint = "MDP.from_gymnasium makes one of an environment that has a table P"
        raise TypeError(f"model must be a GridModel or an MDP, not {model!r}: {hint}")
    return model


def checked_state(model: Any, state: Any) -> int:
    """A state of the model, or of whatever else has ``num_states``, as a Python integer."""
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
    try:
        array = np.asarray(given)
    except ValueError:  # rows of different lengths
        raise ValueError(f"observation_of must have shape ({model.num_states},), one number a state") from None
    if array.shape != (model.num_states,):
        raise ValueError(f"observation_of must have shape ({model.num_states},), one a state, not {array.shape}")
    if array.dtype.kind not in "iu":
        raise TypeError(f"observation_of must hold whole numbers, not {array.dtype}")
    if array.min() < 0:
        raise ValueError(f"observation_of[{array.argmin()}] is {array.min()}: observations count from 0")
    if array.max() > _MOST_OBSERVATIONS:
        raise ValueError(f"observation_of[{array.argmax()}] is {array.max()}: {_MOST_OBSERVATIONS} is the most")
    seen = array.astype(np.int64)
    seen.setflags(write=False)
    return seen


def num_observations(model: GridModel | MDP, observation_of: NDArray[np.int64] | None) -> int:
    """How many observations there are: one more than the greatest."""
    return int(model.num_states if observation_of is None else observation_of.max() + 1)


def checked_masks(schedule: Schedule, given: ArrayLike | None, new_maps: bool = False) -> NDArray[np.int8] | None:
    """Masks of actions, int8 [S, A] and read-only, or None; ``new_maps`` where each reset makes another map.

    Raises:
        ValueError: for what is not 0 or 1 for each state and action, and where they leave none to take.
    """
    if given is None:
        return None
    model = schedule.models[0]
    array = np.asarray(given)
    if array.shape != (model.num_states, model.num_actions) or not np.isin(array, (0, 1)).all():
        raise ValueError(f"action_mask_of must be 0 or 1 for each of [{model.num_states}, {model.num_actions}]")
    masks = array.astype(np.int8)
    for one in schedule.models:
        left = masks if one.available is None else masks * one.available
        stuck = ~left.any(axis=1)
        if not new_maps:
            stuck &= ~one.absorbing
        if stuck.any():
            raise ValueError(f"action_mask_of leaves no action in state {stuck.argmax()}: at least one must be 1")
    masks.setflags(write=False)
    return masks


def load_map(map: str | os.PathLike[str] | GridSpec, changes: Mapping[str, Any] | None = None) -> GridModel | MDP:
    """The first model of `load_schedule`."""
    return load_schedule(map, changes).models[0]


def load_schedule(
    map: str | os.PathLike[str] | GridSpec | Mapping[str, Any], changes: Mapping[str, Any] | None = None
) -> Schedule:
    """The models of a map file, of a built-in map by its name, or of a GridSpec, with ``changes`` (`change_model`).

    Models do not change, so environments of equal maps with equal changes share them.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if there is no such built-in map, with the nearest name; or MapError, if the map is wrong.
        TypeError: if ``map`` is none of these, or a change is unknown.
    """
    spec = _load_spec(map)
    given = tuple((changes or {}).items())
    try:
        return _shared(spec, given)
    except TypeError:  # a change that has no hash, such as a list of winds (or one that is wrong, which says so again)
        return _compiled(spec, given)


def _compiled(spec: GridSpec, changes: tuple[tuple[str, Any], ...]) -> Schedule:
    begins = (0, *(change.at for change in spec.changes))
    models = []
    for step in begins:
        model = spec.compile(at=step)
        try:
            models.append(_changed(spec, model, step, dict(changes)) if changes else model)
        except ValueError as error:
            raise (ValueError(f"from step {step} on: {error}") if step else error) from None
    return Schedule(begins, tuple(models))


def _changed(spec: GridSpec, model: GridModel | MDP, step: int, changes: dict[str, Any]) -> GridModel | MDP:
    """`change_model` of a map's model in a step; a map that is more than a plain grid is compiled anew."""
    return change_model(model, changes) if isinstance(model, GridModel) else change_spec(spec, changes).compile(at=step)


_shared = lru_cache(maxsize=16)(_compiled)


@lru_cache(maxsize=32)
def _builtin(name: str) -> GridSpec:
    from rlgrid.gridmap import GridSpec

    return GridSpec.builtin(name)


def _load_spec(map: str | os.PathLike[str] | GridSpec | Mapping[str, Any]) -> GridSpec:
    from rlgrid.gridmap import GridSpec

    if isinstance(map, GridSpec):
        return map
    if isinstance(map, Mapping) and "rows" in map:
        return _spec_of(map)
    if not isinstance(map, str | os.PathLike):
        raise TypeError(f"map must be a path, the name of a built-in map or a GridSpec (or its fields), not {map!r}")
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


def _spec_of(fields: Mapping[str, Any]) -> GridSpec:
    """The GridSpec of its fields, which is what an environment's spec that was saved as JSON has of one."""
    from rlgrid.gridmap import GridSpec

    given = {name: value for name, value in fields.items() if value is not None and not name.startswith("_")}
    if "legend" in given:
        given["legend"] = {
            character: {name: value for name, value in tile.items() if value is not None}
            for character, tile in given["legend"].items()
        }
    if "gust" in given:
        given["gust"] = _with_whole_keys(given["gust"])
    if "changes" in given:
        given["changes"] = [
            {{"rows": "map"}.get(name, name): value for name, value in change.items() if value is not None}
            for change in given["changes"]
        ]
    return GridSpec(**given)


# The arguments of GridModel that can be changed, and those that say which model it is.
_CHANGES = ("gamma", "slip", "actions", "column_wind", "row_wind", "gust", "step_reward", "bump_reward", "start")
_SOURCES = ("map", "model", "generator", "rows", "columns", "map_seed", "new_map_each_reset", "draws")


def refuse_unknown(
    world: type, changes: Mapping[str, Any], *, has_model: bool = False, options: tuple[str, ...] = ()
) -> None:
    """Refuse what is no argument of a class of environments.

    Args:
        world: the class.
        changes: what was given beside the arguments that its constructors name.
        has_model: whether the model is there, so that nothing else says which it is.
        options: of the generator of maps.

    Raises:
        TypeError: naming the argument, with the nearest known one.
    """
    for name in changes:
        if name not in _CHANGES and name not in options:
            known = [*(n for n in _named_by(world) if not (has_model and n in _SOURCES)), *_CHANGES, *options]
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}? " if near else ""
            if name == "max_episode_steps":
                hint = "gymnasium.make takes it, or wrap the environment in gymnasium.wrappers.TimeLimit; "
            raise TypeError(f"{world.__name__} has no argument {name!r}: {hint}it has {', '.join(known)}")


def _named_by(world: type) -> list[str]:
    """The arguments that the constructors of a class and of those that it is made of name, its own ones first."""
    names: dict[str, None] = {}
    for one in world.__mro__:
        if "__init__" in vars(one) and one is not object:
            found = list(inspect.signature(one.__init__).parameters.values())[1:]  # type: ignore[misc]
            names |= dict.fromkeys(p.name for p in found if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD))
    return list(names)


def change_model(model: GridModel | MDP, changes: Mapping[str, Any]) -> GridModel:
    """A copy of a grid with some of GridModel's arguments changed.

    ``slip`` may be a number, the same to each side, or a mapping of Slip's fields; forward is what they leave.

    Raises:
        TypeError: for an unknown argument, or if the model is not a grid.
        ValueError: naming the argument that is wrong.
    """
    if not isinstance(model, GridModel):
        raise TypeError(f"{next(iter(changes))!r} cannot be changed: only a grid can, not {model!r}")
    rest = {name: _checked_change(name, value) for name, value in changes.items() if name != "slip"}
    slip = _checked_slip(changes.get("slip"))
    if isinstance(slip, float):
        model = model.with_slip_each_side(slip)
    elif slip is not None:
        rest["slip"] = slip
    return model.with_changes(**rest) if rest else model


def change_spec(spec: GridSpec, changes: Mapping[str, Any]) -> GridSpec:
    """`change_model` for a map with keys, doors, switches or walls between cells, whose states are found from it.

    Raises:
        TypeError: as `change_model`, and for ``start``, which is a matter of such a map.
        ValueError: naming the argument that is wrong.
    """
    if "start" in changes:
        raise TypeError("'start' cannot be changed in a world of items or of walls between cells: its map tells it")
    rest: dict[str, Any] = {}
    for name, value in changes.items():
        if name != "slip":
            rest["moves" if name == "actions" else name] = _checked_change(name, value)
    slip = _checked_slip(changes.get("slip"))
    if isinstance(slip, float):
        rest["slip"] = Slip.sideways(left=slip, right=slip)
        rest["legend"] = {character: replace(tile, slip=None) for character, tile in spec.legend.items()}
    elif slip is not None:
        rest["slip"] = slip
    return spec.with_changes(**rest)


def _checked_slip(slip: Any) -> float | Slip | None:
    """A probability for each side, as a float, or a Slip."""
    if isinstance(slip, bool) or not (slip is None or isinstance(slip, int | float | np.number | Slip | Mapping)):
        raise TypeError(f"slip must be a probability for each side, a Slip or a mapping of its fields, not {slip!r}")
    if isinstance(slip, int | float | np.number):
        if not 0.0 <= slip <= 0.5:
            raise ValueError(
                f"slip = {slip:g} is the probability of slipping to each of two sides: it must be from 0 to 0.5"
            )
        return float(slip)
    return None if slip is None else _slip_of(slip)


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
        value = _with_whole_keys(value)
        many = isinstance(value, Mapping) and value and all(_is_whole(s) and _is_real(p) for s, p in value.items())
        if not _is_whole(value) and not many:
            raise TypeError(f"start must be a state or {{state: probability}}, as {{14: 0.5, 15: 0.5}}, not {value!r}")
    elif name == "gust" and value is not None:
        value = _with_whole_keys(value)
        pairs = value.items() if isinstance(value, Mapping) else [("", "")]
        if not all(_is_whole(offset) and _is_real(p) for offset, p in pairs):
            raise TypeError(f"gust must be {{offset: probability}}, as {{-1: 0.5, 1: 0.5}}, not {value!r}")
    return value


def _with_whole_keys(value: Any) -> Any:
    """A mapping with its keys "-1" and "14", which is what JSON makes of numbers, as numbers again."""
    if not isinstance(value, Mapping):
        return value
    return {int(k) if isinstance(k, str) and k.removeprefix("-").isdecimal() else k: v for k, v in value.items()}


def _is_whole(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _is_real(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)
