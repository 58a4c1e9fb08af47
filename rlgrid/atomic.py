"""Files that appear whole or not at all, tables that grow by whole lines, and reading nothing but plain files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def write_atomically(target: Path, content: bytes) -> None:
    """Write a file beside its place and rename it; what was there stays until the new one is on disk.

    Raises:
        FileNotFoundError: if the folder does not exist, naming it.
        OSError: if it cannot be written; the file that was there is then untouched.
    """
    if not target.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {target.parent} to save {target.name} in: make it first")
    temporary = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with _named(target), temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


class Part:
    """A file that is written beside its place, and takes it when it is whole; what was there stays until then.

    Devices and pipes are not replaced: ``path`` is then the target itself.
    """

    def __init__(self, target: str | Path) -> None:
        self.target = Path(os.path.realpath(target))  # a link goes on leading to the file
        self.path = self.target
        if self.target.is_file() or not self.target.exists():
            self.path = self.target.with_name(f".{self.target.name}.{os.getpid()}.part")

    def keep(self) -> None:
        """It is whole.

        Raises:
            OSError: if it cannot be put in its place; it is removed then.
        """
        if self.path == self.target:
            return
        try:
            with self.path.open("r+b") as file:
                os.fsync(file.fileno())
            os.replace(self.path, self.target)
        finally:
            self.drop()

    def drop(self) -> None:
        """Remove what was written of it, unless it was kept."""
        if self.path != self.target:
            self.path.unlink(missing_ok=True)


def read_plain(path: Path) -> bytes:
    """The content of a plain file; a pipe or a device, which may never end, is not opened.

    Raises:
        ValueError: naming what is no plain file.
        OSError: if it cannot be read.
    """
    if path.exists() and not path.is_file():
        raise ValueError(f"{path} is no plain file")
    return path.read_bytes()


def append(target: Path, text: str) -> None:
    """Write text at the end of a file. Where it fails, a part of the text may be there.

    Raises:
        OSError: if it cannot be written, naming the file.
    """
    with _named(target), target.open("a", encoding="utf-8", newline="") as file:
        file.write(text)


def remove_parts(folder: Path) -> None:
    """Remove what `write_atomically` left in a folder when it was killed; nobody else may be writing there."""
    for path in folder.glob(".*.part"):
        path.unlink(missing_ok=True)


@contextmanager
def _named(target: Path) -> Iterator[None]:
    """Errors of writing (a full disk) name the file: those of an open file do not by themselves."""
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno is not None:
            raise OSError(error.errno, os.strerror(error.errno), str(target)) from error
        raise
