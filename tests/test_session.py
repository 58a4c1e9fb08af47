"""Sessions: what is written down, what a file may hold, and that a replay gives the same frames every time."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pygame
import pytest

from rlgrid.window import launch, record
from rlgrid.window.app import App
from rlgrid.window.local import LocalLink
from rlgrid.window.record import Mp4Writer, pixels
from rlgrid.window.replay import HELD, OVER, RATE, OnScreen, Replay
from rlgrid.window.scenario import Scenario
from rlgrid.window.session import Session, SessionError, keep_last, last_session
from rlgrid.window.view import View

ROOT = Path(__file__).resolve().parent.parent
SIZE = (640, 480)


def used(seconds: float = 1.6, agent: str = "q_learning", size: tuple[int, int] = SIZE) -> App:
    """An app in which things were done: a learner is run, changed, driven, walked back and looked at."""
    link = LocalLink()
    app = App(link, size, clock=link.clock)
    app.open("rlgrid/FrozenLake-v1", agent, 40.0)

    def run(part: float) -> None:
        for _ in range(round(part * seconds * 10)):
            link.pass_time(0.1)
            app.update()
            app.update()
            app.draw()

    run(0.25)
    app.do("layer:q")
    app.state.pinned = 6
    run(0.1)
    app.change("gamma", 0.8, held=True)
    app.change("gamma", 0.9)
    run(0.1)
    app.do("theme")
    app.do("play")
    if agent != "value_iteration":
        app.link.send("drive", 1)
    app.link.send("step", 3)
    run(0.1)
    app.link.send("seek", 5)
    run(0.1)
    app.link.send("seek", "unit")
    app.do("play")
    app.set_speed(200.0)
    run(0.25)
    app.do("layer:values")
    run(0.1)
    return app


def hashes(session: Session, **arguments: Any) -> list[str]:
    replay = Replay(session, **arguments)
    return [hashlib.sha256(pixels(picture).tobytes()).hexdigest() for picture in replay.pictures()]


@pytest.fixture(scope="module")
def app() -> App:
    return used()


@pytest.fixture
def saved(app: App, tmp_path: Path) -> Path:
    return app.recorder.finished().save(tmp_path / "lesson")


def test_a_replay_gives_the_same_frames_every_time(saved: Path) -> None:
    assert saved.name == "lesson.rlgrid"
    first, *others = (hashes(Session.load(saved)) for _ in range(3))
    assert first == others[0] == others[1]
    assert len(set(first)) > 8, "something moves"


def test_a_replay_ends_with_the_tables_of_the_session(app: App, saved: Path) -> None:
    replay = Replay(Session.load(saved))
    while not replay.over:
        replay.step()
    shown, engine = replay.app, replay.link.engine
    assert engine is not None
    assert engine.count == app.link.engine.count  # type: ignore[attr-defined]
    assert np.array_equal(engine.agent.q_values, app.link.engine.agent.q_values)  # type: ignore[attr-defined]
    for name in ("theme", "layer", "pinned", "playing", "speed", "edits", "agent", "world"):
        assert getattr(shown.state, name) == getattr(app.state, name)
    assert [edit.symbol for edit in shown.state.edits] == ["γ"], "a walk back cuts nothing off"
    replay.link.close()


def test_what_is_written_down(app: App) -> None:
    session = app.recorder.finished()
    names = [entry[2] for entry in session.log if entry[2] != "look"]
    assert names == ["load", "change", "change", "play", "drive", "step", "seek", "seek", "play", "speed"]
    looks = [entry[3] for entry in session.log if entry[2] == "look"]
    assert {"layer": "q", "pinned": 6}.items() <= next(look for look in looks if look.get("layer") == "q").items()
    assert any(look.get("theme") == "light" for look in looks)
    scenario = session.log[0][3]
    assert scenario["world"] == "rlgrid/FrozenLake-v1"
    assert "SFFF" in scenario["map"]
    counts = [count for _, count in session.pace]
    assert max(counts) == app.state.timeline.head
    assert [second for second, _ in session.pace] == sorted(second for second, _ in session.pace)


def test_painted_maps_are_in_the_session(tmp_path: Path) -> None:
    link = LocalLink()
    app = App(link, SIZE, clock=link.clock)
    app.open("rlgrid/FrozenLake-v1", "value_iteration", 10.0)
    for number in range(10):
        link.pass_time(0.1)
        app.update()
        if number == 5:
            app.painter.paint([(1, 1)], "wall")
    path = app.recorder.finished().save(tmp_path / "painted")
    assert str(tmp_path) not in path.read_text(encoding="utf-8")
    replay = Replay(Session.load(path))
    while not replay.over:
        replay.step()
    assert bool(replay.link.engine.model.walls[5])  # type: ignore[union-attr]
    assert bool(replay.app.state.model.walls[5])


def test_sizes(saved: Path) -> None:
    session = Session.load(saved)
    assert Replay(session).app.draw().get_size() == SIZE
    assert Replay(session, (1000, 700)).app.draw().get_size() == (1000, 700)


def test_a_session_of_a_script_cannot_be_saved(tmp_path: Path) -> None:
    link = LocalLink()
    app = App(link, SIZE, clock=link.clock)
    app.recorder.run(Scenario(pickled=b"not read"), True, 8.0)
    with pytest.raises(SessionError, match="of a script cannot be saved"):
        app.recorder.finished().save(tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


def test_the_last_session_is_kept(app: App, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RLGRID_CACHE_DIR", str(tmp_path / "new"))
    keep_last(app.recorder.finished())
    assert (
        Session.load(last_session()).log == json.loads(json.dumps(app.recorder.session.log)) or last_session().is_file()
    )
    keep_last(Session())  # of nothing: what was there stays
    assert last_session().stat().st_size > 1000


# --- files of strangers -----------------------------------------------------------------------------------------------


def change(path: str, value: Any) -> Any:
    """A way to spoil a document: put a value where the path leads."""

    def spoil(document: dict[str, Any]) -> dict[str, Any]:
        *way, last = [int(part) if part.lstrip("-").isdigit() else part for part in path.split("/")]
        place: Any = document
        for part in way:
            place = place[part]
        place[last] = value
        return document

    return spoil


SPOILT: dict[str, tuple[Any, str]] = {
    "format": (change("format", "x"), "is no session of rlgrid"),
    "version": (change("format_version", 99), "format version 99"),
    "size": (change("size", [10**9, 600]), "64 x 64 to 7680 x 4320"),
    "no size": (lambda document: {k: v for k, v in document.items() if k != "size"}, "it has no 'size'"),
    "seconds": (change("seconds", 1e300), "seconds must be a number"),
    "log": (change("log", {}), "log must be a list"),
    "empty": (change("log", []), "does not begin with a world"),
    "count": (change("pace/1", [0.1, 10**15]), "must lie in 0 to"),
    "not a count": (change("pace/1", [0.1, 1.5]), "has the count"),
    "back in time": (change("pace/2", [0.0, 1]), "goes back in time"),
    "command": (change("log/0", [0.0, 0, "load"]), "cannot|no session|not enough|expected"),
    "unknown": (change("log/2/2", "exec"), "unknown command 'exec'"),
    "agent": (change("log/0/3/agent", "dqnn"), "did you mean 'dqn'"),
    "world": (change("log/0/3/world", 7), "the name of a world"),
    "part": (change("log/0/3/maps", "x"), "did you mean 'map'"),
    "seed": (change("log/0/3/seed", -1), "a seed a whole number"),
    "speed": (change("log/0/5", -1.0), "the speed must be"),
    "look": (change("log/1/3", {"__class__": 1}), "which nothing is called"),
    "theme": (change("log/1/3", {"theme": "pink"}), "theme must be one of"),
    "layer": (change("log/1/3", {"layer": "x"}), "layer must be one of"),
    "view": (change("log/1/3", {"view": {"zoom": -1.0, "row": 0.0, "column": 0.0}}), "it has the view"),
    "scale": (change("log/1/3", {"scale": 100}), "the scale of letters"),
    "steps": (change("log/-1", [1e4, 1, "step", 10**12]), "asks for 1,000,000,000,000 units"),
    "argument": (change("log/-1", [1e4, 1, "step", [1]]), "has the argument"),
}


@pytest.mark.parametrize("name", SPOILT)
def test_a_file_that_is_no_session_is_refused_in_words(name: str, saved: Path) -> None:
    spoil, words = SPOILT[name]
    document = spoil(json.loads(saved.read_text(encoding="utf-8")))
    saved.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(SessionError, match=words):
        Session.load(saved)


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no session"):
        Session.load(tmp_path / "x.rlgrid")
    for content in (b"", b"{", b"[1]", b"\xff\xfe", b"[" * 100_000):
        (tmp_path / "x.rlgrid").write_bytes(content)
        with pytest.raises(SessionError):
            Session.load(tmp_path / "x.rlgrid")
    with pytest.raises(SessionError, match="no plain file"):
        Session.load(tmp_path)


def test_what_a_file_looks_at_and_the_world_has_not_is_left_out(saved: Path) -> None:
    document = json.loads(saved.read_text(encoding="utf-8"))
    document["log"].insert(1, [0.0, 0, "look", {"pinned": 10**9, "hover": -3, "inspected": 77, "brush": "x"}])
    saved.write_text(json.dumps(document), encoding="utf-8")
    replay = Replay(Session.load(saved))
    replay.step()
    state = replay.app.state
    assert (state.pinned, state.hover, state.inspected) == (None, None, None)
    assert state.brush != "x"


def test_a_file_runs_no_further_than_its_session_was(saved: Path) -> None:
    document = json.loads(saved.read_text())
    document["log"] = [document["log"][0], [0.02, 0, "play", False], [0.04, 0, "step", 10**9]]
    document["pace"] = [[0.0, 0], [0.3, 500]]
    saved.write_text(json.dumps(document))
    replay = Replay(Session.load(saved))
    for _ in range(8):
        replay.step()
    assert replay.app.state.snapshot.count == 500
    replay.link.close()


def test_a_replay_stands_in_each_frame_where_the_session_stood(saved: Path) -> None:
    """Between two points of the pace as far as the time between them has passed."""
    document = json.loads(saved.read_text())
    document["log"], document["pace"] = document["log"][:1], [[0.0, 0], [0.5, 100], [1.0, 120], [1.4, 120]]
    document["seconds"] = 1.4
    saved.write_text(json.dumps(document))
    replay = Replay(Session.load(saved))
    counts = []
    while not replay.over:
        replay.step()
        counts.append(replay.app.state.snapshot.count)
    seconds, paced = zip(*document["pace"], strict=True)
    expected = np.interp(np.arange(1, replay.frames + 1) / RATE, seconds, paced)
    assert replay.frames == 28
    assert all(abs(there - count) <= 1 for count, there in zip(counts, expected, strict=True))
    replay.link.close()


def test_a_long_stretch_can_be_ended(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    document = json.loads(saved.read_text())
    document["log"], document["pace"] = document["log"][:1], [[0.0, 0], [0.04, 10**9]]
    saved.write_text(json.dumps(document))
    now = [0.0]
    shown = OnScreen(Replay(Session.load(saved)), lambda: now[0])
    monkeypatch.setattr("rlgrid.window.replay.SLICE", 1e9)  # whatever compiles
    pressed = [[], [], [pygame.event.Event(pygame.KEYDOWN, key=pygame.K_ESCAPE, mod=0)]]
    monkeypatch.setattr(pygame.display, "get_init", lambda: True)
    monkeypatch.setattr(pygame.event, "get", lambda kinds: pressed.pop(0))
    shown.update()
    assert not shown.running
    assert not pressed
    engine = shown.replay.link.engine
    assert engine is not None
    assert engine.count == 64 * (1 + 2 + 4)  # three slices
    shown.draw()
    shown.replay.link.close()


def test_slices_change_nothing_of_a_replay(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    document = json.loads(saved.read_text())
    document["log"], document["pace"] = document["log"][:1], [[0.0, 0], [0.04, 3_000]]
    saved.write_text(json.dumps(document))
    counts = []
    for slice_ in (-1.0, 1e9):
        monkeypatch.setattr("rlgrid.window.replay.SLICE", slice_)
        replay = Replay(Session.load(saved))
        replay.step()
        engine = replay.link.engine
        assert engine is not None
        counts.append((engine.count, engine.agent.q_table.tobytes(), list(engine.trail)))
        replay.link.close()
    assert counts[0] == counts[1]
    assert counts[0][0] == 3_000


def test_a_view_that_no_window_has_is_brought_into_the_world(saved: Path) -> None:
    document = json.loads(saved.read_text())
    far = {"view": {"zoom": 1e6, "row": 1e300, "column": -1e300}}
    document["log"] = [document["log"][0], [document["log"][0][0], 0, "look", far]]
    saved.write_text(json.dumps(document))
    replay = Replay(Session.load(saved))
    for _ in range(3):
        replay.step()
        replay.app.draw()
    seen = replay.app.state.view
    assert 1.0 < seen.zoom < 10.0
    assert (seen.row, seen.column) == (4.0, 0.0)
    replay.app.resize((1600, 900))
    replay.app.state.view = View(1e6, 1e300, -1e300)  # however it came there
    replay.app.draw()
    replay.link.close()


def test_what_the_inspector_and_the_curves_showed_is_replayed(tmp_path: Path) -> None:
    link = LocalLink()
    app = App(link, (1280, 800), clock=link.clock)
    app.open("rlgrid/FrozenLake-v1", "q_learning", 40.0)
    for number in range(8):
        link.pass_time(0.1)
        app.update()
        app.draw()
        if number == 4:
            app.state.pinned = 6
            app.do("section:why")
            app.do("curve:0")
            app.do("entry:2")
    path = app.recorder.finished().save(tmp_path / "seen")
    replay = Replay(Session.load(path))
    while not replay.over:
        replay.step()
    assert replay.app.state.section == app.state.section == "why"
    assert replay.app.state.curves == app.state.curves != ()
    replay.link.close()
    document = json.loads(path.read_text())
    for wrong in ({"section": "all"}, {"curves": ["error", "loss"]}, {"curves": ["error"] * 4}, {"curves": [[]]}):
        path.write_text(json.dumps(document | {"log": [document["log"][0], [0.5, 0, "look", wrong]], "pace": []}))
        with pytest.raises(SessionError, match=next(iter(wrong))):
            Session.load(path)


def test_settings_that_ask_for_too_much_are_refused(saved: Path) -> None:
    document = json.loads(saved.read_text(encoding="utf-8"))
    document["log"][0][3] |= {"agent": "dqn", "settings": {"buffer_size": 10**12}}
    saved.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(SessionError, match="memory"):
        Replay(Session.load(saved)).step()


# --- on a screen and into files ---------------------------------------------------------------------------------------


def test_a_replay_in_a_window_keeps_time(saved: Path) -> None:
    now = [0.0]
    shown = OnScreen(Replay(Session.load(saved)), lambda: now[0])
    shown.update()
    assert shown.replay.frame == 1
    for _ in range(10):
        now[0] += 1.0 / 60
        shown.update()
    assert shown.replay.frame == pytest.approx(1 + 10 * RATE / 60, abs=1)
    shown.handle(pygame.event.Event(pygame.KEYDOWN, key=pygame.K_SPACE, mod=0))
    frame = shown.replay.frame
    now[0] += 3.0
    shown.update()
    assert shown.replay.frame == frame
    assert shown.state.notice == HELD
    shown.handle(pygame.event.Event(pygame.KEYDOWN, key=pygame.K_SPACE, mod=0))
    assert shown.state.notice != HELD
    now[0] += 1.01 / RATE
    shown.update()
    assert shown.replay.frame == frame + 1
    while not shown.replay.over:
        now[0] += 1.0 / RATE
        shown.update()
    last = pixels(shown.draw()).copy()
    *_, end = Replay(Session.load(saved)).pictures()
    assert np.array_equal(last, pixels(end))
    for seconds, words in ((0.0, ""), (0.5, ""), (1.0, OVER)):
        now[0] += seconds
        shown.update()
        assert shown.state.notice == words
    shown.handle(pygame.event.Event(pygame.KEYDOWN, key=pygame.K_ESCAPE, mod=0))
    assert not shown.running


def test_replay_to_a_picture(saved: Path, tmp_path: Path) -> None:
    target = tmp_path / "end.png"
    assert launch.main(["--replay", str(saved), "--record", str(target)]) == 0
    *_, last = Replay(Session.load(saved)).pictures()
    assert np.array_equal(pixels(pygame.image.load(target)), pixels(last))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--replay", "missing.rlgrid", "--record", "x.png"], "there is no session missing.rlgrid"),
        (["--replay", "x.rlgrid", "--agent", "dqn"], "--agent is in the session"),
        (["--record", "x.avi"], ".gif, .png, .mp4"),
    ],
)
def test_options_that_do_not_fit(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        status = launch.main(arguments)
    except SystemExit as left:
        status = int(left.code or 0)
    assert status == 2
    assert words in capsys.readouterr().err


def test_films_without_ffmpeg_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(record.shutil, "which", lambda name: None)
    with pytest.raises(SystemExit):
        launch.main(["--record", str(tmp_path / "x.mp4")])
    assert "with ffmpeg, which is not installed here" in capsys.readouterr().err


FFMPEG = """#!{python}
import sys
size = next(a for a in sys.argv if "x" in a and a.replace("x", "").isdigit())
w, h = map(int, size.split("x"))
data = sys.stdin.buffer.read()
if {fails}:
    sys.exit("no such codec")
