"""What is installed: ``rlgrid`` alone at the top level, with every source, map, font and licence, from any checkout.

``envs/`` and ``agents/`` lie at the top of the checkout and are imported as ``rlgrid.envs`` and ``rlgrid.agents``. Two
relative links show them where a plain checkout looks for them. A checkout on Windows may hold short text files in
place of the links, or nothing; what is built and installed from it has to be the same.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow  # environments are made and wheels are built

ROOT = Path(__file__).resolve().parent.parent
LINKS = {"envs": "../envs", "agents": "../agents"}
LEFT_OUT = shutil.ignore_patterns(
    ".git", ".*_cache", ".hypothesis", ".venv", "__pycache__", "*.egg-info", "build", "dist", "runs", "*.gif", "*.tmp"
)
LOOK = "import rlgrid, rlgrid.agents; print(*(m.__file__ for m in (rlgrid, rlgrid.envs, rlgrid.agents)), sep=chr(10))"


def run(*command: str | Path, cwd: Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key not in {"PYTHONPATH", "PYTHONHOME"}}
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=environment, check=False, capture_output=True, text=True
    )
    assert not check or done.returncode == 0, f"{command} failed:\n{done.stdout}\n{done.stderr}"
    return done


def copy_of_the_checkout(folder: Path, links: str) -> Path:
    """The working tree under ``folder``, with its links as committed, as "text" where Git cannot link, or "none"."""
    # Not named "rlgrid": Python started beside a folder of that name takes it for a namespace package.
    tree = folder / "checkout"
    shutil.copytree(ROOT, tree, symlinks=True, ignore=LEFT_OUT)
    for name, target in LINKS.items():
        link = tree / "rlgrid" / name
        if link.is_symlink():
            link.unlink()
        if links == "links":
            link.symlink_to(target)
        elif links == "text":
            link.write_text(target)
    return tree


def sources(tree: Path) -> set[str]:
    """Paths, as in a wheel, of all that an installed rlgrid needs."""
    wanted = set()
    for folder, inside in (("rlgrid", "rlgrid"), ("envs", "rlgrid/envs"), ("agents", "rlgrid/agents")):
        for path in (tree / folder).rglob("*"):
            part = path.relative_to(tree / folder)
            if folder == "rlgrid" and part.parts[0] in LINKS:
                continue
            if path.suffix in {".py", ".toml", ".ttf", ".otf", ".txt"} or path.name == "py.typed":
                wanted.add(f"{inside}/{part.as_posix()}")
    return wanted


def wheel_files(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_of_the_checkout(tmp_path_factory.mktemp("checkout"), "links")


@pytest.fixture(scope="module")
def built(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, and the wheel that was built from the sdist."""
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, tree, cwd=out)
    return out


