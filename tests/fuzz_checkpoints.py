"""A program that alters checkpoints of every agent and loads them, for the tests.

    python tests/fuzz_checkpoints.py FOLDER COUNT SEED [FIRST [VARIED]]

With VARIED = 1, agents that were altered to explore in another way learn too, which compiles further kernels for some
minutes; with NUMBA_BOUNDSCHECK=1 and an RLGRID_CACHE_DIR of its own, reading beyond an array is a failure.

Each of COUNT files is a whole checkpoint with one to three alterations: bits, bytes, its length, its header, its
metadata, its tensors. It must raise CheckpointError, or load and learn `STEPS` steps; a FloatingPointError says that
the numbers of the file overflowed in learning, and is right too. Meanwhile
    - memory is limited to `ROOM` beyond what the process has once all is compiled: a MemoryError is a failure;
    - a file that takes longer than `PATIENCE` ends the process;
    - whatever runs code, imports, starts a process, opens a connection, or writes or removes a file, is noted by an
      audit hook and is a failure.
It prints a JSON object: how many were refused, loaded, and overflowed, by agent, and the failures. File number i of a
seed is always the same; the number of the present one is in FOLDER/now.
"""

from __future__ import annotations

import contextlib
import copy
import json
import resource
import signal
import struct
import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.wrappers import RecordEpisodeStatistics
from numpy.typing import NDArray
from safetensors.numpy import save
from small_worlds import masked_mdp, world

from rlgrid.agents import AGENTS, CheckpointError, agent_class, checkpoint

STEPS = 100  # that a loaded agent learns
ROOM = checkpoint.MOST_ASKED + (256 << 20)  # bytes of memory beyond what the process has before the first file
PATIENCE = 20.0  # seconds for a file
LEARNT = 300  # steps that a checkpoint has behind it, with an episode under way
SETTINGS: dict[str, dict[str, Any]] = {
    "recurrent_dqn": {"buffer_size": 200, "learning_starts": 50, "batch_size": 4, "sequence_length": 8},
    "dqn": {"buffer_size": 200, "learning_starts": 50, "batch_size": 8, "policy_kwargs": {"net_arch": [8, 8]}},
}

INTEGERS = (-1, 0, 1, 2, 3, 7, 15, 16, 64, 255, 10_000, 10_001, 2**31, 2**32, 2**53, 2**62, 2**63 - 1, 2**63, 2**64)
FLOATS = (0.0, -0.0, 1.0, -1.0, 0.5, 1.5, 1e-320, 1e-300, 1e300, -1e300, 1e308, -1e308)
ODD = (float("nan"), float("inf"), float("-inf"))
TEXTS = (
    "",
    "lin_0.5",
    "lin_1e999",
    "lin_nan",
    "exp_0.5_0",
    "step_0.5_0.1_0",
    "1/N^1e308",
    "0.5/N^-1",
    "ucb",
    "softmax",
    "__import__('os').system('true')",
    "!!python/object/apply:os.system ['true']",
    "../../../../etc/passwd",
    "os:system",
    "\x00",
    "\ud800",
    "x" * 100_000,
)
DTYPES = ("F64", "F32", "F16", "BF16", "I64", "I32", "I8", "U8", "U64", "BOOL", "F8_E4M3", "C64", "STR", "", "O")

NUMPY = {"F64": "<f8", "F32": "<f4", "BOOL": "?", "U8": "u1", "I8": "i1"}
NUMPY |= {f"{kind}{8 * size}": f"<{kind.lower()}{size}" for kind in "IU" for size in (2, 4, 8)}


# --- alterations ------------------------------------------------------------------------------------------------------


