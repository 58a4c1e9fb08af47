"""Every tabular agent converges to the optimum in at least five worlds, with the settings that docs/agents.md gives."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from rlgrid.agents import AGENTS, agent_class

DOCS = Path(__file__).parent.parent / "docs"


def script() -> Any:
    """docs/convergence.py as a module."""
    spec = importlib.util.spec_from_file_location("docs_convergence", DOCS / "convergence.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


RUNS = script()


@pytest.mark.slow
@pytest.mark.parametrize("case", RUNS.CASES, ids=lambda case: case.agent)
def test_an_agent_finds_the_optimum(case: Any) -> None:
    found = {world: RUNS.shares(case, world) for world in case.worlds}
    assert {len(each) for each in found.values()} == {3}
    assert {world: max(each) for world, each in found.items() if not max(each) <= RUNS.MOST} == {}


def test_the_page_gives_the_settings() -> None:
    page = (DOCS / "agents.md").read_text(encoding="utf-8")
    _, _, rest = page.partition(RUNS.BEGIN)
    written, end, _ = rest.partition(RUNS.END)
    assert end
    settings, _, shares = written.partition("| % |")
    for case in RUNS.CASES:
        assert RUNS.told(case) in settings
        assert len(case.worlds) >= 5
        (line,) = [line for line in shares.splitlines() if line.startswith(f"| `{case.agent}` |")]
        cells = [cell.strip() for cell in line.strip("|").split("|")[1:]]
        assert [world for world, cell in zip(RUNS.COLUMNS, cells, strict=True) if cell] == [
            world for world in RUNS.COLUMNS if world in case.worlds
        ]
        assert all(float(cell) < 100 * RUNS.MOST for cell in cells if cell)


def test_every_agent_that_learns_a_table_of_q_values_is_there() -> None:
    """Planners, networks and those that predict apart; those of provable exploration have tests of their own."""
    apart = {"value_iteration", "dqn", "recurrent_dqn", "r_max", "ucb_q_learning", "ucbvi", "psrl"}
    names = {name for name, title in AGENTS.items() if "prediction" not in title} - apart
    assert {agent_class(name).__name__ for name in names} == {case.agent for case in RUNS.CASES}
