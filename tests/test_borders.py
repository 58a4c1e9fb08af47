"""Who may import whom: the contracts of pyproject.toml, and what ``import rlgrid`` may load."""

import ast
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import grimp
import pytest
from importlinter import cli

from rlgrid.kernels import source_hash

ROOT = Path(__file__).resolve().parent.parent
KERNELS = sorted(path for path in (ROOT / "rlgrid" / "kernels").glob("*.py") if path.name != "__init__.py")


def sources() -> list[Path]:
    folders = (ROOT / "rlgrid", ROOT / "envs", ROOT / "agents", ROOT / "tests", ROOT / "benchmarks")
    found = {path.resolve() for folder in folders for path in folder.rglob("*.py")}
    return sorted(found | {ROOT / "play.py"})


def imports(path: Path) -> set[str]:
    """Dotted names of everything that a file imports, inside functions too."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add("." * node.level + (node.module or ""))
    return names


def test_contracts_are_kept(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.syspath_prepend(str(ROOT))
    status = cli.lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True)
    assert status == cli.EXIT_STATUS_SUCCESS, capsys.readouterr().out


def test_contracts_see_the_linked_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    """``rlgrid.envs`` and ``rlgrid.agents`` are links in the checkout; a checker that skips them holds nothing."""
    monkeypatch.chdir(ROOT)
    monkeypatch.syspath_prepend(str(ROOT))
    graph = grimp.build_graph("rlgrid", include_external_packages=True, cache_dir=None)
    assert {"rlgrid.envs.gridworld", "rlgrid.agents.base", "rlgrid.agents.dqn"} <= graph.modules
    assert "gymnasium" in graph.find_modules_directly_imported_by("rlgrid.envs.gridworld")


def test_every_module_is_named_where_it_is_forbidden_something() -> None:
    """A module that a contract's list leaves out would be free: the lists are all modules less those allowed."""
    contracts = {
        contract["name"]: contract
        for contract in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    }
    modules = {f"rlgrid.{name}" for name in contracts["Imports point one way"]["layers"]}
    for words, free in (("Gymnasium is known", {"envs", "agents"}), ("pygame is known", {"window", "display"})):
        (contract,) = (value for name, value in contracts.items() if name.startswith(words))
        assert set(contract["source_modules"]) == modules - {f"rlgrid.{name}" for name in free}


@pytest.mark.parametrize("path", KERNELS, ids=lambda path: path.stem)
def test_kernels_import_numpy_numba_and_math_alone(path: Path) -> None:
    """``typing`` is there for the NamedTuples of arrays. The form of the import matters: the cache's key follows it."""
    for name in imports(path):
        top = name.split(".")[0]
        assert top in {"numpy", "numba", "math", "typing", "__future__"} or name.startswith("rlgrid.kernels."), name


def test_the_key_of_a_cached_kernel_follows_what_it_imports_and_every_tuple_that_it_may_be_given(
    tmp_path: Path,
) -> None:
    """The index of its cache holds the types of its callers, which it does not import."""
    texts = {
        "kernel": "from rlgrid.kernels.below import g\n\n\ndef f(rule):\n    return g(rule.b)\n",
        "below": "def g(b):\n    return b\n",
        "caller": "class Rule(NamedTuple):\n    a: Any\n\n    b: Any  # what for\n\n\ndef h():\n    return 1\n",
    }
    count = iter(range(9))

    def key(**changed: str) -> str:
        folder = tmp_path / str(next(count))
        folder.mkdir()
        for name, text in (texts | changed).items():
            (folder / f"{name}.py").write_text(text)
        return source_hash("kernel", folder)

    moved = {"caller": "", "elsewhere": texts["caller"]}
    swapped = "class Rule(NamedTuple):\n    b: Any\n    a: Any\n"
    before = key()
    assert key(caller=texts["caller"].replace("return 1", "return 2").replace("what for", "why")) == before
    changed = [
        key(**moved),
        key(caller=texts["caller"].replace("Rule", "Known")),
        key(caller=swapped),
        key(below=texts["below"] + "\n"),
    ]
    assert len({before, *changed}) == 5


def test_there_are_kernels() -> None:
    assert {"model", "sweeps", "tabular", "network", "dqn"} <= {path.stem for path in KERNELS}


@pytest.mark.parametrize("path", sources(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_imports_are_absolute_and_by_the_right_name(path: Path) -> None:
    for name in imports(path):
        assert not name.startswith("."), f"{path}: relative import {name}"
        assert name.split(".")[0] not in {"envs", "agents"}, f"{path}: import rlgrid.{name}"


def loaded_by(statement: str, names: list[str]) -> dict[str, bool]:
    code = f"{statement}\nimport json, sys\nprint(json.dumps({{name: name in sys.modules for name in {names!r}}}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize(
    "statement",
    [
        "import rlgrid",
        "import rlgrid.gridmap; rlgrid.gridmap.GridSpec.builtin('four_rooms').compile()",
        "import rlgrid.cli; rlgrid.cli.parser()",
    ],
)
def test_import_stays_light(statement: str) -> None:
    heavy = ["numba", "llvmlite", "scipy", "pygame", "rich", "safetensors", "imageio", "matplotlib", "cloudpickle"]
    assert [name for name, loaded in loaded_by(statement, heavy).items() if loaded] == []


def test_pictures_need_no_pygame_and_their_kernels_only_when_drawn() -> None:
    statement = "import rlgrid, rlgrid.picture\nm = rlgrid.GridSpec.builtin('four_rooms').compile()"
    assert loaded_by(statement, ["numba", "pygame"]) == {"numba": False, "pygame": False}
    assert loaded_by(statement + "\nrlgrid.draw(m)", ["numba", "pygame"]) == {"numba": True, "pygame": False}
