"""The pictures of docs/screens.md, and the page itself: python docs/screenshots.py [NAME ...]

Each screen of docs/screens.py is played in a window on a real X server (Xvfb), keys and clicks given by xdotool, and
taken from that server by ImageMagick's import. Time is simulated, so that the same pictures come out every time.

--headless  makes the pictures without a server, key by key alike
--check     makes both and says where they differ; writes nothing
--page      writes the page alone
--out DIR   writes the pictures there, as they are, and no page
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import Any

os.environ["SDL_VIDEO_WINDOW_POS"] = "0,0"
os.environ["PYGAME_HIDE_SUPPORT_PROMPT"] = "1"

import numpy as np
import pygame
from numpy.typing import NDArray
from PIL import Image
from screens import SCREENS, Screen

from rlgrid.theme import THEMES
from rlgrid.window import scaling
from rlgrid.window.app import App
from rlgrid.window.local import LocalLink
from rlgrid.window.record import pixels

PICTURES = Path(__file__).parent / "images" / "screens"
PAGE = Path(__file__).parent / "screens.md"
FRAME = 0.1  # simulated seconds
ROOM = (4000, 2300)  # pixels of the server: the pointer has room beside the largest window
BESIDE = (ROOM[0] - 2, ROOM[1] - 2)  # where the pointer is when it is not in the window
PATIENCE = 5.0  # seconds for a key to come through the server

MODIFIERS = {"shift": pygame.KMOD_SHIFT, "ctrl": pygame.KMOD_CTRL}
KEYSYMS = {"space": "space", "return": "Return", "escape": "Escape", "tab": "Tab", "f1": "F1", "f2": "F2", "f6": "F6"}
KEYSYMS |= {"up": "Up", "down": "Down", "left": "Left", "right": "Right", "end": "End", "page down": "Next"}
KEYSYMS |= {
    ".": "period",
    ",": "comma",
    "[": "bracketleft",
    "]": "bracketright",
    "=": "equal",
    "-": "minus",
    "%": "percent",
}

Spot = tuple[int, int]


class Stage:
    """An app in simulated time, led through what a screen does; without a server, events are handed to the app."""

    def __init__(self, screen: Screen) -> None:
        pygame.display.init()
        self.link = LocalLink()
        self.app = App(self.link, screen.size, theme=screen.theme, clock=self.link.clock, tour=screen.tour)
        self.app.rescale(screen.scale or scaling.usual(screen.size))
        if screen.begin is not None:
            screen.begin(self.app)
        else:
            self.app.open(screen.world, screen.agents[0], screen.speed, rivals=screen.agents[1:])
        self.show()
        for words in screen.does:
            self.do(*words.split(maxsplit=1))
        self.show()

    # --- what a screen may do -----------------------------------------------------------------------------------------

    def do(self, name: str, rest: str = "") -> None:
        """One thing: see `Screen.does`."""
        if name == "wait":
            for _ in range(round(float(rest) / FRAME)):
                self.frame()
        elif name == "key":
            *held, key = rest.split("+")
            self.key(key or "+", held)
        elif name == "type":
            for letter in rest:
                self.key("space" if letter == " " else letter, [])
        elif name == "change":
            which, value = rest.split()
            self.app.change(which, float(value))
        elif name == "do":
            self.app.do(rest)
        elif name in ("point", "click", "wheel"):
            where, _, notches = rest.partition(" by ")
            self.point(self.spot(where))
            self.show()
            if name == "click":
                self.button(True)
                self.button(False)
            for _ in range(abs(int(notches or 0))):
                self.wheel(1 if int(notches) > 0 else -1)
        elif name == "drag":
            first, *further = [self.spot(where) for where in rest.split(" to ")]
            self.point(first)
            self.button(True)
            for at in further:
                self.point(at)
            self.button(False)
        elif name == "away":
            self.away()
        else:
            raise ValueError(f"a screen cannot {name!r}")
        self.show()

    def spot(self, where: str) -> Spot:
        """Pixels of the window, of a cell or a control as `Screen.does` names them."""
        scene, k = self.app.scene, self.app.scene.scale
        if where.replace(",", "").isdecimal():
            row, column = (int(part) for part in where.split(","))
            assert scene._layout is not None
            x, y = scene._layout.centre(row, column)
            return round((scene.map_place.left + x) * k), round((scene.map_place.top + y) * k)
        name, _, part = where.rpartition(" ")
        if not part.replace(".", "").isdecimal():
            name, part = where, ""
        control = next((one for one in scene.controls if one.name == name or one.name.startswith(f"{name}:")), None)
        if control is None:
            raise ValueError(f"there is no {name!r} on the screen, but {', '.join(c.name for c in scene.controls)}")
        x, y = control.rect.center
        if part:
            left, right = control.track
            x = left + float(part) * (right - left)
        return round(x * k), round(y * k)

    def frame(self) -> None:
        """A frame of simulated time, which nobody looks at."""
        self.link.pass_time(FRAME)
        self.app.update()
        self.app.update()  # takes the answers to what the first one asked

    def show(self) -> None:
        """Take what the engine says and draw it."""
        self.app.update()
        self.app.update()
        self.app.draw()

    # --- the keyboard and the pointer ---------------------------------------------------------------------------------

    at: Spot = (0, 0)

    def key(self, key: str, held: list[str]) -> None:
        """Press a key and let it go."""
        code, mod = pygame.key.key_code(key), sum(MODIFIERS[name] for name in held)
        typed = "" if mod & pygame.KMOD_CTRL else " " if key == "space" else key if len(key) == 1 else ""
        self._event(pygame.KEYDOWN, key=code, mod=mod, unicode=typed)
        self._event(pygame.KEYUP, key=code, mod=mod)

    def point(self, at: Spot) -> None:
        """Move the pointer."""
        self.at = at
        self._event(pygame.MOUSEMOTION, pos=at, rel=(0, 0), buttons=(0, 0, 0))

    def button(self, down: bool) -> None:
        """The left button."""
        self._event(pygame.MOUSEBUTTONDOWN if down else pygame.MOUSEBUTTONUP, button=1, pos=self.at)

    def wheel(self, notches: int) -> None:
        """Turn the wheel."""
        self._event(pygame.MOUSEWHEEL, x=0, y=notches)

    def away(self) -> None:
        """The pointer leaves the window."""
        self._event(pygame.WINDOWLEAVE)

    def _event(self, kind: int, **what: Any) -> None:
        self.app.handle(pygame.event.Event(kind, **what))

    def picture(self) -> NDArray[np.uint8]:
        """uint8 [H, W, 3]."""
        return pixels(self.app.draw())

    def close(self) -> None:
        """End, and put the window away."""
        self.link.close()
        pygame.display.quit()


class ServedStage(Stage):
    """The same in a window of an X server: events come from xdotool and the picture from the server."""

    def __init__(self, screen: Screen) -> None:
        pygame.display.init()  # anew for each: some environments end all of pygame
        self.window = pygame.display.set_mode(screen.size)
        pygame.display.flip()
        _tell("mousemove", 9, 9, "sleep", 0.1)
        found = subprocess.run(["xdotool", "getmouselocation", "--shell"], check=True, capture_output=True, text=True)
        window = next(line.partition("=")[2] for line in found.stdout.splitlines() if line.startswith("WINDOW="))
        _tell("windowfocus", "--sync", window)  # there is no window manager that would
        _tell("mousemove", *BESIDE)
        self.at = BESIDE
        for _ in range(5):
            pygame.event.get()
            time.sleep(0.02)
        super().__init__(screen)

    def _through(self, kind: int, *words: Any) -> None:
        """Have xdotool do something, and hand its events on until one of a kind has come."""
        _tell(*words)
        until = time.monotonic() + PATIENCE
        came = False
        while not came:
            if time.monotonic() > until:
                raise RuntimeError(f"the X server gave no event for: xdotool {' '.join(map(str, words))}")
            for event in pygame.event.get():
                came = came or event.type == kind
                self.app.handle(event)
            time.sleep(0.002)

    def key(self, key: str, held: list[str]) -> None:
        """Press a key and let it go."""
        self._through(pygame.KEYUP, "key", "+".join([*held, KEYSYMS.get(key, key)]))

    def point(self, at: Spot) -> None:
        """Move the pointer."""
        if at != self.at:
            self._through(pygame.MOUSEMOTION, "mousemove", *at)
        self.at = at

    def button(self, down: bool) -> None:
        """The left button."""
        kind = pygame.MOUSEBUTTONDOWN if down else pygame.MOUSEBUTTONUP
        self._through(kind, "mousedown" if down else "mouseup", 1)

    def wheel(self, notches: int) -> None:
        """Turn the wheel."""
        self._through(pygame.MOUSEWHEEL, "click", 4 if notches > 0 else 5)

    def away(self) -> None:
        """The pointer leaves the window."""
        if self.at != BESIDE:
            self._through(pygame.WINDOWLEAVE, "mousemove", *BESIDE)
        self.at = BESIDE

    def picture(self) -> NDArray[np.uint8]:
        """What the server shows of the window, uint8 [H, W, 3]."""
        self.window.blit(self.app.draw(), (0, 0))
        pygame.display.flip()
        pygame.event.pump()
        width, height = self.app.size
        part = ["-crop", f"{width}x{height}+0+0", "-depth", "8"]
        taken = subprocess.run(["import", "-window", "root", *part, "ppm:-"], check=True, capture_output=True)
        return np.asarray(Image.open(BytesIO(taken.stdout)).convert("RGB"))


def _tell(*words: Any) -> None:
    subprocess.run(["xdotool", *map(str, words)], check=True)


@contextmanager
def server() -> Iterator[None]:
    """An X server."""
    read, write = os.pipe()
    room = f"{ROOM[0]}x{ROOM[1]}x24"
    command = ["Xvfb", "-displayfd", str(write), "-screen", "0", room, "-nolisten", "tcp", "-noreset"]
    running = subprocess.Popen(command, pass_fds=(write,), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.close(write)
    try:
        with os.fdopen(read) as answer:
            number = answer.readline().strip()
        if not number:
            raise RuntimeError("Xvfb has not started")
        os.environ |= {"DISPLAY": f":{number}", "SDL_VIDEODRIVER": "x11"}
        yield
    finally:
        running.terminate()
        running.wait()


@contextmanager
def nowhere() -> Iterator[None]:
    """No server."""
    os.environ["SDL_VIDEODRIVER"] = "dummy"
    yield


def take(screen: Screen, stage: Callable[[Screen], Stage]) -> NDArray[np.uint8]:
    """The picture of a screen."""
    staged = stage(screen)
    try:
        return staged.picture()
    finally:
        staged.close()


def save(picture: NDArray[np.uint8], path: Path, widest: int = 1920) -> None:
    """Write a picture with 256 colours, the themes' own among them as they are; very wide ones scaled down."""
    image = Image.fromarray(picture)
    if image.width > widest:
        image = image.resize((widest, round(image.height * widest / image.width)), Image.Resampling.LANCZOS)
    kept = {colour for theme in THEMES.values() for colour in vars(theme).values() if isinstance(colour, tuple)}
    there = image.getcolors(1 << 24) or []
    if len(there) > 256:
        flat = sorted((many, colour) for many, colour in there if colour in kept)[-24:]
        # Colours count by the square root of their pixels: the few of a legend are not lost beside those of the ground.
        sample = [colour for many, colour in there for _ in range(round(many**0.5))]
        strip = Image.fromarray(np.array([sample], np.uint8))
        few = strip.quantize(256 - len(flat), Image.Quantize.MEDIANCUT, kmeans=1, dither=Image.Dither.NONE)
        colours = (few.getpalette() or [])[: 3 * (256 - len(flat))] + [c for _, colour in flat for c in colour]
        palette = Image.new("P", (1, 1))
        palette.putpalette(colours)
        numbers = np.array(image.quantize(palette=palette, dither=Image.Dither.NONE))
        for number, (_, colour) in enumerate(flat, 256 - len(flat)):  # what is nearest is only nearly found
            numbers[(np.asarray(image) == colour).all(axis=-1)] = number
        image = Image.fromarray(numbers, "P")
        image.putpalette(colours)
    else:
        image = image.quantize(256, dither=Image.Dither.NONE)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, optimize=True)


