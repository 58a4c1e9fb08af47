"""Compiled functions over arrays, and nothing else; this file only says where their machine code is kept.

Numba stamps a cached function with the one source file that holds it, so a change in a kernel that another
file imports leaves the caller's cache stale. Here the stamp is a hash of a kernel's file *and of every kernel
file that it imports*. It also holds where every NamedTuple of every kernel file lies and what fields it has, for a
kernel is compiled for those of its callers, which it does not import, and the index of its cache cannot even be read
where one of them has moved. The stamp is part of the folder's name, in the user's cache directory: a read-only install
works, an upgrade never runs or trips over old code, and the caches of other packages stay where they are.
"""

import copy
import functools
import hashlib
import os
import re
from pathlib import Path
from typing import Any

import numba
import numpy as np
import platformdirs
from numba.core import caching, ir

_HERE = Path(__file__).resolve().parent
_IMPORTED = re.compile(
    r"^\s*(?:from|import)\s+rlgrid\.kernels\.(\w+)|^\s*from\s+rlgrid\.kernels\s+import\s+(\w+)", re.M
)


_TUPLE = re.compile(r"^class (\w+)\(NamedTuple\):\n((?:[ \t].*\n|\n)*)", re.M)
_FIELD = re.compile(r"^    (\w+):", re.M)


@functools.cache
def _with_imports(module: str, folder: Path) -> frozenset[str]:
    """The names of the kernel files that ``module`` (a file's stem) reaches through its imports, itself included."""
    seen: set[str] = set()
    todo = [module]
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        text = (folder / f"{name}.py").read_text(encoding="utf-8")
        todo += [first or second for first, second in _IMPORTED.findall(text)]
    return frozenset(seen)


@functools.cache
def _tuples(folder: Path) -> bytes:
    """Every NamedTuple of the kernel files: its file, its name, its fields."""
    found = []
    for path in sorted(folder.glob("*.py")):
        for name, body in _TUPLE.findall(path.read_text(encoding="utf-8")):
            found.append(f"{path.stem}.{name}({','.join(_FIELD.findall(body))})")
    return "\n".join(found).encode()


@functools.cache
def source_hash(module: str, folder: Path = _HERE) -> str:
    """A hash of a kernel file, of the kernel files that it imports, of all NamedTuples, and of numba's version."""
    digest = hashlib.sha256(numba.__version__.encode() + b"\0" + _tuples(folder))
    for name in sorted(_with_imports(module, folder)):
        digest.update(name.encode() + b"\0" + (folder / f"{name}.py").read_bytes())
    return digest.hexdigest()[:20]


def cache_folder() -> Path:
    """Where compiled kernels are kept: ``RLGRID_CACHE_DIR`` if set, else the user's cache directory."""
    base = os.environ.get("RLGRID_CACHE_DIR")
    return (Path(base) if base else Path(platformdirs.user_cache_dir("rlgrid", appauthor=False))) / "kernels"


def entry(kernel: Any, *arguments: Any) -> Any:
    """What runs a compiled function on arguments of these types, without a look at their types at each call.

    For a kernel that Python calls step after step with a struct of many arrays, whose types take longer to find out
    than the step takes to run. The caller sees to it that the types stay what they are.
    """
    if not hasattr(kernel, "compile"):  # plain Python, with NUMBA_DISABLE_JIT
        return kernel
    return kernel.compile(tuple(_type_of(argument) for argument in arguments))


def _type_of(argument: Any) -> Any:
    return argument.kind if isinstance(argument, Kept) else numba.typeof(argument)


class Kept:
    """A struct, ready to be given to `entry`'s kernels by its address alone, which `rlgrid.kernels.borrow` reads.

    Attributes:
        kind: the type of the address.
        handle: what the kernel takes: the address, an int; without a compiler the struct itself.

    The address is good as long as this object lives.
    """

    def __init__(self, struct: Any) -> None:
        from rlgrid.kernels import borrow

        self.kind, self.handle, self._struct = None, struct, struct
        if not hasattr(borrow.write, "compile"):
            return
        self.kind = borrow.Kept(numba.typeof(struct))
        self._room = np.empty(borrow.write(struct, np.empty(0, np.uint8)), np.uint8)
        borrow.write(struct, self._room)
        self.handle = self._room.ctypes.data


def address_of(kernel: Any, *arguments: Any) -> Any:
    """Where a compiled function for arguments of these types lies, for `rlgrid.kernels.calling`."""
    if not hasattr(kernel, "compile"):
        return kernel
    kinds = tuple(numba.typeof(argument) for argument in arguments)
    kernel.compile(kinds)
    compiled = kernel.overloads[kinds]
    return compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name)


class _KernelCacheLocator(caching._CacheLocator):
    def __init__(self, py_func: Any, py_file: str) -> None:
        self._module = Path(py_file).stem
        self._line = py_func.__code__.co_firstlineno

    def get_cache_path(self) -> str:
        return str(cache_folder() / f"{self._module}-{source_hash(self._module)}")

    def get_source_stamp(self) -> str:
        return source_hash(self._module)

    def get_disambiguator(self) -> str:
        return str(self._line)

    @classmethod
    def from_function(cls, py_func: Any, py_file: str) -> "_KernelCacheLocator | None":
        if Path(py_file).resolve().parent != _HERE:
            return None
        locator = cls(py_func, py_file)
        try:
            locator.ensure_cache_path()
        except OSError:  # nowhere to write: numba's own places are tried next
            return None
        return locator


caching.CacheImpl._locator_classes.insert(0, _KernelCacheLocator)


_TRIED = ("0.68.",)  # versions of numba whose inliner is known to bear it


class _OneScope:
    """Copies the blocks of a function that is inlined, and its scope once for all of them.

    Numba copies each block alone, and with it the scope of the function with all its variables, so that inlining takes
    a time of blocks times variables: half of that of compiling a rule that plans. The code is the same in the end.
    It stands in the place of the module `copy` in numba's inliner, and does for all else what that does.
    """

    def __init__(self) -> None:
        self._scope: Any = None
        self._copies: dict[int, Any] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(copy, name)

    def deepcopy(self, x: Any, memo: Any = None) -> Any:
        if memo is not None or not isinstance(x, ir.Block):
            return copy.deepcopy(x, memo)
        if x.scope is not self._scope or id(x) in self._copies:
            self._scope, self._copies = x.scope, {}
        return copy.deepcopy(x, self._copies)


def _inline_with_one_scope() -> None:
    """Have numba's inliner copy scopes once, where it is one of the versions that this was tried with."""
    if not numba.__version__.startswith(_TRIED):
        return
    from numba.core import inline_closurecall

    if vars(inline_closurecall).get("copy") is copy:
        vars(inline_closurecall)["copy"] = _OneScope()


_inline_with_one_scope()
