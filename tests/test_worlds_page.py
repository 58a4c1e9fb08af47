"""The page of worlds, docs/worlds.md, against the registry, and its numbers worked out anew."""

import ast
import importlib.util
import inspect
import re
from pathlib import Path
from typing import Any

import pytest

from rlgrid.envs import CLASSICS, GENERATED, MAPS, classics
from rlgrid.envs.racetrack import racetrack
from rlgrid.envs.taxi import taxi

DOCS = Path(__file__).parent.parent / "docs"


def script() -> Any:
    """docs/worlds.py as a module."""
    spec = importlib.util.spec_from_file_location("docs_worlds", DOCS / "worlds.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def page_rows() -> dict[str, list[str]]:
    """id -> states, actions, gamma, J*, best return, threshold and step cap, as the page has them."""
    page = (DOCS / "worlds.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \[`(rlgrid/\S+)`\]\(#\S+\) \| (.*) \|$", page, flags=re.MULTILINE)
    return {name: line.split(" | ") for name, line in rows}


def test_the_page_says_what_is_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that the script writes, but for the best returns, which the next test works out anew."""
    module, rows = script(), page_rows()
    assert sorted(rows) == sorted(MAPS | GENERATED | CLASSICS)
    monkeypatch.setattr(module, "best_return", lambda name: float(rows[name][4]))
    page = (DOCS / "worlds.md").read_text(encoding="utf-8")
    assert f"{module.BEGIN}\n{module.block()}\n\n{module.END}" in page
    headings = re.findall(r"^#+ (.*)$", page, flags=re.MULTILINE)
    anchors = [module.anchor(title) for title in headings]
    assert len(set(anchors)) == len(anchors)
    assert set(re.findall(r"\(#(\S+)\)", page)) <= set(anchors)
    shown = re.findall(r"\]\((images/\S+)\)", page)
    assert sorted(shown) == sorted(f"images/worlds/{path.name}" for path in (DOCS / "images" / "worlds").iterdir())
    assert sum((DOCS / path).stat().st_size for path in shown) < 1_500_000


def check_best_return(name: str) -> None:
    entry: Any = (MAPS | GENERATED | CLASSICS)[name]
    best = float(script().best_return(name))
    assert best == pytest.approx(float(page_rows()[name][4]), rel=5.1e-9)
    assert entry.reward_threshold <= best, "which nobody can reach"
    assert entry.reward_threshold >= best - 0.07 * abs(best), "which can be reached without solving the world"


LONG = {"rlgrid/Racetrack-v0", "rlgrid/RacetrackRight-v0", "rlgrid/JacksCarRental-v0"}


@pytest.mark.parametrize("name", sorted((MAPS | GENERATED | CLASSICS).keys() - LONG))
def test_no_threshold_exceeds_the_best_return_of_the_page(name: str) -> None:
    check_best_return(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(LONG))
def test_no_threshold_exceeds_the_best_return_of_the_page_of_large_worlds(name: str) -> None:
    check_best_return(name)


def test_the_page_tells_the_arguments_of_the_classics() -> None:
    page = (DOCS / "worlds.md").read_text(encoding="utf-8")
    listed = dict(re.findall(r"^\| `(\w+)` \| (`.*) \|$", page, flags=re.MULTILINE))
    assert listed.keys() == {classic.world for classic in CLASSICS.values()}
    for name, text in listed.items():
        build = {"racetrack": racetrack, "taxi": taxi}.get(name) or getattr(classics, name)
        defaults = {key: value.default for key, value in inspect.signature(build).parameters.items()}
        told = dict(re.findall(r"`(\w+)=([^`]*)`", text))
        assert [*told, "gamma"] == list(defaults)
        assert all(ast.literal_eval(value) == defaults[key] for key, value in told.items())


def test_the_scripts_of_the_page_run(capsys: pytest.CaptureFixture[str]) -> None:
    page = (DOCS / "worlds.md").read_text(encoding="utf-8")
    scope: dict[str, Any] = {}
    for text in re.findall(r"^```python\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL):
        exec(text, scope)
    assert scope["blind"].observation_space.n == 3
    assert capsys.readouterr().out.startswith("Puddle world Sutton (1996)")
