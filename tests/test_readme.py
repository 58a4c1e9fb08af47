"""README.md and docs/: every block of Python runs, every command line works, every relative link leads somewhere."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rlgrid
import rlgrid.window.launch
from rlgrid.cli import main

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def fences(page: Path, languages: str) -> list[tuple[str, str]]:
    """(language, text) of the fenced blocks of a page."""
    return re.findall(rf"^```({languages})\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


SCRIPTS = [text for _, text in fences(ROOT / "README.md", "python")]


def watch_for_a_second(env: Any, agent: Any) -> None:
    """`rlgrid.watch` as it is without a display: the frames of the window, fewer of them."""
    frames = rlgrid.window.launch.watch(env, agent, seconds=1.0)
    assert frames is not None
    assert len(frames) == 10
    assert np.any(frames[-1] != frames[0])  # something happened


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(rlgrid, "watch", watch_for_a_second, raising=False)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(SCRIPTS)))
def test_scripts_of_the_readme_run(number: int) -> None:
    exec(compile(SCRIPTS[number], f"script {number + 1} of README.md", "exec"), {"__name__": "__main__"})


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES[1:], ids=lambda page: page.stem)
def test_a_page_runs_from_top_to_bottom(page: Path, tmp_path: Path) -> None:
    """Blocks of Python go on from those above them; a map is what my_world.toml holds from there on."""
    names: dict[str, Any] = {"__name__": "__main__"}
    for language, text in fences(page, "python|toml"):
        if language == "python":
            exec(compile(text, str(page), "exec"), names)
        elif "map = " in text:
            (tmp_path / "my_world.toml").write_text(text, encoding="utf-8")


def test_readme_has_a_script_for_each_use() -> None:
    assert len(SCRIPTS) == 4
    assert all(len(text.strip().splitlines()) <= 17 for text in SCRIPTS)
    assert any("rlgrid.watch(" in text for text in SCRIPTS)


def test_readme_opens_with_the_window_and_gives_the_two_commands() -> None:
    assert README.startswith("![")
    assert "docs/images/screens/opening-dark.png" in README.splitlines()[0]
    lines = [line.strip() for line in README.splitlines()]
    assert "python -m pip install -e . && python play.py" in lines
    assert 'python -m pip install -e ".[test]" && python -m pytest' in lines


@pytest.mark.slow
def test_command_lines_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    commands = re.findall(r"^    rlgrid (.+)$", README, re.MULTILINE)
    assert {line.split()[0] for line in commands} == {
        "envs",
        "solve",
        "train",
        "evaluate",
        "enjoy",
        "record",
        "plot",
        "tune",
    }
    for line in commands:
        assert main(line.split()) == 0, capsys.readouterr().err
    assert (tmp_path / "cliff.gif").is_file()
    assert (tmp_path / "curves.png").is_file()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
