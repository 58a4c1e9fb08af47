"""Pictures of every registered environment: frames without SDL, text, and windows that come and go."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import numpy as np
import pygame
import pytest

import rlgrid.envs

IDS = sorted(name for name in gym.registry if name.startswith("rlgrid/") and name not in rlgrid.envs.CONTROL)
FEW = ["rlgrid/FourRooms-v0", "rlgrid/Taxi-v4", "rlgrid/RiverSwim-v0", "rlgrid/KeyDoor-v0"]


def make(name: str, mode: str) -> Any:
    env: Any = gym.make(name, render_mode=mode)
    env.unwrapped.metadata = {**env.unwrapped.metadata, "render_fps": 10_000}
    return env


def some_states(env: Any, count: int) -> list[int]:
    """States that a random walk comes through, each once."""
    inner, random = env.unwrapped, np.random.default_rng(0)
    env.reset(seed=0)
    states = [inner.state]
    for _ in range(20 * count):
        _, _, terminated, truncated, _ = env.step(int(random.choice(np.flatnonzero(inner.action_masks()))))
        if terminated or truncated:
            env.reset()
        states.append(inner.state)
    return list(dict.fromkeys(states))[:count]


# --- frames -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", IDS)
def test_frames_are_pictures_of_the_state(name: str) -> None:
    env = make(name, "rgb_array")
    inner = env.unwrapped
    env.reset(seed=0)
    first = env.render()
    assert first.dtype == np.uint8
    assert first.ndim == 3
    assert first.shape[2] == 3
    assert min(first.shape[:2]) >= 16
    seen = {}
    for state in some_states(env, 6):
        inner.state = state
        frame = env.render()
        assert frame.shape == first.shape
        assert (env.render() == frame).all()
        seen[frame.tobytes()] = state
        frame[:] = 0  # the caller's own
        assert (env.render() != 0).any()
    assert len(seen) > 1
    env.close()


def test_frames_need_no_sdl() -> None:
    """Neither those of single environments nor those of vectors."""
    script = (
        "import sys, gymnasium, rlgrid.envs\n"
        f"for name in {FEW}:\n"
        "    env = gymnasium.make(name, render_mode='rgb_array')\n"
        "    env.reset(seed=0)\n"
        "    env.render()\n"
        "    env.close()\n"
        "envs = gymnasium.make_vec('rlgrid/FourRooms-v0', num_envs=2, render_mode='rgb_array')\n"
        "envs.reset(seed=0)\n"
        "print(len(envs.render()), 'pygame' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout == "2 False\n", done.stderr


# --- text ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", IDS)
def test_text_is_legible_and_tells_states_apart(name: str) -> None:
    env = make(name, "ansi")
    inner = env.unwrapped
    states = some_states(env, 12)
    texts = []
    for state in states:
        inner.state = state
        text = env.render()
        assert text.endswith("\n")
        assert text.isascii()
        assert all(line.isprintable() and len(line) <= 120 for line in text.splitlines())
        texts.append(text)
    assert len(set(texts)) == len(states)
    env.reset(seed=0)
    before = env.render()
    action = int(np.flatnonzero(inner.action_masks())[0])
    env.step(action)
    # The last action is told by its name, in brackets.
    assert env.render() != before
    assert "(" in env.render()


# --- windows ------------------------------------------------------------------------------------------------------


@pytest.fixture
def no_window() -> Iterator[None]:
    pygame.display.quit()
    yield
    pygame.display.quit()


@pytest.mark.usefixtures("no_window")
@pytest.mark.parametrize("name", FEW)
def test_windows_open_answer_close_and_open_again(name: str) -> None:
    env = make(name, "human")
    for seed in range(2):
        env.reset(seed=seed)
        assert pygame.display.get_init()
        pygame.event.post(pygame.event.Event(pygame.USEREVENT))
        env.step(int(np.flatnonzero(env.unwrapped.action_masks())[0]))
        assert not pygame.event.peek(pygame.USEREVENT)
        assert env.render() is None
        shown = pygame.surfarray.array3d(pygame.display.get_surface()).transpose(1, 0, 2)
        still = make(name, "rgb_array")
        still.reset(seed=seed)
        still.unwrapped.state = env.unwrapped.state
        assert (shown == still.render()).all()
        env.close()
        env.close()
        assert not pygame.display.get_init()


@pytest.mark.usefixtures("no_window")
def test_a_window_that_a_person_closes_does_not_stop_the_program() -> None:
    env = make("rlgrid/FourRooms-v0", "human")
    env.reset(seed=0)
    pygame.event.post(pygame.event.Event(pygame.QUIT))
    for _ in range(3):
        env.step(0)
    assert not pygame.display.get_init()
    env.close()
    env.reset()
    assert pygame.display.get_init()
    env.close()


@pytest.mark.usefixtures("no_window")
def test_windows_of_two_environments_and_of_copies() -> None:
    import copy

    one, other = make("rlgrid/FourRooms-v0", "human"), make("rlgrid/Taxi-v4", "human")
    one.reset(seed=0)
    other.reset(seed=0)
    third = copy.deepcopy(one)  # has no window of its own until it shows something
    one.close()
    assert pygame.display.get_init()
    third.step(1)
    other.close()
    assert pygame.display.get_init()
    third.close()
    assert not pygame.display.get_init()


@pytest.mark.usefixtures("no_window")
def test_steps_from_another_thread_as_a_notebook_may_make_them() -> None:
    env = make("rlgrid/FourRooms-v0", "human")
    failed: list[BaseException] = []

    def cell() -> None:
        try:
            env.reset(seed=0)
            env.step(1)
            env.close()
        except BaseException as error:
            failed.append(error)

    for _ in range(2):
        thread = threading.Thread(target=cell)
        thread.start()
        thread.join(30)
    assert not failed
    assert not pygame.display.get_init()