class Original:
    """A whole checkpoint, in parts."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        length = struct.unpack("<Q", content[:8])[0]
        self.header = json.loads(content[8 : 8 + length])
        self.data = content[8 + length :]
        self.metadata = json.loads(self.header["__metadata__"]["rlgrid"])


Random = np.random.Generator


def pick(rng: Random, things: Any) -> Any:
    return things[int(rng.integers(len(things)))]


def evil(rng: Random) -> Any:
    """A value that a JSON document may hold."""
    kind = int(rng.integers(8))
    if kind == 0:
        return pick(rng, INTEGERS)
    if kind == 1:
        return pick(rng, FLOATS)
    if kind == 2:
        return pick(rng, ODD)
    if kind == 3:
        return pick(rng, TEXTS)
    if kind == 4:
        return pick(rng, (None, True, False, [], {}, [[]], {"": None}))
    if kind == 5:
        return int(rng.integers(1, 10)) * 10 ** int(rng.integers(0, 400))
    if kind == 6:
        return [pick(rng, INTEGERS) for _ in range(int(rng.integers(1, 50)))]
    return -int(rng.integers(0, 2**62))


def places(document: Any, found: list[tuple[Any, Any]] | None = None) -> list[tuple[Any, Any]]:
    """(container, key) of everything in a JSON document."""
    found = [] if found is None else found
    items = document.items() if isinstance(document, dict) else enumerate(document)
    for key, value in items:
        found.append((document, key))
        if isinstance(value, dict | list):
            places(value, found)
    return found


def alter_document(rng: Random, document: Any) -> str:
    """Alter a JSON document in place; the text of it."""
    container, key = pick(rng, places(document))
    kind = int(rng.integers(6))
    if kind == 0:
        del container[key]
    elif kind == 1:
        other, name = pick(rng, places(document))
        container[key] = copy.deepcopy(other[name])
    elif kind == 2 and isinstance(container, dict):
        container[pick(rng, TEXTS)] = container.pop(key)
    elif kind == 3 and isinstance(container[key], int | float):
        container[key] = container[key] * pick(rng, (-1, 2, 10, 1000, 2**20)) + pick(rng, (-1, 0, 1))
    else:
        container[key] = evil(rng)
    text = json.dumps(document)
    if rng.random() < 0.02:
        deep = int(rng.integers(10, 200_000))
        text = text.replace("null", "[" * deep + "]" * deep, 1)
    elif rng.random() < 0.02:
        text = text.replace("null", "9" * int(rng.integers(300, 6000)), 1)
    return text


def with_header(header: bytes, data: bytes) -> bytes:
    return struct.pack("<Q", len(header)) + header + data


def flip_bits(rng: Random, original: Original) -> bytes:
    altered = bytearray(original.content)
    for place in rng.integers(0, len(altered), size=rng.integers(1, 9)):
        altered[place] ^= 1 << int(rng.integers(8))
    return bytes(altered)


def write_text(rng: Random, original: Original) -> bytes:
    altered = bytearray(original.content)
    for place in rng.integers(0, len(altered) - len(original.data), size=rng.integers(1, 4)):
        altered[place] = rng.integers(32, 127)
    return bytes(altered)


def cut(rng: Random, original: Original) -> bytes:
    content, place = original.content, int(rng.integers(len(original.content)))
    kind = int(rng.integers(4))
    if kind == 0:
        return content[:place]
    if kind == 1:
        return content[:place] + content[place + int(rng.integers(1, 64)) :]
    if kind == 2:
        return content[:place] + rng.bytes(int(rng.integers(1, 64))) + content[place:]
    return content + rng.bytes(int(rng.integers(1, 4096)))


def lie_of_length(rng: Random, original: Original) -> bytes:
    length = pick(rng, (0, 1, 2**31, 2**40, 2**63, 2**64 - 1, len(original.content), len(original.content) - 8))
    return struct.pack("<Q", length) + original.content[8:]


def alter_header(rng: Random, original: Original) -> bytes:
    header = copy.deepcopy(original.header)
    tensors = [name for name in header if name != "__metadata__"]
    entry = header[pick(rng, tensors)]
    kind = int(rng.integers(7))
    if kind == 0:
        entry["dtype"] = pick(rng, DTYPES)
    elif kind == 1:
        entry["shape"] = [pick(rng, INTEGERS) for _ in range(int(rng.integers(0, 5)))]
    elif kind == 2:
        entry["data_offsets"] = [pick(rng, INTEGERS), pick(rng, INTEGERS)]
    elif kind == 3:  # tensors that overlap
        entry["data_offsets"] = header[pick(rng, tensors)]["data_offsets"]
    elif kind == 4:
        shape = entry["shape"]
        entry["shape"] = [*shape, 1] if rng.random() < 0.5 else shape[::-1]
    elif kind == 5:
        a, b = pick(rng, tensors), pick(rng, tensors)
        header[a], header[b] = header[b], header[a]
    else:
        return with_header(alter_document(rng, header).encode("utf-8", "surrogatepass"), original.data)
    return with_header(json.dumps(header).encode(), original.data)


def alter_metadata(rng: Random, original: Original) -> bytes:
    document = copy.deepcopy(original.metadata)
    settings = document["settings"]
    counts = [name for name in settings if type(settings[name]) is int]
    if counts and rng.random() < 0.2:  # steps, visits, sizes: large ones may leave 64 bits where they are added
        settings[pick(rng, counts)] = 2 ** int(rng.integers(50, 63)) - int(rng.integers(0, 2))
        shown = json.dumps(document)
    elif rng.random() < 0.6:  # where more is at stake than that it is refused at once
        part = pick(rng, ("settings", "run", "scalars"))
        text = alter_document(rng, inside) if (inside := document[part]) else "{}"
        shown = json.dumps({**document, part: "HERE"}).replace('"HERE"', text, 1)
    else:
        shown = alter_document(rng, document)
    header = {**original.header, "__metadata__": {"rlgrid": shown}}
    return with_header(json.dumps(header).encode(), original.data)


def alter_tensors(rng: Random, original: Original) -> bytes:
    arrays: dict[str, NDArray[Any]] = {}
    for name, entry in original.header.items():
        if name != "__metadata__":
            first, last = entry["data_offsets"]
            flat = np.frombuffer(original.data[first:last], NUMPY[entry["dtype"]])
            arrays[name] = flat.reshape(entry["shape"]).copy()
    name = pick(rng, list(arrays))
    array, kind = arrays[name], int(rng.integers(7))
    if kind <= 2 and array.size:
        numbers: Any = (*FLOATS, *ODD) if array.dtype.kind == "f" else (*INTEGERS, -(2**63), 5, 17, -2, -17)
        with np.errstate(over="ignore"):
            for _ in range(int(rng.integers(1, 4))):
                with contextlib.suppress(ValueError, OverflowError):  # the array has no room for the number
                    array.flat[int(rng.integers(array.size))] = pick(rng, numbers)
    elif kind == 3 and array.size:  # plausible numbers in an order that was never
        arrays[name] = rng.permutation(array.ravel()).reshape(array.shape)
    elif kind == 4:
        arrays[name] = array[:0] if array.ndim and rng.random() < 0.5 else np.concatenate([array.ravel()] * 2)
    elif kind == 5:
        del arrays[name]
    else:
        arrays[name] = arrays[pick(rng, list(arrays))]
    return save(arrays, original.header["__metadata__"])


ALTERATIONS: tuple[Callable[[Random, Original], bytes], ...] = (
    *(alter_metadata,) * 4,
    *(alter_tensors,) * 4,
    *(alter_header,) * 3,
    *(flip_bits, flip_bits, write_text, cut, lie_of_length),
)


def altered(rng: Random, original: Original) -> bytes:
    """A checkpoint with one to three alterations."""
    content = pick(rng, ALTERATIONS)(rng, original)
    for _ in range(int(rng.integers(1, 4)) - 1 if rng.random() < 0.3 else 0):
        try:
            again = Original(content)
            content = pick(rng, ALTERATIONS)(rng, again)
        except Exception:  # it is no longer a checkpoint that could be taken apart
            break
    return content


# --- what must not happen ---------------------------------------------------------------------------------------------


class Watch:
    """Notes what would be an attack. An audit hook cannot be taken out again, so it is switched."""

    FORBIDDEN = ("exec", "import", "os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen")
    FORBIDDEN += ("pickle.find_class", "marshal.loads", "socket.connect", "ctypes.dlopen", "os.remove", "os.rename")

    def __init__(self, own: Path) -> None:
        """``own``: a folder in which files may be written and removed."""
        self.on, self._own = False, str(own)
        self.seen: list[str] = []
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.on:
            return
        writes = event == "open" and isinstance(arguments[1], str) and set("wax+") & set(arguments[1])
        ours = event == "import" and str(arguments[0]).startswith("rlgrid.")  # that was not needed yet
        if ours or (event not in self.FORBIDDEN and not writes):
            return
        own = event in ("open", "os.rename", "os.remove") and str(arguments[0]).startswith(self._own)
        if not own and not self._of_kernels():
            self.seen.append(f"{event} {arguments[:1]!r:.200}")

    def _of_kernels(self) -> bool:
        """Whether a kernel of ours is being loaded that was not needed yet: numba keeps its index as a pickle."""
        frame = sys._getframe(2)
        while frame is not None:
            if frame.f_code.co_filename.endswith(("numba/core/caching.py", "numba/core/dispatcher.py")):
                return True
            importing = frame.f_globals.get("__name__", "").startswith("importlib") and frame.f_locals.get("name")
            if importing and str(importing).startswith("rlgrid.kernels."):
                return True
            frame = frame.f_back
        return False


def worlds() -> list[Any]:
    return [RecordEpisodeStatistics(world()), world(masked_mdp(), limit=7)]


def originals(algo: str, path: Path) -> list[tuple[Any, Original]]:
    """(environment, checkpoint) of an agent in two worlds, in one of which states lack actions."""
    found = []
    for env in worlds():
        agent = agent_class(algo)(env=env, seed=1, **SETTINGS.get(algo, {}))
        agent.begin(1_000)
        agent.advance(LEARNT + 3)
        agent.save(path)
        found.append((env, Original(path.read_bytes())))
    return found


def used() -> int:
    """Bytes of address space."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def load_and_learn(kind: Any, path: Path, env: Any, varied: bool) -> str:
    """What came of a file. Further kernels, which explore in another way, are compiled if ``varied``."""
    try:
        agent = kind.load(path, env)
        if varied or not hasattr(agent, "_varied") or agent._varied() is None:
            agent.advance(STEPS)
        agent.predict(0)
        agent.state, agent.metrics(), agent.settings  # what is shown and saved
        agent._world.snapshot()
    except CheckpointError as error:
        if isinstance(error.__cause__, MemoryError):
            raise
        return "refused"
    except FloatingPointError:
        return "overflowed"
    return "loaded"


