"""Checkpoints: arrays and metadata in one safetensors file, read without executing anything.

A file holds named arrays and, under the safetensors metadata key "rlgrid", one JSON object: format, agent class,
settings, versions, generator states, the world's shape and fingerprint. It is written beside its place and renamed,
so that a reader finds the old file or the new one, never a torn one. A file from a stranger costs what it is long, the
tables of the world it is loaded into, and `MOST_ASKED` at most. Infinities in JSON are written as Python's json
does (Infinity), numbers of 128 bits (generator states) as plain integers.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rlgrid.atomic import write_atomically

if TYPE_CHECKING:
    from rlgrid.gridmodel import GridModel
    from rlgrid.mdp import MDP

FORMAT = "rlgrid-agent"
FORMAT_VERSION = 1
SUFFIX = ".safetensors"
MOST_ASKED = 4 << 30  # bytes that the settings in a file may ask for, beyond those that the file itself holds


class CheckpointError(ValueError):
    """A checkpoint that is torn, foreign, or made by another agent or for another world."""


def checkpoint_path(path: str | os.PathLike[str]) -> Path:
    """``path`` with ".safetensors" at its end where it has no suffix."""
    given = Path(path)
    return given if given.suffix else given.with_name(given.name + SUFFIX)


def write(path: str | os.PathLike[str], arrays: dict[str, NDArray[Any]], metadata: dict[str, Any]) -> Path:
    """Write a checkpoint atomically; returns where it lies.

    Raises:
        FileNotFoundError: if the folder does not exist, naming it.
        OSError: if it cannot be written; the file that was there is then untouched.
    """
    from safetensors.numpy import save

    target = checkpoint_path(path)
    document = {"format": FORMAT, "format_version": FORMAT_VERSION} | metadata
    content = save(
        {name: np.ascontiguousarray(array) for name, array in arrays.items()}, {"rlgrid": json.dumps(document)}
    )
    write_atomically(target, content)
    return target


def read(path: str | os.PathLike[str]) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """The arrays and the metadata of a checkpoint.

    Raises:
        FileNotFoundError: if there is no such file.
        CheckpointError: naming what is wrong with the file.
    """
    from safetensors import SafetensorError, safe_open

    target = checkpoint_path(path)
    if not target.is_file():
        raise FileNotFoundError(f"no checkpoint {target}")
    try:
        with safe_open(target, framework="numpy") as file:
            header, names = file.metadata() or {}, file.keys()
            arrays = {name: file.get_tensor(name) for name in names} if "rlgrid" in header else {}
    except (SafetensorError, OSError, TypeError, ValueError, KeyError, AttributeError) as error:
        raise CheckpointError(f"{target} is torn or not a safetensors file: {error}") from error
    if "rlgrid" not in header:
        raise CheckpointError(f"{target} is a safetensors file, but not a checkpoint of rlgrid")
    try:
        metadata = json.loads(header["rlgrid"])
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"the metadata of {target} is not JSON: {error}") from error
    if not isinstance(metadata, dict) or metadata.get("format") != FORMAT:
        raise CheckpointError(f"{target} is not a checkpoint of an rlgrid agent")
    if metadata.get("format_version") != FORMAT_VERSION:
        raise CheckpointError(
            f"{target} has format version {metadata.get('format_version')!r}; this rlgrid reads {FORMAT_VERSION}"
        )
    return arrays, metadata


def fingerprint(model: MDP | GridModel | None) -> str | None:
    """A hash of everything that a model does: equal for equal worlds. None for a world whose model is unknown."""
    if model is None:
        return None
    digest = hashlib.sha256()
    for name, value in model.arrays._asdict().items():
        array = np.asarray(value)
        digest.update(f"{name} {array.dtype.str} {array.shape}\0".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:32]