def page() -> str:
    """docs/screens.md: every picture, what it shows and how to get there."""
    parts = [
        "# Every screen of the window",
        "What each picture shows, and how to get there. [The window](window.md) is described on a page of its own; "
        "`python docs/screenshots.py` makes these pictures and this page.",
    ]
    group = ""
    for screen in SCREENS:
        if screen.group != group:
            group = screen.group
            parts.append(f"## {group}")
        how = screen.how if screen.how.endswith(".") or "`" in screen.how or not screen.how else f"Press {screen.how}."
        parts.append(f"**{screen.shows}** {how}".strip())
        parts.append(f"![{screen.shows.rstrip('.')}](images/screens/{screen.name}.png)")
    return "\n\n".join(parts) + "\n"


def main() -> int:
    """Make the pictures that are asked for; the exit status."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("names", nargs="*", metavar="NAME", help="of screens, or the beginning of names; none for all")
    for option in ("headless", "check", "page"):
        words.add_argument(f"--{option}", action="store_true")
    words.add_argument("--out", type=Path, metavar="DIR")
    options = words.parse_args()
    if options.page:
        PAGE.write_text(page(), encoding="utf-8")
        return 0
    chosen = [one for one in SCREENS if not options.names or one.name.startswith(tuple(options.names))]
    differing = 0
    with nowhere() if options.headless else server():
        for screen in chosen:
            began = time.perf_counter()
            picture = take(screen, Stage if options.headless else ServedStage)
            verdict = ""
            if options.check:
                same = np.array_equal(picture, take(screen, Stage))
                differing += not same
                verdict = ", alike without a server" if same else ", DIFFERS from the one without a server"
            elif options.out is not None:
                options.out.mkdir(parents=True, exist_ok=True)
                Image.fromarray(picture).save(options.out / f"{screen.name}.png")
            else:
                save(picture, PICTURES / f"{screen.name}.png")
            print(f"{screen.name}: {time.perf_counter() - began:.1f} s{verdict}", flush=True)
    if not options.check and options.out is None:
        if not options.names:
            for stale in set(PICTURES.glob("*.png")) - {PICTURES / f"{screen.name}.png" for screen in SCREENS}:
                with suppress(OSError):
                    stale.unlink()
        PAGE.write_text(page(), encoding="utf-8")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
