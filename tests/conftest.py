"""What holds for every test: no window on the screen, hypothesis without clocks, kernels that overflow in silence."""

import os

# Before any test imports pygame. Who wants to see the windows sets the driver.
os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
os.environ.setdefault("SDL_AUDIODRIVER", "dummy")
os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")

import hypothesis
import numpy as np

# Kernels compile inside examples, so a deadline would measure the compiler. The same examples everywhere.
hypothesis.settings.register_profile("rlgrid", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("rlgrid")

# With NUMBA_DISABLE_JIT=1 the kernels are plain Python, where NumPy warns of what compiled code does in silence.
if os.environ.get("NUMBA_DISABLE_JIT", "0") != "0":
    np.seterr(all="ignore")
