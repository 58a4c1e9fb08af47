"""Files that appear whole or not at all."""

from __future__ import annotations

import os
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
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
