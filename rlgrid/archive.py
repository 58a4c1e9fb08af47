"""Arrays in a file: an .npz, a zip of plain .npy arrays and nothing else, never compressed, never pickled.

It is read without executing anything, and takes no more memory than the file is long. Equal arrays give equal bytes.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlgrid.atomic import write_atomically

SHAPES = 4  # an array has at most so many dimensions

NO_ARRAYS = (ValueError, KeyError, EOFError, zipfile.BadZipFile, NotImplementedError, RuntimeError)
"""What `read_arrays` raises for a file that is torn or foreign."""


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
        ValueError, KeyError, zipfile.BadZipFile: if it is anything else; see `NO_ARRAYS`.
    """
    arrays = {}
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for item in archive.infolist():
            if item.compress_type != zipfile.ZIP_STORED or item.file_size > len(content):
                raise ValueError(f"{item.filename} is compressed")
            data = io.BytesIO(archive.read(item))  # checks its sum
            if np.lib.format.read_magic(data) != (1, 0):
                raise ValueError(f"{item.filename} has another version of the .npy format")
            shape, fortran, dtype = np.lib.format.read_array_header_1_0(data)
            if dtype.kind not in "fiub" or len(shape) > SHAPES or any(length < 0 for length in shape):
                raise ValueError(f"{item.filename} is {dtype} {shape}")
            rest = data.read()
            if math.prod(shape) * dtype.itemsize != len(rest):
                raise ValueError(f"{item.filename} has {len(rest)} bytes for {dtype} {shape}")
            array = np.frombuffer(rest, dtype).reshape(shape, order="F" if fortran else "C")
            arrays[item.filename.removesuffix(".npy")] = array.copy()
    return arrays


def read_columns(content: bytes) -> dict[str, list[Any]]:
    """The arrays of an .npz that are the columns of one table, as lists.

    Raises:
        ValueError, KeyError, zipfile.BadZipFile: as `read_arrays`, and where they are not equally long.
    """
    arrays = read_arrays(content)
    lengths = {name: array.shape[:1] for name, array in arrays.items()}
    if len(set(lengths.values())) > 1 or () in lengths.values():
        raise ValueError(
            f"its arrays are not the columns of a table: {', '.join(f'{n} {s}' for n, s in lengths.items())}"
        )
    return {name: array.tolist() for name, array in arrays.items()}
