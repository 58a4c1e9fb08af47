"""`python play.py`: its options, the window on a screen, and the same scene as a film where there is no screen."""

from __future__ import annotations

import argparse
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlgrid.window import freeing
from rlgrid.window.link import Link

if TYPE_CHECKING:
    import pygame

    from rlgrid.window.app import App
    from rlgrid.window.saving import Saver

FILM_SECONDS, FILM_RATE = 40.0, 10.0
FRAMES = 60  # a second
LOOK = 0.008  # seconds between two looks for events, where nothing else is to be done
GLIDES = 30  # of them while nothing moves but what glides or flashes by itself
FREED = 10.0  # seconds between two times that memory is given back
STOPPED = 130  # the exit status of a program that was stopped from the keyboard

_EPILOG = """\
examples:
  python play.py                                            the tour: value iteration, Q-learning, DQN
  python play.py --world CliffWalking-v1 --agent q_learning Q-learning on the cliff
  python play.py --world my_world.toml --speed 20           a map of your own, 20 sweeps a second
  python play.py --race q_learning,sarsa --world CliffWalking-v1   two agents side by side
  python play.py --record tour.gif --seconds 30             the first 30 seconds as a film, also without a display
  python play.py --replay lesson.rlgrid                     a session that was saved, as it was

In the window: Space pauses, . steps, W and A choose world and agent, F1 shows all keys.
"""


