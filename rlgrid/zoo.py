"""Hyperparameters from a YAML file in the form of rl-zoo3: one block of settings for each environment.

    default:
      n_timesteps: !!float 1e5
    rlgrid/FrozenLake-v1:
      n_timesteps: !!float 2e5
      learning_rate: lin_0.5
      exploration_fraction: 0.3

The block of an environment is the one under its id, or else the one under ``default``. A safe subset is read, and
nothing is evaluated: numbers, text, booleans, lists and mappings, YAML's own tags, anchors and merges; of Python, which
rl-zoo3 evaluates, only ``"dict(net_arch=[64, 64], activation_fn=nn.Tanh)"``, names and literals, taken apart by
its syntax; ``nn.Tanh`` and ``th.optim.RMSprop`` are the names "tanh" and "rmsprop". Numbers that YAML 1.1 takes for
text (``1e-4``) are numbers. "lin_0.5" is left to the agent, which knows it.

Keys that name code (``env_wrapper``, ``callback``) or what there is none of here (``normalize``, ``frame_stack``) are
refused, unless their value asks for nothing. ``n_envs`` is an argument of the DQN; to agents that learn in one
environment alone 1 asks for nothing.
"""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rlgrid.training import RunError, nearest

MOST_BYTES = 1 << 20
MOST_NODES = 100_000  # of a file once its anchors are followed

_PLAIN = re.compile(r"[A-Za-z][\w./-]*", re.ASCII)  # text that YAML needs no quotes for, but for these words
_YAML_WORDS = {"true", "false", "yes", "no", "on", "off", "null", "y", "n"}

_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?", re.I)

_MODULES = {f"{torch}{part}" for torch in ("", "th.", "torch.") for part in ("nn", "optim")}  # as rl-zoo3 imports them

# Keys of rl-zoo3 that have no counterpart, with the values that ask for nothing and the reason against others.
WITHOUT: dict[str, tuple[tuple[Any, ...], str]] = {
    "normalize": ((False, None), "observations and rewards are taken as they are"),
    "frame_stack": ((1, None), "observations are not stacked"),
    "env_wrapper": ((None, []), "it names code, and none is run from a file"),
    "vec_env_wrapper": ((None, []), "it names code, and none is run from a file"),
    "callback": ((None, []), "it names code, and none is run from a file"),
    "monitor_kwargs": ((None, {}), "there are no arguments of the monitor"),
    "optimize_memory_usage": ((False, True, None), "the replay memory has one form"),
}


class ConfError(RunError):
    """A file of hyperparameters that cannot be read, or asks for what there is not."""


@dataclass(frozen=True)
class Conf:
    """The block of one environment.

    Attributes:
        block: the key under which it stands.
        n_timesteps: None where the block has none.
        env_kwargs: arguments of the environment. hyperparameters: of the agent, as they are written.
    """

    block: str
    n_timesteps: int | None = None
    env_kwargs: dict[str, Any] = field(default_factory=dict)
    hyperparameters: dict[str, Any] = field(default_factory=dict)


def read_conf(path: str | Path, env: str) -> Conf:
    """The hyperparameters that a file has for an environment.

    Raises:
        FileNotFoundError: if there is no such file.
        ImportError: if PyYAML is not installed, saying how it is.
        ConfError: naming the file and what is wrong with it.
    """
    source = Path(path)
    if source.exists() and not source.is_file():
        raise ConfError(f"{source} is no plain file")
    if source.stat().st_size > MOST_BYTES:
        raise ConfError(f"{source} is larger than {MOST_BYTES:,} bytes: it is no file of hyperparameters")
    blocks = load_mapping(source)
    name = next((key for key in (env, _stem(env), "default") if key in blocks), None)
    if name is None:
        raise ConfError(f"{source} has nothing for {env}{nearest(env, map(str, blocks))}, and no block default")
    block = blocks[name]
    where = f"{name} in {source}"
    if not isinstance(block, dict) or not all(isinstance(key, str) for key in block):
        raise ConfError(f"{where} must hold settings, one a line, as in `learning_rate: 0.1`")
    return _conf(str(name), where, {key: _value(value, f"{key} of {where}") for key, value in block.items()})


def conf_text(conf: Conf) -> str:
    """A block as YAML that `read_conf` and rl-zoo3 read back, one line for each setting; it needs no PyYAML."""
    settings = {"n_timesteps": conf.n_timesteps, "env_kwargs": conf.env_kwargs or None}
    lines = {name: value for name, value in settings.items() if value is not None} | conf.hyperparameters
    body = [f"  {name}: {_yaml(value)}" for name, value in lines.items()]
    return "\n".join([f"{_yaml(conf.block)}:", *(body or ["  {}"]), ""])


