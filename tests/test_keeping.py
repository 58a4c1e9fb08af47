"""What is drawn again and again is kept within bytes, however large it is."""

from __future__ import annotations

import numpy as np
import pygame
import pytest

from rlgrid import glyphs, keeping
from rlgrid.keeping import LEAST, Store, kept, size_of
from rlgrid.window import shapes


def test_what_was_not_used_for_longest_is_let_go_beyond_so_many_bytes() -> None:
    store = Store(most=3 * (1000 + LEAST))
    for number in range(5):
        store.keep(number, np.zeros(1000, np.uint8))
    assert list(store.found) == [2, 3, 4]
    assert store.bytes == 3 * (1000 + LEAST)
    store.keep(4, np.zeros(9, np.uint8))  # another thread has made it as well
    assert store.bytes == 3 * (1000 + LEAST)
    assert store.find(2) is not None
    store.keep(5, np.zeros(1000, np.uint8))  # 3 was not used for longest
    assert list(store.found) == [4, 2, 5]
    assert store.find(3) is None
    store.keep("large", np.zeros(10_000, np.uint8))
    assert list(store.found) == ["large"]
    store.keep("next", np.zeros(1, np.uint8))
    assert list(store.found) == ["next"]


def test_sizes_are_those_of_arrays_surfaces_and_their_tuples() -> None:
    surface = pygame.Surface((10, 20), pygame.SRCALPHA)
    assert size_of(surface) == LEAST + 800
    assert size_of((surface, (1, 2))) > 800
    assert size_of(np.zeros((3, 4))) == LEAST + 96


def test_what_is_made_twice_is_the_same_and_names_of_arguments_count() -> None:
    made = []

    @kept
    def table(size: int, fill: int = 0) -> np.ndarray:
        made.append((size, fill))
        return np.full(size, fill)

    assert table(3) is table(3)
    assert table(3, fill=1) is table(3, fill=1)
    assert table(3, fill=1) is not table(3)
    assert made == [(3, 0), (3, 1)]


def test_zooming_and_walking_take_no_more_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cell that fills a window, and ways across it, at every size that a wheel comes to."""
    monkeypatch.setattr(keeping.ALL, "most", 4 << 20)
    surface = pygame.Surface((1600, 1200))
    for size in range(200, 600, 80):
        for direction in ((0, 1), (1, 0), (0, -1), (-1, 0)):
            glyphs.arrows(size, (direction,))
        shapes.frame(surface, pygame.Rect(0, 0, size, size), (255, 159, 67))
        assert keeping.ALL.bytes <= keeping.ALL.most
    assert len(keeping.ALL.found) < 15, "the older ones are gone"
    assert keeping.ALL.bytes == sum(size_of(one) for one in keeping.ALL.found.values())
