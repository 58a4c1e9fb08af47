"""The page of every screen is the one that its script writes, its pictures are there, and screens are played alike."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

os.environ.setdefault("SDL_VIDEODRIVER", "dummy")

import numpy as np
import pytest

DOCS = Path(__file__).resolve().parent.parent / "docs"


@pytest.fixture(scope="module")
def screenshots():
    sys.path.insert(0, str(DOCS))
    try:
        yield importlib.import_module("screenshots")
    finally:
        sys.path.remove(str(DOCS))


def test_page_and_pictures_are_those_of_the_table(screenshots):
    names = [screen.name for screen in screenshots.SCREENS]
    assert len(names) == len(set(names))
    assert (DOCS / "screens.md").read_text(encoding="utf-8") == screenshots.page(), "python docs/screenshots.py --page"
    pictures = list((DOCS / "images" / "screens").glob("*.png"))
    assert sorted(path.stem for path in pictures) == sorted(names)
    assert sum(path.stat().st_size for path in pictures) < 5_000_000
    assert all(screen.shows.endswith((".", "…")) for screen in screenshots.SCREENS)


def test_a_screen_is_played_by_keys_and_clicks_and_comes_out_alike(screenshots):
    screen = next(one for one in screenshots.SCREENS if one.name == "stopped")
    stage = screenshots.Stage(screen)
    assert "the regret of the greedy policy is" in stage.app.state.stopped
    assert not stage.app.state.playing
    picture = stage.picture()
    assert picture.shape == (screen.size[1], screen.size[0], 3)
    assert np.array_equal(picture, screenshots.take(screen, screenshots.Stage))
    with pytest.raises(ValueError, match="there is no 'nothing' on the screen"):
        stage.do("click", "nothing")