def _yaml(value: Any) -> str:
    """A value in YAML's flow style. YAML 1.1 takes a number for text that has an exponent and no point."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_yaml(key)}: {_yaml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_yaml, value)) + "]"
    if isinstance(value, float):
        if not math.isfinite(value):
            return {math.inf: ".inf", -math.inf: "-.inf"}.get(value, ".nan")
        mantissa, e, exponent = repr(value).partition("e")
        return mantissa if not e else f"{mantissa}{'' if '.' in mantissa else '.0'}e{exponent}"
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _YAML_WORDS:
        return value
    return json.dumps(value)


def _stem(env: str) -> str:
    """What a block for a map file may be called."""
    return Path(env).stem if env.endswith(".toml") else env


def _conf(name: str, where: str, settings: dict[str, Any]) -> Conf:
    for key, (harmless, reason) in WITHOUT.items():
        if key in settings and settings.pop(key) not in harmless:
            raise ConfError(f"{key} of {where} cannot be followed: {reason}. Take it out")
    if settings.get("n_envs") == 1:
        settings.pop("n_envs")
    if settings.get("policy") in ("MlpPolicy", None):  # what an agent with a network takes by itself
        settings.pop("policy", None)
    total = settings.pop("n_timesteps", None)
    if total is not None:
        whole = isinstance(total, int | float) and not isinstance(total, bool) and math.isfinite(total)
        if not whole or total != int(total) or total < 1:
            raise ConfError(f"n_timesteps of {where} must be a whole number of at least 1, not {total!r}")
        total = int(total)
    env_kwargs = settings.pop("env_kwargs", None) or {}
    if not isinstance(env_kwargs, dict):
        raise ConfError(f"env_kwargs of {where} must be a mapping, not {env_kwargs!r}")
    return Conf(name, total, env_kwargs, settings)


def load_mapping(source: Path) -> dict[Any, Any]:
    """What a YAML file of plain values holds, anchors followed; it must be a mapping.

    Raises:
        ImportError: if PyYAML is not installed, saying how it is.
        ConfError: naming the file and what is wrong with it.
    """
    try:
        import yaml
    except ImportError as error:
        raise ImportError('YAML files are read by PyYAML: python -m pip install "rlgrid[zoo]"') from error
    try:
        text = source.read_text(encoding="utf-8")
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        if node is None or _size(node, {}) > MOST_NODES:
            raise ConfError(f"{source} is empty, or its anchors hide more than {MOST_NODES:,} values")
        found = yaml.safe_load(text)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError, TypeError, OverflowError) as error:
        if isinstance(error, ConfError):
            raise
        said = " ".join(str(error).split())
        raise ConfError(f"{source} is not a YAML file of plain values: {said}") from error
    if not isinstance(found, dict):
        raise ConfError(f"{source} must be a mapping, as one block of settings for each environment")
    return found


def _size(node: Any, known: dict[int, float]) -> float:
    """How many values a node stands for once its anchors are followed; infinite where one holds itself."""
    if id(node) in known:
        return known[id(node)]
    known[id(node)] = math.inf  # until it is known
    size = 1.0
    if isinstance(node.value, list):
        for part in node.value:
            size += sum(_size(one, known) for one in part) if isinstance(part, tuple) else _size(part, known)
    known[id(node)] = size
    return size


def _value(value: Any, what: str) -> Any:
    """A value of the file as an argument; text that is a number, or a dict of rl-zoo3's, is what it says."""
    if isinstance(value, dict):
        return {key: _value(part, what) for key, part in value.items()}
    if isinstance(value, list):
        return [_value(part, what) for part in value]
    if isinstance(value, str):
        if _NUMBER.fullmatch(value.strip()):
            return float(value)
        if value.strip().startswith("dict("):
            return _dict(value, what)
        return value
    if value is None or isinstance(value, bool | int | float):
        return value
    raise ConfError(f"{what} is {type(value).__name__} {value!r}: only numbers, text, lists and mappings are read")


def _dict(text: str, what: str) -> Mapping[str, Any]:
    """``dict(name=literal, ...)`` as a dict, by its syntax; an ``nn.Tanh`` is the name "tanh"."""
    try:
        return _mapping(ast.parse(text.strip(), mode="eval").body)
    except (ValueError, SyntaxError, RecursionError, MemoryError) as error:
        raise ConfError(f"{what} is {text!r}, of which only dict(name=value, ...) with literals is read") from error


def _mapping(node: ast.expr) -> dict[str, Any]:
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.func.id != "dict" or node.args:
        raise ValueError("it is no dict(name=value, ...)")
    found: dict[str, Any] = {}
    for keyword in node.keywords:
        if keyword.arg is None:
            raise ValueError("it has a **")
        found[keyword.arg] = _argument(keyword.value)
    return found


def _argument(node: ast.expr) -> Any:
    if isinstance(node, ast.Call):
        return _mapping(node)
    if isinstance(node, ast.Attribute) and ast.unparse(node.value) in _MODULES:
        return {"LeakyReLU": "leaky_relu", "SiLU": "swish"}.get(node.attr, node.attr.lower())
    return ast.literal_eval(node)
