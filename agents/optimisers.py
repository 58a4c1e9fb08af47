"""The optimiser of a network as ``policy_kwargs`` names it, checked; names and defaults are PyTorch's.

    policy_kwargs={"optimizer_class": "rmsprop", "optimizer_kwargs": {"alpha": 0.95, "weight_decay": 1e-4}}

adam        betas (0.9, 0.999), eps 1e-8
sgd         momentum 0, nesterov False
rmsprop     alpha 0.99, eps 1e-8, momentum 0
adagrad     eps 1e-10
adadelta    rho 0.9, eps 1e-6

Each of them takes ``weight_decay`` (L2: that times each weight is added to its gradient), ``l1`` (that times its sign)
and ``max_grad_value`` (each number of the gradient is cut off there, after the global norm).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from rlgrid.agents.base import check_name, check_number

OPTIMIZERS: dict[str, dict[str, Any]] = {  # as numbered by rlgrid.kernels.optimisers
    "adam": {"betas": (0.9, 0.999), "eps": 1e-8},
    "sgd": {"momentum": 0.0, "nesterov": False},
    "adagrad": {"eps": 1e-10},
    "adadelta": {"rho": 0.9, "eps": 1e-6},
    "rmsprop": {"alpha": 0.99, "eps": 1e-8, "momentum": 0.0},
}
_ALL = {"weight_decay": 0.0, "l1": 0.0, "max_grad_value": math.inf}


def check_optimizer(given: Any, kwargs: Any) -> tuple[str, dict[str, Any]]:
    """(its name, its settings without those of no effect), from a name or a class of PyTorch's.

    Raises:
        TypeError, ValueError: naming the setting, and what it may be.
    """
    name = given.__name__ if isinstance(given, type) else given
    name = check_name("optimizer_class", name.lower() if isinstance(name, str) else name, OPTIMIZERS)
    defaults = OPTIMIZERS[name] | _ALL
    if not isinstance(kwargs, Mapping):
        raise TypeError(f"optimizer_kwargs must be a dict, not {kwargs!r}")
    checked: dict[str, Any] = {}
    for key, value in kwargs.items():
        check_name(f"a key of optimizer_kwargs of {name}", key, defaults)
        checked[key] = _check(f"{key} of optimizer_kwargs", key, value)
    return name, checked


def _check(label: str, key: str, value: Any) -> Any:
    if key == "nesterov":
        if not isinstance(value, bool):
            raise TypeError(f"{label} must be True or False, not {value!r}")
        return value
    if key == "betas":
        if not isinstance(value, list | tuple) or len(value) != 2:
            raise TypeError(f"{label} must be two numbers, not {value!r}")
        return [_check(label, "beta", one) for one in value]
    if key in ("eps", "max_grad_value"):
        return check_number(label, value, 0.0, math.inf if key == "max_grad_value" else 1.0, open_low=True)
    number = check_number(label, value, 0.0, 1.0)
    if key in ("beta", "momentum", "rho", "alpha") and number == 1.0:
        raise ValueError(f"{label} must be below 1, or nothing is ever forgotten")
    return number


def optimiser_of(name: str, kwargs: Mapping[str, Any], max_norm: float) -> Any:
    """An optimiser of `rlgrid.kernels.optimisers`, from checked settings; it scales gradients down to ``max_norm``."""
    from rlgrid.kernels.optimisers import Adam, Optimiser

    settings = OPTIMIZERS[name] | _ALL | dict(kwargs)
    beta1, beta2 = settings.get("betas", (0.0, 0.0))
    if name == "adam" and all(settings[key] == value for key, value in _ALL.items()):
        return Adam(float(beta1), float(beta2), float(settings["eps"]), float(max_norm))
    return Optimiser(
        kind=list(OPTIMIZERS).index(name),
        beta1=float(settings.get("momentum", beta1)),
        beta2=float(settings.get("alpha", settings.get("rho", beta2))),
        epsilon=float(settings.get("eps", 0.0)),
        nesterov=bool(settings.get("nesterov", False)),
        l2=float(settings["weight_decay"]),
        l1=float(settings["l1"]),
        max_norm=float(max_norm),
        max_value=float(settings["max_grad_value"]),
    )
