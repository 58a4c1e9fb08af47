"""A program that alters the files beside a checkpoint and reads them, for the tests.

    python tests/fuzz_files.py FOLDER COUNT SEED [FIRST]

config.json, monitor.csv, evaluations.csv and evaluations.npz of a run, runs.json and the arrays of many runs, a YAML
file of hyperparameters, and a map: each altered file is read, or refused with the error that its kind has. Memory, time
and what must not happen are watched as in `fuzz_checkpoints`, which says how.
"""

from __future__ import annotations

import io
import json
import resource
import shutil
import signal
import sys
import time
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from fuzz_checkpoints import PATIENCE, TEXTS, Random, Watch, alter_document, pick, used
from kill_runs import CONFIG, quietly

from rlgrid import GridSpec, learn_many, training
from rlgrid.agents import CheckpointError
from rlgrid.runs import Runs
from rlgrid.zoo import ConfError, read_conf

ROOM = 1 << 30  # bytes of memory beyond what the process has before the first file
LAKE = "rlgrid/FrozenLake-v1"
YAML = """\
default: &all
  n_timesteps: !!float 3e3
  gamma: 0.9
rlgrid/FrozenLake-v1:
  <<: *all
  learning_rate: lin_0.5
  policy_kwargs: "dict(net_arch=[64, 64], activation_fn=nn.Tanh)"
  env_kwargs: {max_episode_steps: 50}
"""
SNIPPETS = (
    "!!python/object/apply:os.system ['true']",
    "!!python/name:os.system",
    "&a [*a, *a]",
    "&a {b: *a}",
    "*all",
    "[" * 2_000,
    "{a: " * 500,
    "9" * 5_000,
    "0x" + "f" * 5_000,
    ".inf",
    ".nan",
    "2001-01-01",
    "!!binary aGFsbG8=",
    "!!set {a, b}",
    '"dict(' + "(" * 400 + '"',
    '"dict(a=__import__(\\"os\\"))"',
    '"dict(**{})"',
    "? [a]\n  : b",
    "\t",
    "---",
    "x" * 100_000,
    "1e999",
    "-1",
    "1_000:30:20",
)
MAPS = (
    "height = 100000000",
    "[generate]",
    "extends = 'world.toml'",
    "map = ''",
    "gamma = nan",
    "gamma = 1e999",
    "slip = [0.5, 0.9]",
    "size = [1000000, 1000000]",
    "a = " + "[" * 2_000,
    "a = " + "9" * 5_000,
    "'''",
    "#",
    "step_reward = inf",
)


HEADS = (  # of an array: what Python's parser says of them is of many kinds
    "{'descr': (",
    "  1\n 2\n",
    "-" * 9_000 + "1",
    "{[1]:2}",
    "(" * 300,
    "{'descr': '<f8', 'fortran_order': False, 'shape': (0, " + "9" * 40 + ")}",
    "{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (1,)}",
    "{'descr': '<f8', 'fortran_order': 0, 'shape': (1,)}",
)


def alter_bytes(rng: Random, content: bytes) -> bytes:
    altered, place = bytearray(content), int(rng.integers(max(1, len(content))))
    kind = int(rng.integers(6))
    if kind == 0:
        for at in rng.integers(0, len(altered), size=rng.integers(1, 9)):
            altered[at] ^= 1 << int(rng.integers(8))
    elif kind == 1:
        for at in rng.integers(0, len(altered), size=rng.integers(1, 9)):
            altered[at] = rng.integers(32, 127)
    elif kind == 2:
        del altered[place:]
    elif kind == 3:
        del altered[place : place + int(rng.integers(1, 64))]
    elif kind == 4:
        altered[place:place] = rng.bytes(int(rng.integers(1, 64)))
    else:
        altered += rng.bytes(int(rng.integers(1, 4096)))
    return bytes(altered)


def alter_json(rng: Random, content: bytes) -> bytes:
    return alter_document(rng, json.loads(content)).encode("utf-8", "surrogatepass")


def alter_lines(snippets: tuple[str, ...]) -> Callable[[Random, bytes], bytes]:
    """Put a snippet among the lines, in the place of one, or behind a colon or an equals sign."""

    def alter(rng: Random, content: bytes) -> bytes:
        lines = content.decode().split("\n")
        place, snippet = int(rng.integers(len(lines))), pick(rng, (*snippets, *TEXTS))
        kind = int(rng.integers(4))
        if kind == 0:
            lines.insert(place, snippet)
        elif kind == 1:
            lines[place] = snippet
        else:
            for mark in (": ", " = ", ","):
                if mark in lines[place]:
                    lines[place] = lines[place].partition(mark)[0] + mark + snippet
                    break
        return "\n".join(lines).encode("utf-8", "surrogatepass")

    return alter


