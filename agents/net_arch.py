"""The hidden layers of a network as ``net_arch`` lists them, checked.

    64, {"dense": 64, "activation": "tanh"}         a dense layer
    {"conv": 16, "kernel": 3, "stride": 1, "padding": "same"}
                                                    a convolution with 16 filters; padding "valid", "same" or pixels
    {"max_pool": 2}, {"avg_pool": 2, "stride": 1}   pooling over 2 by 2 pixels; the stride is the size where not given
    "flatten"                                       an image as a vector, which a dense layer also makes of it
    {"dropout": 0.1}                                silences a tenth of the units in training
    "batch_norm", {"batch_norm": 0.05}              batch normalisation, and the present batch's share in its statistics
    "relu", {"activation": "relu"}                  an activation by itself, as after a batch normalisation

A dense or convolutional layer without an activation of its own takes ``activation_fn``; "linear" is none. It may have
an "initializer" of its own too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from rlgrid.agents.base import check_count, check_name, check_number, did_you_mean

# As numbered by rlgrid.kernels.activations.
ACTIVATIONS = ("linear", "relu", "tanh", "sigmoid", "leaky_relu", "elu", "softsign", "swish")
INITIALIZERS = ("he", "glorot", "he_normal", "glorot_normal", "orthogonal")

MOST_LAYERS = 1_000

# What a layer of each kind may say beside its kind.
_OPTIONS: dict[str, tuple[str, ...]] = {
    "dense": ("activation", "initializer"),
    "conv": ("kernel", "stride", "padding", "activation", "initializer"),
    "max_pool": ("stride",),
    "avg_pool": ("stride",),
    "flatten": (),
    "dropout": (),
    "batch_norm": ("epsilon",),
    "activation": (),
}


class Layer(NamedTuple):
    """A layer, as it was asked for; what does not concern its kind is as below."""

    kind: str
    units: int = 0  # of a dense layer; filters of a convolution
    size: int = 1  # of a kernel or a pool, in pixels
    stride: int = 1
    padding: int | str = 0
    activation: str | None = None  # None for the network's
    initializer: str | None = None
    rate: float = 0.0  # of dropout; of the statistics of batch normalisation
    epsilon: float = 0.0

    def __str__(self) -> str:
        size = f"{self.size} by {self.size}"
        return {
            "dense": f"{self.units} dense units",
            "conv": f"a convolution with {self.units} filters of {size}",
            "max_pool": f"max pooling over {size}",
            "avg_pool": f"average pooling over {size}",
            "dropout": f"dropout of {self.rate:g}",
            "batch_norm": "batch normalisation",
            "activation": f"{self.activation}",
        }.get(self.kind, self.kind)


def check_net_arch(given: Any) -> list[Any]:
    """``net_arch`` as JSON can hold it, each layer of it understood by `layer_of`.

    Raises:
        TypeError, ValueError: naming the layer, and what it may be.
    """
    if not isinstance(given, list | tuple):
        raise TypeError(f"net_arch must be a list of the hidden layers such as [64, 64], not {given!r}")
    if len(given) > MOST_LAYERS:
        raise ValueError(f"net_arch has {len(given)} layers; at most {MOST_LAYERS} are taken")
    checked: list[Any] = []
    for i, one in enumerate(given):
        layer_of(one, f"layer {i + 1} of net_arch")
        if isinstance(one, Mapping):
            checked.append({str(key): value.item() if hasattr(value, "item") else value for key, value in one.items()})
        else:
            checked.append(one if isinstance(one, str) else int(one))
    return checked


def layer_of(given: Any, name: str) -> Layer:
    """A layer of net_arch; ``name`` says which, for errors."""
    if isinstance(given, str):
        if given in ACTIVATIONS:
            return Layer("activation", activation=given)
        if given not in ("flatten", "batch_norm"):
            known = ("flatten", "batch_norm", *ACTIVATIONS)
            if given in _OPTIONS:
                raise ValueError(f"{name}: {given!r} needs a number: write {{{given!r}: ...}}")
            raise ValueError(f"{name} must be one of {', '.join(known)}, not {given!r}{did_you_mean(given, known)}")
        return layer_of({given: True}, name)
    if not isinstance(given, Mapping):
        return Layer("dense", units=check_count(name, given))
    kind = _kind_of(given, name)
    if kind in ("dense", "conv"):
        activation = given.get("activation")
        initializer = given.get("initializer")
        layer = Layer(
            kind,
            units=check_count(f"{name}: {kind!r}", given[kind]),
            activation=None if activation is None else check_name(f"{name}: activation", activation, ACTIVATIONS),
            initializer=None if initializer is None else check_initializer(f"{name}: initializer", initializer),
        )
        return layer if kind == "dense" else _convolution(layer, given, name)
    if kind in ("max_pool", "avg_pool"):
        size = check_count(f"{name}: {kind!r}", given[kind])
        return Layer(kind, size=size, stride=check_count(f"{name}: stride", given.get("stride", size)))
    if kind == "dropout":
        rate = check_number(f"{name}: 'dropout'", given[kind], 0.0, 1.0)
        if rate == 1.0:
            raise ValueError(f"{name}: a dropout of 1 silences every unit; write a share below 1")
        return Layer(kind, rate=rate)
    if kind == "activation":
        return Layer(kind, activation=check_name(name, given[kind], ACTIVATIONS))
    if kind == "batch_norm":
        share = 0.1 if given[kind] is True else given[kind]
        rate = check_number(f"{name}: 'batch_norm'", share, 0.0, 1.0, open_low=True)
        epsilon = check_number(f"{name}: epsilon", given.get("epsilon", 1e-5), 0.0, 1.0, open_low=True)
        return Layer(kind, rate=rate, epsilon=epsilon)
    return Layer(kind)


def _kind_of(given: Mapping[Any, Any], name: str) -> str:
    kinds = [key for key in given if key in _OPTIONS and not (key == "activation" and len(given) > 1)]
    if len(kinds) != 1:
        unknown = [key for key in given if key not in _OPTIONS]
        close = did_you_mean(unknown[0], _OPTIONS) if unknown else ""
        raise ValueError(f"{name} must have one of the keys {', '.join(_OPTIONS)}; it is {dict(given)!r}{close}")
    kind = str(kinds[0])
    for key in given:
        if key != kind and key not in _OPTIONS[kind]:
            can = f"it may have {', '.join(_OPTIONS[kind])}" if _OPTIONS[kind] else "it has no others"
            raise ValueError(f"{name}: {kind!r} has no {key!r}; {can}{did_you_mean(key, _OPTIONS[kind])}")
    return kind


def _convolution(layer: Layer, given: Mapping[Any, Any], name: str) -> Layer:
    padding = given.get("padding", "valid")
    size = check_count(f"{name}: kernel", given.get("kernel", 3))
    if isinstance(padding, str):
        padding = check_name(f"{name}: padding (or a number of pixels)", padding, ("valid", "same"))
    else:
        padding = check_count(f"{name}: padding", padding, least=0, most=size - 1)
    return layer._replace(size=size, stride=check_count(f"{name}: stride", given.get("stride", 1)), padding=padding)


def check_initializer(name: str, given: Any) -> str:
    """The name of an initialiser; all-zero weights are refused with the reason."""
    if given == "zeros":
        raise ValueError(
            f"{name} must not be 'zeros': from all-zero weights every unit of a layer would stay the same; take one of "
            f"{', '.join(INITIALIZERS)}"
        )
    return check_name(name, given, INITIALIZERS)


def parsed(net_arch: Iterable[Any]) -> list[Layer]:
    """The layers of a checked net_arch."""
    return [layer_of(one, f"layer {i + 1} of net_arch") for i, one in enumerate(net_arch)]
