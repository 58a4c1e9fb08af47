"""Programs run as they would be on other processors: numba compiles for those that are named."""

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import llvmlite.binding as llvm

TESTS = Path(__file__).resolve().parent

AVX2 = ("avx", "avx2", "fma")
AVX512 = (*AVX2, "avx512f", "avx512vl", "avx512dq", "avx512bw")
MACHINES = {"x86-64": (), "haswell": AVX2, "skylake-avx512": AVX512}


def on_every_machine(program: str, names: Iterable[str] = MACHINES) -> Iterator[tuple[str, str]]:
    """(name, what ``program`` printed) for those kinds of processor whose instructions this one has too."""
    here = llvm.get_host_cpu_features()
    for name in names:
        features = MACHINES[name]
        if not all(here.get(feature, False) for feature in features):
            continue
        settings = {"NUMBA_CPU_NAME": name, "NUMBA_CPU_FEATURES": ",".join(f"+{feature}" for feature in features)}
        places = os.pathsep.join((str(TESTS.parent), str(TESTS)))
        done = subprocess.run(
            [sys.executable, "-c", program],
            env=os.environ | settings | {"PYTHONPATH": places},
            capture_output=True,
            text=True,
            check=True,
        )
        yield name, done.stdout.strip()
