"""What holds for every test: no window on the screen, hypothesis without clocks, kernels that overflow in silence."""

import gc
import os

# Before any test imports pygame. Who wants to see the windows sets the driver.
os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
os.environ.setdefault("SDL_AUDIODRIVER", "dummy")
os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")

import hypothesis
import numpy as np
import pytest

# Thousands of tests are collected before the first one runs, and all of them live to the end: looking through them for
# garbage again and again takes half the time of collecting, and a tenth of that of compiling kernels.
gc.disable()

# Kernels compile inside examples, so a deadline would measure the compiler. The same examples everywhere.
hypothesis.settings.register_profile("rlgrid", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("rlgrid")

# With NUMBA_DISABLE_JIT=1 the kernels are plain Python, where NumPy warns of what compiled code does in silence.
if os.environ.get("NUMBA_DISABLE_JIT", "0") != "0":
    np.seterr(all="ignore")


def pytest_collection_finish(session: pytest.Session) -> None:
    """From here on garbage is searched for again, in what the tests themselves make."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    gc.enable()