@pytest.fixture
def bare_python(tmp_path: Path) -> Path:
    """A fresh virtual environment that sees the dependencies of this one, but no rlgrid."""
    venv.create(tmp_path / "venv", symlinks=os.name != "nt")
    scripts = "Scripts" if os.name == "nt" else "bin"
    python = tmp_path / "venv" / scripts / Path(sys.executable).name
    found = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=tmp_path).stdout.strip()
    # A path line does not run the .pth files of the folder it names, so an editable rlgrid stays unseen.
    lines = sorted({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
    Path(found, "dependencies.pth").write_text("\n".join(lines) + "\n")
    return python


def test_wheel_holds_rlgrid_alone_and_all_of_it(tree: Path, built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    files = wheel_files(wheel)
    tops = {name.split("/")[0] for name in files}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"rlgrid"}
    assert sources(tree) - files == set()
    assert {name for name in files if name.startswith("rlgrid/")} == sources(tree)
    (info,) = (top for top in tops if top.endswith(".dist-info"))
    for licence in (
        "LICENSE",
        "rlgrid/window/fonts/Inter-LICENSE.txt",
        "rlgrid/window/fonts/JetBrainsMono-LICENSE.txt",
    ):
        assert f"{info}/licenses/{licence}" in files
    with zipfile.ZipFile(wheel) as archive:
        assert archive.read(f"{info}/top_level.txt").decode().split() == ["rlgrid"]
        assert b"rlgrid = rlgrid.cli:main" in archive.read(f"{info}/entry_points.txt")


def test_sources_include_what_an_installation_needs(tree: Path) -> None:
    # Guards the tests above: an empty list of sources would satisfy them.
    wanted = sources(tree)
    assert {"rlgrid/py.typed", "rlgrid/kernels/model.py", "rlgrid/envs/__init__.py", "rlgrid/cli.py"} <= wanted
    assert sum(name.startswith("rlgrid/envs/maps/") and name.endswith(".toml") for name in wanted) >= 10
    assert sum(name.endswith((".ttf", ".otf")) for name in wanted) >= 4


def test_sdist_holds_sources_tests_and_documents(tree: Path, built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    tracked = set()
    for folder in ("envs", "agents", "tests", "docs", "benchmarks"):
        tracked |= {path.relative_to(tree).as_posix() for path in (tree / folder).rglob("*") if path.is_file()}
    tracked |= {
        path.relative_to(tree).as_posix() for path in (tree / "rlgrid").rglob("*.py") if "envs" not in path.parts
    }
    tracked = {name for name in tracked if not name.startswith(("rlgrid/envs/", "rlgrid/agents/"))}
    assert tracked - names == set()
    assert {"LICENSE", "README.md", "pyproject.toml", "constraints.txt", "play.py", ".ci/run"} <= names
    assert not {name for name in names if name.endswith((".pyc", ".gif")) or "__pycache__" in name}


@pytest.mark.parametrize("links", ["text", "none"])
def test_wheel_is_the_same_without_the_links(built: Path, tmp_path: Path, links: str) -> None:
    tree = copy_of_the_checkout(tmp_path, links)
    run(sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", tmp_path / "dist", tree, cwd=tmp_path)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    (usual,) = built.glob("*.whl")
    assert wheel_files(wheel) == wheel_files(usual)


@pytest.mark.parametrize("links", ["links", "text", "none"])
def test_editable_install_works(bare_python: Path, tmp_path: Path, links: str) -> None:
    tree = copy_of_the_checkout(tmp_path, links)
    run(
        *(sys.executable, "-m", "pip", "--python", bare_python, "install", "--quiet", "--no-index", "--no-deps"),
        *("--no-build-isolation", "--disable-pip-version-check", "--editable", tree),
        cwd=tmp_path,
    )
    for folder in (tmp_path, tree):  # from outside, and from the checkout itself, where ./rlgrid is found first
        found = [Path(line) for line in run(bare_python, "-c", LOOK, cwd=folder).stdout.split()]
        assert [path.resolve() for path in found] == [
            tree / "rlgrid" / "__init__.py",
            tree / "envs" / "__init__.py",
            tree / "agents" / "__init__.py",
        ]


def test_a_plain_checkout_works_uninstalled(bare_python: Path, tree: Path) -> None:
    found = run(bare_python, "-c", LOOK, cwd=tree).stdout.split()
    assert Path(found[0]).resolve() == tree / "rlgrid" / "__init__.py"
    assert Path(found[1]).resolve() == tree / "envs" / "__init__.py"


def test_an_installed_wheel_works(bare_python: Path, built: Path, tmp_path: Path) -> None:
    (wheel,) = built.glob("*.whl")
    run(
        *(sys.executable, "-m", "pip", "--python", bare_python, "install", "--quiet", "--no-index", "--no-deps"),
        *("--disable-pip-version-check", wheel),
        cwd=tmp_path,
    )
    found = run(bare_python, "-c", LOOK, cwd=tmp_path).stdout.split()
    assert all((tmp_path / "venv").resolve() in Path(line).resolve().parents for line in found)


@pytest.mark.parametrize("name", ["envs", "agents"])
def test_bare_names_are_refused(bare_python: Path, tree: Path, name: str) -> None:
    done = run(bare_python, "-c", f"import {name}", cwd=tree, check=False)
    assert done.returncode == 1
    assert f"ImportError: import rlgrid.{name}" in done.stderr


def test_links_and_package_list_agree_with_the_tree() -> None:
    """Every folder with an ``__init__.py`` is listed for the build, and the two links are relative."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    found = set()
    for folder, inside in (("rlgrid", "rlgrid"), ("envs", "rlgrid.envs"), ("agents", "rlgrid.agents")):
        for path in (ROOT / folder).rglob("__init__.py"):
            parts = path.parent.relative_to(ROOT / folder).parts
            if folder != "rlgrid" or not parts or parts[0] not in LINKS:
                found.add(".".join((inside, *parts)))
    assert set(settings["packages"]) == found
    for name, target in LINKS.items():
        link = ROOT / "rlgrid" / name
        if link.is_symlink():
            assert os.readlink(link) == target