def alter_arrays(rng: Random, content: bytes) -> bytes:
    """An archive whose arrays have other shapes, types, numbers or names; or that lies about them."""
    with np.load(io.BytesIO(content)) as there:
        arrays: dict[str, Any] = {name: there[name].copy() for name in there}
    name, kind = pick(rng, list(arrays)), int(rng.integers(8))
    array = arrays[name]
    if kind == 0:
        arrays[name] = array.astype(pick(rng, ("f4", "i4", "i8", "f8", "c16", "?", "U3", "S3", ">f8", "f2")))
    elif kind == 1:
        arrays[name] = array.ravel()[:1] if rng.random() < 0.5 else np.concatenate([array.ravel()] * 2)
    elif kind == 2 and array.size:
        array.flat[int(rng.integers(array.size))] = pick(rng, (0, -1, 2**31, -(2**31), 7))
    elif kind == 3:
        del arrays[name]
    elif kind == 4:
        arrays[name] = arrays[pick(rng, list(arrays))]
    elif kind == 5 and array.dtype.kind == "f" and array.size:
        array.flat[int(rng.integers(array.size))] = pick(rng, (np.nan, np.inf, -np.inf, 1e308))
    out = io.BytesIO()
    if kind >= 6:
        with zipfile.ZipFile(out, "w", pick(rng, (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as file:
            shape = pick(rng, (f"({2**50},)", "(-1,)", f"({2**31}, {2**31})", "(" + "1, " * 60 + ")", "()"))
            descr = pick(rng, ("<f8", "|O", "<i8", "|V8"))
            text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n"
            head = (text if kind == 6 else pick(rng, HEADS)).encode()
            for key in arrays:
                file.writestr(f"{key}.npy", b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head + bytes(64))
    else:
        np.savez(out, **arrays)
    return out.getvalue()


def read_run(folder: Path) -> None:
    """What `rlgrid train --resume` reads before it goes on."""
    agent, config = training.load(folder)
    training.Logbook(folder, config, quietly).reopen(agent)
    agent.env.close()


def read_map(folder: Path) -> None:
    GridSpec.load(folder / "map.toml").compile()


# Of a file: its folder, its name, how it is read, the errors that it may have, and how it is altered besides by bytes.
WRONG = (ValueError, TypeError, OSError)
Reader = Callable[[Path], Any]
Kind = tuple[str, str, Reader, tuple[type[Exception], ...], Callable[[Random, bytes], bytes]]
KINDS: tuple[Kind, ...] = (
    ("run", "config.json", read_run, WRONG, alter_json),
    ("run", "monitor.csv", read_run, (training.RunError,), alter_lines(("nan,nan,nan", "1,2", "#{}", "#[]"))),
    ("run", "evaluations.csv", read_run, (training.RunError,), alter_lines(("nan,nan", "1e999,2", "1500,1"))),
    ("run", "evaluations.npz", read_run, (training.RunError,), alter_arrays),
    ("many", "runs.json", Runs.load, (training.RunError,), alter_json),
    ("many", "0_0.npz", Runs.load, (training.RunError,), alter_arrays),
    ("", "conf.yml", lambda folder: read_conf(folder / "conf.yml", LAKE), (ConfError,), alter_lines(SNIPPETS)),
    ("", "map.toml", read_map, (ValueError,), alter_lines(MAPS)),
)


def originals(folder: Path) -> dict[str, dict[str, bytes]]:
    """The whole files of each folder."""
    run, many = folder / "run", folder / "many"
    run.mkdir(parents=True)
    config = replace(CONFIG, n_timesteps=3_000, save_freq=1_000, eval_freq=1_500, env_kwargs={"max_episode_steps": 50})
    training.train(config, run, said=quietly)
    learn_many("q_learning", LAKE, [0, 1], 500, tables=True, folder=many, n_jobs=1)
    (folder / "conf.yml").write_text(YAML)
    spec = GridSpec.builtin("four_rooms")
    (folder / "map.toml").write_text(spec.dump())
    return {at: {p.name: p.read_bytes() for p in (folder / at).iterdir() if p.is_file()} for at in ("run", "many", "")}


def main(folder: Path, count: int, seed: int, first: int = 0) -> dict[str, Any]:
    warnings.simplefilter("ignore")
    folder.mkdir(parents=True, exist_ok=True)
    whole = originals(folder)
    for at, _, read, _, _ in KINDS:
        read(folder / at)
    results: dict[str, Counter[str]] = {name: Counter() for _, name, *_ in KINDS}
    failures: list[str] = []
    watch = Watch(folder)
    limit = used() + ROOM
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    slowest, began = 0.0, time.perf_counter()
    for i in range(first, first + count):
        rng = np.random.default_rng([seed, i])
        at, name, read, errors, alter = KINDS[i % len(KINDS)]
        content = whole[at][name]
        for _ in range(1 if rng.random() < 0.7 else 2):
            try:
                content = (alter if rng.random() < 0.7 else alter_bytes)(rng, content)
            except Exception:  # what is altered already could not be taken apart
                content = alter_bytes(rng, content)
        (folder / at / name).write_bytes(content)
        start = time.perf_counter()
        signal.setitimer(signal.ITIMER_REAL, PATIENCE)  # its signal ends the process
        watch.on = True
        try:
            read(folder / at)
            result = "read"
        except (*errors, CheckpointError):
            result = "refused"
        except (Exception, MemoryError) as error:
            result = "failed"
            failures.append(f"{i} {name}: {type(error).__name__}: {error}"[:300])
        watch.on = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        slowest = max(slowest, time.perf_counter() - start)
        if watch.seen:
            failures.append(f"{i} {name}: {watch.seen}"[:300])
            watch.seen.clear()
        results[name][result] += 1
        for other, there in whole[at].items():  # reading a run may have written its tables anew
            if other == name or at == "run":
                (folder / at / other).write_bytes(there)
    shutil.rmtree(folder)
    return {
        "results": {name: dict(counts) for name, counts in results.items()},
        "failures": failures,
        "slowest": slowest,
        "seconds": time.perf_counter() - began,
    }


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), *map(int, sys.argv[2:])), indent=1))
