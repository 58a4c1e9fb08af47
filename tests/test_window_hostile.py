"""What scripts, files and signals may do to a window: it says what is wrong, in words, and leaves nothing behind."""

from __future__ import annotations

import os

os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")

import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cloudpickle
import gymnasium as gym
import numpy as np
import pygame
import pytest

from rlgrid.window import launch, watch
from rlgrid.window.app import App
from rlgrid.window.link import Link
from rlgrid.window.local import LocalLink
from rlgrid.window.preparing import Preparation
from rlgrid.window.saving import Saver
from rlgrid.window.scenario import Scenario
from rlgrid.window.worker import LONGEST_WORDS, failure

ROOT = Path(__file__).resolve().parent.parent


class Mute(Exception):
    def __str__(self) -> str:
        raise ValueError


class Actor:
    """An object of a script that gives back whatever it was told to, or raises it."""

    def __init__(self, given: Any) -> None:
        self.given = given

    def predict(self, observation: Any) -> Any:
        if isinstance(self.given, Exception):
            raise self.given
        return self.given


class Odd(gym.Env):
    """An environment whose frames and outcomes are what they were told to be."""

    observation_space = gym.spaces.Box(0.0, 1.0, (2,))
    action_space = gym.spaces.Discrete(2)
    render_mode = "rgb_array"

    def __init__(self, frame: Any = None, outcome: Any = None, reset: Exception | None = None) -> None:
        self.frame, self.outcome, self.failure = frame, outcome, reset

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        if self.failure is not None:
            raise self.failure
        return np.zeros(2, np.float32), {}

    def step(self, action: Any) -> Any:
        return self.outcome or (np.zeros(2, np.float32), 0.0, False, False, {})

    def render(self) -> Any:
        return self.frame


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (None, r"Actor\.predict must return \(action, state\), not None"),
        ((float("nan"), None), "an action is a whole number from 0 to 3, not nan"),
        ((10**9, None), "action 1000000000 is not one of the actions 0 to 3"),
        (RuntimeError("it is broken"), "RuntimeError: it is broken"),
        (Mute(), "Mute"),
    ],
)
def test_an_object_of_a_script_that_fails_is_told_of(given: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        watch(gym.make("rlgrid/FrozenLake-v1"), Actor(given), seconds=1)


@pytest.mark.parametrize(
    ("env", "words"),
    [
        (Odd(), r"Odd\.render must return uint8 \[H, W, 3\], not None"),
        (Odd(np.zeros((0, 0, 3))), r"not the shape \(0, 0, 3\)"),
        (Odd(np.zeros(3)), r"not the shape \(3,\)"),
        (Odd(np.zeros((4, 4, 3)), (np.zeros(2), 0.0)), r"Odd\.step must return .* not 2 parts"),
        (Odd(reset=OSError("no such level")), "OSError: no such level"),
    ],
)
def test_an_environment_of_a_script_that_fails_is_told_of(env: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        watch(env, Actor((0, None)), seconds=1)


def test_numbers_that_are_none_are_drawn() -> None:
    outcome = (np.full(2, np.nan, np.float32), float("inf"), True, False, {})
    assert len(watch(Odd(np.zeros((8, 8, 3)), outcome), Actor((0, None)), seconds=0.5) or ()) == 5


def test_words_are_bounded() -> None:
    assert failure(KeyError()) == "KeyError"
    assert len(failure(ValueError("x" * 10**6))) == LONGEST_WORDS


def test_a_world_without_an_end_is_swept_in_silence() -> None:
    """Values without a discount are minus infinity there: their differences are none."""
    link = LocalLink()
    app = App(link, (640, 480), clock=link.clock)
    text = "step_reward = -1\ngamma = 1.0\nmap = '''\nS..\n...\n'''\n"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        link.load(Scenario("x.toml", text, "value_iteration"), True, 8.0)
        for _ in range(5):
            link.pass_time(0.2)
    shots = [message for message in link.receive() if message[0] == "snapshot"]
    assert shots
    assert not any(np.isnan(message[2].change).any() for message in shots if message[2].change is not None)
    assert app.draw().get_size() == (640, 480)


def test_a_worker_that_is_killed_leaves_nothing_and_another_one_goes_on() -> None:
    class Dies:
        def predict(self, observation: Any) -> Any:
            os._exit(7)

    link = Link()
    try:
        pickled = cloudpickle.dumps((gym.make("rlgrid/FrozenLake-v1"), Dies()))
        link.load(Scenario(agent="", pickled=pickled), True, 50.0)
        words = _failure(link)
        assert "(exit code 7)" in words
        assert link._tables is None
        link.load(Scenario("rlgrid/FrozenLake-v1", agent="value_iteration"), False, 1.0)
        end = time.perf_counter() + 60
        while not any(message[0] == "world" for message in link.receive()):
            assert time.perf_counter() < end
            time.sleep(0.01)
        name = link._tables.name
        link.process.kill()
        assert "signal 9" in _failure(link)
        assert not Path("/dev/shm", name).exists()
    finally:
        link.close()


def _failure(link: Link) -> str:
    end = time.perf_counter() + 60
    while time.perf_counter() < end:
        for message in link.receive():
            if message[0] == "failed":
                return str(message[1])
        time.sleep(0.01)
    raise AssertionError("nothing was said")


@pytest.fixture
def _signals() -> Any:
    """What the signals did before is what they do after the test."""
    before = {number: signal.getsignal(number) for number in (signal.SIGHUP, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("_signals")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGHUP, signal.SIGTERM])
def test_a_terminal_that_is_closed_or_says_stop_ends_the_window_in_silence(
    how: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(*_: Any) -> int:
        assert signal.getsignal(how) is signal.default_int_handler
        os.kill(os.getpid(), how)
        time.sleep(5.0)
        raise AssertionError("it was not stopped")

    monkeypatch.setattr(launch, "film", stopped)
    assert launch.main(["--record", "x.png", "--seconds", "1"]) == launch.STOPPED
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("_signals")
@pytest.mark.parametrize("how", [signal.SIGHUP, signal.SIGTERM])
def test_a_signal_that_is_ignored_stays_ignored(how: int, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = []

    def told(*_: Any) -> None:
        os.kill(os.getpid(), how)
        recorded.append(how)

    signal.signal(how, signal.SIG_IGN)  # as nohup does
    monkeypatch.setattr(launch, "film", told)
    assert launch.main(["--record", "x.png", "--seconds", "1"]) == 0
    assert recorded == [how]


def test_where_no_window_opens_nothing_is_left_running(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = []

    def noted(cls: type) -> None:
        close = cls.close

        def closes(self: Any) -> None:
            closed.append(cls.__name__)
            close(self)

        monkeypatch.setattr(cls, "close", closes)

    noted(Preparation)
    noted(Saver)
    monkeypatch.setattr(launch, "open_window", lambda *_: None)
    options = SimpleNamespace(size=(640, 480), theme="dark", seed=0, profile_start=False)
    assert launch.run(LocalLink(), options, lambda app: None, False, 0.0) == 1
    assert sorted(closed) == ["Preparation", "Saver"]


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_whatever_ends_the_window_leaves_no_process_and_no_memory(how: int) -> None:
    script = (
        "import os; os.environ['SDL_VIDEODRIVER'] = 'dummy'\n"
        "from rlgrid.window import launch, session\n"
        "session.keep_last = lambda _: None\n"
        "launch.has_display = lambda: True\n"
        "raise SystemExit(launch.main(['--world', 'FrozenLake-v1', '--agent', 'q_learning']))\n"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    window = subprocess.Popen([sys.executable, "-c", script], env=environment, start_new_session=True)
    try:
        end = time.perf_counter() + 90
        while not (held := _held(window.pid)):
            assert time.perf_counter() < end
            time.sleep(0.05)
        window.send_signal(how)
        window.wait(20)
        while _in_session(window.pid) or any(Path("/dev/shm", name).exists() for name in held):
            assert time.perf_counter() < end, (_in_session(window.pid), held)
            time.sleep(0.05)
    finally:
        for process in _in_session(window.pid):
            os.kill(process, signal.SIGKILL)


def _held(process: int) -> set[str]:
    """Pieces of shared memory that a process has."""
    lines = Path(f"/proc/{process}/maps").read_text().splitlines()
    return {line.rpartition("/dev/shm/")[2].partition(" ")[0] for line in lines if "/dev/shm/psm_" in line}


def _in_session(leader: int) -> list[int]:
    """The processes of a session that still run."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            rest = (path / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(rest[3]) == leader and rest[0] != "Z":
            found.append(int(path.name))
    return found


def test_a_dropped_file_of_any_kind_is_told_of(tmp_path: Path) -> None:
    pygame.display.init()
    link = LocalLink()
    app = App(link, (640, 480), clock=link.clock)
    app.open("rlgrid/FrozenLake-v1", "value_iteration")
    (tmp_path / "bytes.toml").write_bytes(bytes(range(256)))
    (tmp_path / "deep.toml").write_text("a = " + "[" * 9_000)
    os.mkfifo(tmp_path / "pipe.toml")
    for name in ("bytes.toml", "deep.toml", "pipe.toml", "none.toml", "."):
        app.state.notice = ""
        app.handle(pygame.event.Event(pygame.DROPFILE, file=str(tmp_path / name)))
        assert app.state.notice, name
        assert app.state.world == "rlgrid/FrozenLake-v1"