open(sys.argv[-1], "w").write(f"{{w}} {{h}} {{len(data) / (3 * w * h):g}}")
"""


@pytest.mark.skipif(os.name == "nt", reason="no script can stand for a program here")
@pytest.mark.parametrize("fails", [False, True])
def test_films_go_through_ffmpeg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: bool) -> None:
    program = tmp_path / "ffmpeg"
    program.write_text(FFMPEG.format(python=sys.executable, fails=fails), encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setattr(record, "ffmpeg", lambda: str(program))
    writer = Mp4Writer(tmp_path / "film.mp4", 20.0)
    surface = pygame.Surface((65, 49))  # a column and a row more than its colours can have
    for _ in range(3):
        writer.add(surface)
    writer.add(pygame.Surface((10, 10)))  # of another size: the one before lasts longer
    if fails:
        with pytest.raises(OSError, match="no such codec"):
            writer.close()
    else:
        writer.close()
        assert (tmp_path / "film.mp4").read_text() == "64 48 4"


SHOW = """
import hashlib, sys, pygame
from rlgrid.window.record import pixels
from rlgrid.window.replay import Replay
from rlgrid.window.session import Session
replay = Replay(Session.load(sys.argv[1]))
pygame.display.init()
assert pygame.display.get_driver() == "x11", pygame.display.get_driver()
screen = pygame.display.set_mode(replay.app.size)
for picture in replay.pictures():
    screen.blit(picture, (0, 0))
    pygame.display.flip()
    print(hashlib.sha256(pixels(screen).tobytes()).hexdigest())
"""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("Xvfb") is None, reason="there is no X server here")
def test_a_replay_on_a_screen_has_the_frames_of_one_without(saved: Path, tmp_path: Path) -> None:
    script = tmp_path / "show.py"
    script.write_text(SHOW, encoding="utf-8")
    read, write = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write), "-screen", "0", "1280x800x24"], pass_fds=[write], stderr=subprocess.DEVNULL
    )
    try:
        os.close(write)
        with os.fdopen(read) as told:
            display = told.readline().strip()
        environment = os.environ | {"DISPLAY": f":{display}", "SDL_VIDEODRIVER": "x11", "PYTHONPATH": str(ROOT)}
        environment["PYGAME_HIDE_SUPPORT_PROMPT"] = "1"
        done = subprocess.run(
            [sys.executable, str(script), str(saved)], env=environment, capture_output=True, text=True, check=True
        )
    finally:
        server.terminate()
        server.wait()
    assert done.stdout.split() == hashes(Session.load(saved))
