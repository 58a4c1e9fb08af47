"""Arrays in a file: an .npz, a zip of plain .npy arrays and nothing else, never compressed, never pickled.

It is read without executing anything, and takes no more memory than the file is long. Equal arrays give equal bytes.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlgrid.atomic import write_atomically

SHAPES = 4  # an array has at most so many dimensions

NO_ARRAYS = (ValueError, KeyError, TypeError)
"""What comes of a file that is torn or foreign: from `read_arrays`, and where arrays are not those that they should be.
"""


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays, atomically.

    Raises:
        OSError: if they cannot be written; what was there is then untouched.
    """
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **arrays)
    write_atomically(path, content.getvalue())


def read_arrays(content: bytes) -> dict[str, NDArray[Any]]:
    """The arrays of an .npz that is neither compressed nor pickled; each is checked against its length in the file.

    Raises:
        ValueError: if it is anything else, saying what.
    """
    arrays = {}
    with _as_value_error("it is no archive of arrays"), zipfile.ZipFile(io.BytesIO(content)) as archive:
        items = archive.infolist()
        if len({item.filename for item in items}) < len(items):
            raise ValueError("it has two arrays of one name")
        if any(item.compress_type != zipfile.ZIP_STORED for item in items):
            raise ValueError("it is compressed")
        if sum(item.file_size for item in items) > len(content):  # else many entries may share the same bytes
            raise ValueError("its arrays are longer than the file")
        for item in items:
            with _as_value_error(f"{item.filename} is no array"):
                arrays[item.filename.removesuffix(".npy")] = _array(archive.read(item))  # checks its sum
    return arrays


def _array(content: bytes) -> NDArray[Any]:
    data = io.BytesIO(content)
    if np.lib.format.read_magic(data) != (1, 0):
        raise ValueError("another version of the .npy format")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(data)
    if dtype.kind not in "fiub" or len(shape) > SHAPES or any(length < 0 for length in shape):
        raise ValueError(f"{dtype} {shape}")
    rest = data.read()
    if math.prod(shape) * dtype.itemsize != len(rest):
        raise ValueError(f"{len(rest)} bytes for {dtype} {shape}")
    return np.frombuffer(rest, dtype).reshape(shape, order="F" if fortran else "C").copy()


@contextmanager
def _as_value_error(what: str) -> Iterator[None]:
    """Whatever is raised becomes a ValueError: the parsers of zip files and headers have errors of many kinds."""
    try:
        yield
    except Exception as error:
        raise ValueError(f"{what}: {error or type(error).__name__}") from error


def read_columns(content: bytes) -> dict[str, list[Any]]:
    """The arrays of an .npz that are the columns of one table, as lists.

    Raises:
        ValueError: as `read_arrays`, and where they are not equally long.
    """
    arrays = read_arrays(content)
    lengths = {name: array.shape[:1] for name, array in arrays.items()}
    if len(set(lengths.values())) > 1 or () in lengths.values():
        raise ValueError(
            f"its arrays are not the columns of a table: {', '.join(f'{n} {s}' for n, s in lengths.items())}"
        )
    return {name: array.tolist() for name, array in arrays.items()}
