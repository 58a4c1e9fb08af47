"""What holds for every test: no window on the screen, hypothesis without clocks, kernels that overflow in silence."""

import gc
import os
from collections.abc import Iterator
from pathlib import Path

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


ROOT = Path(__file__).parent.parent
SAVED = (".toml", ".rlgrid", ".gif", ".png", ".mp4")  # what a window saves into the present folder
_there: set[str] = set()


def _saved() -> set[str]:
    return {name for name in os.listdir(ROOT) if name.endswith(SAVED)}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    """No test leaves a map, a session or a picture in the repository: files go into tmp_path."""
    yield
    new = _saved() - _there
    if new:
        _there.update(new)
        pytest.fail(
            f"{item.nodeid} has left {', '.join(sorted(new))} in {ROOT}: it must work in tmp_path", pytrace=False
        )


def pytest_collection_finish(session: pytest.Session) -> None:
    """From here on garbage is searched for again, in what the tests themselves make."""
    _there.update(_saved())
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    gc.enable()