def parser() -> argparse.ArgumentParser:
    """The options of play.py."""
    from rlgrid.agents import AGENTS

    found = argparse.ArgumentParser(
        prog="play.py",
        description="Watch value iteration, tabular agents and a DQN solve a gridworld.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    found.add_argument("--world", metavar="WORLD", help="an id (rlgrid/FourRooms-v0), a built-in map or a map file")
    found.add_argument("--agent", choices=tuple(AGENTS), metavar="AGENT", help=f"what solves it: {', '.join(AGENTS)}")
    found.add_argument("--race", metavar="A,B", help="two to four agents side by side, such as q_learning,sarsa")
    found.add_argument("--seed", type=int, default=0, help="of the agent and of the world (default 0)")
    found.add_argument("--speed", metavar="N", help='sweeps or steps a second, or "full"')
    found.add_argument("--theme", choices=("dark", "light"), default="dark")
    found.add_argument("--size", metavar="WxH", help="of the window in pixels (default 1280x800)")
    found.add_argument("--scale", type=float, help="of letters and controls, 0.75 to 3 (default by the window's size)")
    found.add_argument(
        "--lesson", metavar="NAME", help='a guided lesson by its name, or of a .toml file; "list" names them'
    )
    found.add_argument("--paused", action="store_true", help="begin paused")
    found.add_argument(
        "--record", metavar="FILE", type=Path, help="write what is seen to a .gif or an .mp4, or its end to a .png"
    )
    found.add_argument("--replay", metavar="FILE", help='a session that was saved, or "last" for the last one')
    found.add_argument("--frames", type=int, help=f"frames to record, {FILM_RATE:g} a second")
    found.add_argument("--seconds", type=float, help=f"seconds to record (default {FILM_SECONDS:g})")
    found.add_argument("--profile-start", action="store_true", help="print how long the start took, and end")
    return found


def check(options: argparse.Namespace) -> None:
    """Turn texts into what they mean.

    Raises:
        ValueError: naming the option that is wrong and what may be written.
    """
    options.sized = options.size is not None
    options.size = options.size or "1280x800"
    width, cross, height = options.size.lower().partition("x")
    if not (cross and width.isdigit() and height.isdigit()) or int(width) < 640 or int(height) < 480:
        raise ValueError(f"--size must be WIDTHxHEIGHT of at least 640x480, such as 1280x800, not {options.size!r}")
    options.size = (min(int(width), 7680), min(int(height), 4320))
    if options.speed is not None:
        if options.speed == "full":
            options.speed = math.inf
        else:
            try:
                options.speed = float(options.speed)
            except ValueError:
                options.speed = 0.0
            if not options.speed > 0:
                raise ValueError('--speed must be a positive number of sweeps or steps a second, or "full"')
    if options.scale is not None and not 0.75 <= options.scale <= 3.0:
        raise ValueError(f"--scale is a number from 0.75 to 3, not {options.scale:g}")
    if options.seed < 0:
        raise ValueError(f"--seed must be at least 0, not {options.seed}")
    if options.record is not None:
        from rlgrid.window.record import check_target

        check_target("--record", options.record)
    if options.lesson is not None:
        for name in ("world", "agent", "speed", "replay"):
            if getattr(options, name) is not None:
                raise ValueError(f"--{name} is in the lesson that --lesson gives: leave it out")
    if options.race is not None:
        from rlgrid.window.lanes import check_agents

        for name in ("agent", "lesson", "replay"):
            if getattr(options, name) is not None:
                raise ValueError(f"--{name} and --race exclude each other: --race names all agents")
        options.race = check_agents(tuple(part.strip() for part in options.race.split(",")))
    if options.replay is not None:
        for name in ("world", "agent", "speed", "frames", "seconds"):
            if getattr(options, name) is not None:
                raise ValueError(f"--{name} is in the session that --replay shows: leave it out")
    for name in ("frames", "seconds"):
        value = getattr(options, name)
        if value is not None and not value > 0:
            raise ValueError(f"--{name} must be positive, not {value}")
        if value is not None and options.record is None and has_display():
            raise ValueError(f"--{name} says how much to record: it needs --record FILE")


def has_display() -> bool:
    """Whether there is a screen to open a window on."""
    if os.environ.get("SDL_VIDEODRIVER") in ("dummy", "offscreen"):
        return False
    if sys.platform.startswith("linux") and not os.environ.get("SDL_VIDEODRIVER"):
        return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    return True


def two_pygames() -> str:
    """What to do where both pygame and pygame-ce are installed, which overwrite each other; "" where all is well."""
    from importlib.metadata import PackageNotFoundError, version

    found = []
    for name in ("pygame", "pygame-ce"):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    if len(found) < 2:
        return ""
    return (
        f"{' and '.join(found)} are both installed and overwrite each other. "
        "Remedy: python -m pip uninstall -y pygame pygame-ce && python -m pip install pygame-ce"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run play.py; its exit status.

    Ctrl+C in the terminal, a terminal that is closed, or being told to end, ends it as Esc does. What whoever started
    it has chosen for these signals stays: under ``nohup`` a recording goes on.
    """
    if threading.current_thread() is threading.main_thread():
        for name in ("SIGHUP", "SIGTERM"):
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, signal.default_int_handler)
    try:
        return _main(arguments)
    except KeyboardInterrupt:
        return STOPPED


def _main(arguments: Sequence[str] | None) -> int:
    began = time.perf_counter()
    found = parser()
    options = found.parse_args(arguments)
    try:
        check(options)
    except ValueError as error:
        found.error(str(error))
    trouble = two_pygames()
    if trouble:
        print(trouble, file=sys.stderr)
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    if options.replay is not None:
        try:
            return replay(options)
        except (ValueError, OSError) as error:
            print(f"play.py: {error}", file=sys.stderr)
            return 2
    lesson = None
    if options.lesson is not None:
        from rlgrid.window import lessons

        try:
            if options.lesson == "list":
                print("\n".join(f"{name.partition('-')[2]:20}{lessons.lesson(name).title}" for name in lessons.names()))
                return 0
            lesson = lessons.lesson(options.lesson)
        except (ValueError, OSError) as error:
            print(f"play.py: {error}", file=sys.stderr)
            return 2
    tour = options.agent is None and options.speed is None and lesson is None and options.race is None

    def begin(app: App) -> None:
        from rlgrid.window import scaling

        app.state.playing = not options.paused
        app.rescale(scaling.usual(app.size) if options.scale is None else options.scale)
        if lesson is not None:
            app.teach(lesson)
        else:
            agent, *rivals = options.race or [options.agent or "value_iteration"]
            app.open(options.world or "rlgrid/FourRooms-v0", agent, options.speed, rivals=tuple(rivals))
        if trouble:
            app.say(trouble, 20.0)

    if has_display() and options.record is None:
        link = Link()
        link.start()  # it imports while the window opens
        try:
            return run(link, options, begin, tour, began)
        except (ValueError, FileNotFoundError) as error:
            print(f"play.py: {error}", file=sys.stderr)
            return 2
        finally:
            link.close()
    target = options.record
    if target is None:
        target = Path("play.gif")
        print(f"There is no display, so what would be seen is written to {target}.")
    seconds = options.seconds
    if options.frames is not None:
        seconds = options.frames / FILM_RATE
    try:
        film(target, begin, options.size, options.theme, options.seed, tour, seconds or FILM_SECONDS)
    except (ValueError, OSError) as error:
        print(f"play.py: {error}", file=sys.stderr)
        return 2
    return 0


# --- without a screen -------------------------------------------------------------------------------------------------


def film(
    target: Path | None,
    begin: Callable[[App], None],
    size: tuple[int, int],
    theme: str,
    seed: int,
    tour: bool,
    seconds: float,
    rate: float = FILM_RATE,
) -> list[Any]:
    """The scene in simulated time, written to a file, or returned as frames where there is no target.

    The same arguments give the same frames. See `rlgrid.window.record.write_frames`.
    """
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    from rlgrid.window.app import App
    from rlgrid.window.local import LocalLink
    from rlgrid.window.record import write_frames

    link = LocalLink()
    app = App(link, size, theme=theme, clock=link.clock, tour=tour, seed=seed)
    begin(app)
    count = max(1, round(seconds * rate))

    def pictures() -> Iterator[pygame.Surface]:
        try:
            for _ in range(count):
                link.pass_time(1.0 / rate)
                app.update()
                app.update()  # takes the answers to what the first one asked
                if app.state.error:
                    raise ValueError(app.state.error)
                yield app.draw()
        finally:
            link.close()

    return write_frames(pictures(), count, target, rate)


def replay(options: argparse.Namespace) -> int:
    """A saved session again, in a window or into a file; the exit status."""
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    import pygame

    from rlgrid.window.record import write_frames
    from rlgrid.window.replay import RATE, OnScreen, Replay
    from rlgrid.window.saving import Saver
    from rlgrid.window.session import Session, last_session

    path = last_session() if options.replay == "last" else Path(options.replay)
    shown = Replay(Session.load(path), options.size if options.sized else None)
    if options.record is not None or not has_display():
        target = options.record
        if target is None:
            target = Path("play.gif")
            print(f"There is no display, so what would be seen is written to {target}.")
        write_frames(shown.pictures(), shown.frames, target, RATE)
        return 0
    saver = Saver()
    try:
        title = f"rlgrid: {path.name}, replayed (Space holds, Esc ends)"
        screen = open_window(shown.app.size, title, resizable=False)
        if screen is None:
            return 1
        _loop(OnScreen(shown), screen, time.perf_counter(), False, saver)
    finally:
        pygame.display.quit()
        shown.link.close()
        saver.close()
    return 0


# --- on a screen ------------------------------------------------------------------------------------------------------


def run(link: Link, options: Any, begin: Callable[[App], None], tour: bool, began: float) -> int:
    """Open the window and stay until it is closed."""
    import pygame

    from rlgrid.window.app import App
    from rlgrid.window.preparing import Preparation
    from rlgrid.window.saving import Saver
    from rlgrid.window.session import keep_last

    preparation, saver = Preparation(), Saver()
    opened = False
    try:
        app = App(link, options.size, theme=options.theme, tour=tour, seed=options.seed)
        app.scene.ready, app.scene.in_turns, link.prepare = preparation.ready, True, app.inbox.prepare
        begin(app)
        screen = open_window(options.size, "rlgrid")
        if screen is None:
            return 1
        if screen.get_size() != options.size:
            app.size = screen.get_size()
        opened = True
        _loop(app, screen, began, options.profile_start, saver)
    finally:
        pygame.display.quit()  # gone at once; the worker is killed, whatever it is doing
        link.close()
        preparation.close()
        saver.close()
        if opened:
            keep_last(app.recorder.finished())
    return 0


def open_window(size: tuple[int, int], title: str, resizable: bool = True) -> pygame.Surface | None:
    """A window; None where none can be opened, which is said."""
    import pygame

    # What is drawn lies in memory already: handed straight to the display it costs less than as a texture, far less
    # where no graphics processor is there and SDL would have one imitated.
    os.environ.setdefault("SDL_FRAMEBUFFER_ACCELERATION", "0")
    pygame.display.init()
    pygame.display.set_caption(title)
    pygame.display.set_icon(_icon())
    try:
        screen = pygame.display.set_mode(size, pygame.RESIZABLE if resizable else 0)
    except pygame.error as error:
        print(f"play.py: no window can be opened ({error}); --record FILE writes what would be seen", file=sys.stderr)
        return None
    pygame.key.set_repeat(350, 60)
    return screen


def _icon() -> pygame.Surface:
    """Four cells, one of them the accent's colour."""
    import pygame

    from rlgrid.theme import DARK
    from rlgrid.window import shapes

    icon = pygame.Surface((64, 64), pygame.SRCALPHA)
    for spot, colour in (
        ((6, 6), DARK.second),
        ((34, 6), DARK.raised),
        ((6, 34), DARK.raised),
        ((34, 34), DARK.accent),
    ):
        shapes.box(icon, pygame.Rect(spot, (24, 24)), colour, 5)
    return icon


def _loop(app: Any, screen: pygame.Surface, began: float, profile: bool, saver: Saver | None = None) -> None:
    """60 frames a second while something moves; otherwise asleep until something happens."""
    import pygame

    from rlgrid.window.saving import Saver

    own = saver is None
    saver = saver or Saver()
    ticker = pygame.time.Clock()
    previous: pygame.Surface | None = None
    first = True
    freed = time.perf_counter()
    while app.running:
        app.update()
        picture: pygame.Surface = app.draw()
        if picture is not previous:
            screen = pygame.display.get_surface() or screen  # another one after the window was resized
            screen.blit(picture, (0, 0))
            pygame.display.flip()
            previous = picture
        elif app.scene.changed:
            for part in app.scene.changed:
                screen.blit(picture, part, part)
            pygame.display.update(app.scene.changed)
        if first and profile:
            print(f"first frame after {time.perf_counter() - began:.2f} s", flush=True)
        first = False
        if profile and app.first_tables is not None and app.state.snapshot.count >= 1:
            print(f"learning visible after {time.perf_counter() - began:.2f} s", flush=True)
            return
        saver.serve(app, picture)
        if time.perf_counter() - freed > FREED:
            freeing.give_back()
            freed = time.perf_counter()
        busy = app.animating or saver.recording
        if app.hurried or saver.recording:
            ticker.tick(FRAMES)
            events = pygame.event.get()
        elif busy:
            events = _events_within(1 / GLIDES)
        else:  # nothing moves, but look for snapshots often enough
            events = _events_within(0.016 if app.state.playing else 0.06)
        for event in events:
            app.handle(event)
            if event.type in (pygame.WINDOWEXPOSED, pygame.WINDOWRESTORED):
                previous = None  # what lay over the window has taken the picture away
    if own:
        saver.close()


def _events_within(seconds: float) -> list[pygame.event.Event]:
    """The next events, or none after so long. SDL's own waiting looks a thousand times a second."""
    import pygame

    end = time.perf_counter() + seconds
    while not (events := pygame.event.get()) and (left := end - time.perf_counter()) > 0.0:
        time.sleep(min(left, LOOK))
    return events


# --- from a script ----------------------------------------------------------------------------------------------------


def watch(
    env: Any,
    agent: Any,
    *,
    theme: str = "dark",
    size: tuple[int, int] = (1280, 800),
    speed: float | None = None,
    record: str | os.PathLike[str] | None = None,
    seconds: float = FILM_SECONDS,
) -> list[Any] | None:
    """The window of play.py on an environment and an agent.

    An agent of `rlgrid.agents` goes on learning (or planning) in it, in a copy: the caller's objects stay as they
    are. Any other object with ``predict(observation) -> (action, state)`` is watched acting; where observations are
    the states of a known model, its policy is drawn and valued exactly. A foreign environment without a model
    shows the pictures that it renders (``render_mode="rgb_array"``).

    Args:
        env: a Gymnasium environment.
        agent: of `rlgrid.agents`, or any object with ``predict``.
        theme: "dark" or "light". size: (width, height) of the window in pixels.
        speed: sweeps or steps a second, infinity for as fast as possible; None chooses.
        record: write ``seconds`` of it to this .gif or .mp4 (or its end to this .png) instead of opening a window.

    Returns:
        None after the window was closed or the file was written. Without a display and without ``record``: the
        frames, a list of uint8 [H, W, 3], ten for each of ``seconds``.

    Raises:
        TypeError: if ``agent`` cannot predict, or env or agent cannot be sent to another process.
        ValueError: if a recorded run fails, or the file is none that can be recorded into.
    """
    import pickle

    import cloudpickle  # type: ignore[import-untyped]

    from rlgrid.theme import theme_of
    from rlgrid.window.actors import model_of

    if not callable(getattr(agent, "predict", None)):
        raise TypeError(f"agent must have predict(observation) -> (action, state), as {type(agent).__name__} has not")
    if not hasattr(env, "unwrapped"):
        raise TypeError(f"env must be a Gymnasium environment, not {env!r}")
    theme = theme_of(theme).name
    target = None if record is None else Path(record)
    if target is not None:
        from rlgrid.window.record import check_target

        check_target("record", target)
    try:
        pickled = cloudpickle.dumps((env, agent))
    except (TypeError, pickle.PicklingError, AttributeError) as error:
        raise TypeError(f"env and agent run in a process of their own, but cannot be sent to it: {error}") from error
    model = model_of(env)
    spec = getattr(env.unwrapped, "spec", None) or getattr(env, "spec", None)
    title = _world_title(str(getattr(model, "name", ""))) or (
        spec.id if spec is not None else type(env.unwrapped).__name__
    )
    unit = str(getattr(agent, "unit", "step"))
    learns = hasattr(agent, "advance")
    pace = speed if speed is not None or learns else 6.0

    def begin(app: App) -> None:
        app.watch(pickled, model, (title, _agent_title(agent)), unit, pace)

    if target is None and has_display():
        link = Link()
        try:
            options = argparse.Namespace(size=size, theme=theme, seed=0, profile_start=False)
            run(link, options, begin, False, time.perf_counter())
        finally:
            link.close()
        return None
    frames = film(target, begin, size, theme, 0, False, seconds)
    return frames if target is None else None


def _world_title(name: str) -> str:
    """The title of a built-in map by its name; another name is its own title."""
    from rlgrid.envs import WORLDS

    return dict(WORLDS.values()).get(name, name)


def _agent_title(agent: Any) -> str:
    from rlgrid.agents import AGENTS, agent_class

    name = type(agent).__name__
    return next((title for key, title in AGENTS.items() if agent_class(key).__name__ == name), name)
