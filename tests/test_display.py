"""The window of render_mode="human", on SDL's dummy driver."""

import os
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pygame
import pytest

from rlgrid.display import Display
from rlgrid.envs.gridworld import GridWorld


@pytest.fixture(autouse=True)
def no_window() -> Iterator[None]:
    pygame.display.quit()
    yield
    pygame.display.quit()


def frame(width: int = 40, height: int = 30, shade: int = 7) -> np.ndarray:
    picture = np.full((height, width, 3), shade, np.uint8)
    picture[0, :] = (255, 0, 0)
    return picture


def test_the_frame_is_on_the_screen_the_right_way_round() -> None:
    display = Display("a world", fps=0)
    display.show(frame())
    surface = pygame.display.get_surface()
    assert surface.get_size() == (40, 30)
    assert surface.get_at((39, 0))[:3] == (255, 0, 0)
    assert surface.get_at((39, 29))[:3] == (7, 7, 7)
    assert pygame.display.get_caption()[0] == "a world"
    display.close()


def test_close_twice_and_open_again() -> None:
    display = Display(fps=0)
    display.close()
    display.show(frame())
    assert display.is_open
    display.close()
    display.close()
    assert not display.is_open
    assert not pygame.display.get_init()
    display.show(frame())
    assert display.is_open
    display.close()


def test_the_window_follows_the_size_of_the_frame() -> None:
    display = Display(fps=0)
    display.show(frame())
    display.show(frame(64, 48))
    assert pygame.display.get_surface().get_size() == (64, 48)
    display.close()


def test_events_are_taken_so_that_the_window_answers() -> None:
    display = Display(fps=0)
    display.show(frame())
    for _ in range(50):
        pygame.event.post(pygame.event.Event(pygame.USEREVENT))
    display.show(frame())
    assert not pygame.event.peek(pygame.USEREVENT)
    display.close()


def test_a_closed_window_stays_closed_and_the_program_goes_on() -> None:
    display = Display(fps=0)
    display.show(frame())
    pygame.event.post(pygame.event.Event(pygame.QUIT))
    display.show(frame())
    assert not display.is_open
    display.show(frame())
    assert not pygame.display.get_init()
    display.close()
    display.show(frame())
    assert display.is_open
    display.close()


def test_two_displays_share_the_window() -> None:
    one, two = Display("one", fps=0), Display("two", fps=0)
    one.show(frame())
    two.show(frame(20, 20))
    one.close()
    assert two.is_open
    two.show(frame(20, 20, shade=9))
    assert pygame.display.get_surface().get_at((5, 5))[:3] == (9, 9, 9)
    two.close()
    assert not pygame.display.get_init()


def test_another_window_of_the_program_is_left_alone() -> None:
    pygame.display.init()
    pygame.display.set_mode((10, 10))
    with pytest.raises(RuntimeError, match="rgb_array"):
        Display(fps=0).show(frame())
    assert pygame.display.get_surface().get_size() == (10, 10)


def test_no_display_is_an_error_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "there is no such driver")
    display = Display(fps=0)
    with pytest.raises(RuntimeError, match=r"rgb_array.*SDL_VIDEODRIVER=dummy"):
        display.show(frame())
    assert not display.is_open


def test_drawing_where_nobody_can_see_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    pygame.display.init()  # on the dummy driver, which then stays
    monkeypatch.setattr(pygame.display, "get_driver", lambda: "offscreen")
    monkeypatch.delenv("SDL_VIDEODRIVER")
    display = Display(fps=0)
    with pytest.warns(RuntimeWarning, match="rgb_array"):
        display.show(frame())
    display.close()


def test_an_environment_shows_itself() -> None:
    env = GridWorld(map="frozen_lake_4x4", render_mode="human")
    env.metadata = {**env.metadata, "render_fps": 0}
    env.reset(seed=0)
    first = pygame.surfarray.array3d(pygame.display.get_surface())
    for action in (1, 1, 2):
        env.step(action)
    assert env.render() is None
    assert (pygame.surfarray.array3d(pygame.display.get_surface()) != first).any()
    env.close()
    env.close()
    assert not pygame.display.get_init()
    env.reset()
    assert pygame.display.get_init()
    env.close()


def test_frames_are_paced() -> None:
    display = Display(fps=20)
    display.show(frame())
    began = pygame.time.get_ticks()
    for _ in range(4):
        display.show(frame())
    assert pygame.time.get_ticks() - began >= 150
    display.close()


def test_it_works_in_a_script() -> None:
    script = (
        "import gymnasium, rlgrid\n"
        "env = gymnasium.make('rlgrid/FrozenLake-v1', render_mode='human')\n"
        "env.unwrapped.metadata = {**env.unwrapped.metadata, 'render_fps': 0}\n"
        "env.reset(seed=0)\n"
        "for _ in range(20):\n"
        "    if any(env.step(env.action_space.sample())[2:4]):\n"
        "        env.reset()\n"
        "env.close()\n"
        "print('done')\n"
    )
    environment = {**os.environ, "SDL_VIDEODRIVER": "dummy"}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("done\n")