def main(folder: Path, count: int, seed: int, first: int = 0, varied: int = 0) -> dict[str, Any]:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "altered.safetensors"
    warnings.simplefilter("ignore")
    known = {algo: originals(algo, path) for algo in AGENTS}
    for algo, made in known.items():
        for env, original in made:
            path.write_bytes(original.content)
            assert load_and_learn(agent_class(algo), path, env, varied) == "loaded", algo
            assert checkpoint.read(path)
    watch = Watch(folder)
    results: dict[str, Counter[str]] = {algo: Counter() for algo in AGENTS}
    failures: list[str] = []
    limit = used() + ROOM
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    slowest, began = 0.0, time.perf_counter()
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with (folder / "now").open("w") as now:
        for i in range(first, first + count):
            rng = np.random.default_rng([seed, i])
            algo = list(AGENTS)[i % len(AGENTS)]
            env, original = pick(rng, known[algo])
            content = altered(rng, original)
            path.write_bytes(content)
            now.seek(0)
            now.write(f"{i:>12} {algo:<40}")
            now.flush()
            start = time.perf_counter()
            signal.setitimer(signal.ITIMER_REAL, PATIENCE * (10 if varied else 1))  # its signal ends the process
            watch.on = True
            try:
                result = load_and_learn(agent_class(algo), path, env, varied)
            except (Exception, MemoryError) as error:
                result = "failed"
                failures.append(f"{i} {algo}: {type(error).__name__}: {error}; {traceback.format_exc(limit=-2)}"[:1000])
            watch.on = False
            signal.setitimer(signal.ITIMER_REAL, 0)
            slowest = max(slowest, time.perf_counter() - start)
            if watch.seen:
                failures.append(f"{i} {algo}: {watch.seen}"[:300])
                watch.seen.clear()
            results[algo][result] += 1
    spent = time.perf_counter() - began
    return {
        "results": {algo: dict(counts) for algo, counts in results.items()},
        "failures": failures,
        "slowest": slowest,
        "resident": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - resident) << 10,
        "seconds": spent,
    }


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), *map(int, sys.argv[2:])), indent=1))
