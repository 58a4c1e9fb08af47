"""Curves of many runs as pictures, and the commands about many runs."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import imageio.v3 as imageio
import numpy as np
import pytest
from small_worlds import LAKE

import rlgrid
from rlgrid import learn_many
from rlgrid.cli import main
from rlgrid.curves import COLOURS, DASHES, plot
from rlgrid.experiments import parse_grid, parse_seeds
from rlgrid.runs import Runs
from rlgrid.statistics import interquartile_mean


@pytest.fixture(scope="module")
def lake() -> Runs:
    grid = {"learning_rate": [0.1, 0.5]}
    return learn_many("q_learning", LAKE, range(4), 2_000, grid=grid, eval_points=4, n_jobs=1)


@pytest.fixture(scope="module")
def folder(lake: Runs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lake.save(tmp_path_factory.mktemp("runs") / "lake")


# --- pictures ---------------------------------------------------------------------------------------------------------


def test_a_curve_is_the_interquartile_mean_within_its_band(lake: Runs) -> None:
    axes = plot(lake).axes[0]
    assert axes.get_xlabel() == "steps of the environment"
    assert axes.get_ylabel() == "share of regret (0: optimal, 1: uniformly random)"
    for line, band, part in zip(axes.get_lines(), axes.collections, lake.groups().values(), strict=False):
        x, y = part.curve()
        assert line.get_xdata().tolist() == x.tolist()
        np.testing.assert_allclose(line.get_ydata(), interquartile_mean(y, axis=0))
        corners = band.get_paths()[0].vertices
        for at, height in zip(x, line.get_ydata(), strict=True):
            of_point = corners[corners[:, 0] == at, 1]
            assert of_point.min() <= height + 1e-12
            assert height - 1e-12 <= of_point.max()
    names = {text.get_text() for text in axes.get_legend().get_texts()}
    assert names == {"Q-learning, learning_rate=0.1", "Q-learning, learning_rate=0.5"}


def test_curves_are_told_apart_without_colours_too(lake: Runs) -> None:
    names = [str(number) for number in range(28)]
    lines = [line for line in plot([lake] * 14, labels=names).axes[0].get_lines() if line.get_label() in names]
    assert len({line.get_color() for line in lines[:7]}) == 7
    looks = {(line.get_color(), str(line._unscaled_dash_pattern)) for line in lines}
    assert len(looks) == len(lines) == len(COLOURS) * len(DASHES)


@pytest.mark.parametrize("kind", [".png", ".svg", ".pdf"])
def test_a_picture_is_written_and_the_same_each_time(lake: Runs, tmp_path: Path, kind: str) -> None:
    files = [tmp_path / f"{name}{kind}" for name in "ab"]
    for file in files:
        plot(lake[:2], file)
    assert files[0].read_bytes() == files[1].read_bytes()
    if kind == ".png":
        picture = imageio.imread(files[0])
        assert picture.shape[:2] == (768, 1280)
        for colour in COLOURS[:1]:
            ink = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
            assert (np.abs(picture[..., :3].astype(int) - ink).max(axis=-1) < 3).sum() > 200


def test_what_is_infinite_or_not_positive_is_left_out(lake: Runs) -> None:
    cliff = learn_many(
        "q_learning", "rlgrid/CliffWalking-v1", range(4), 20_000, settings={"learning_rate": 0.5}, n_jobs=1
    )
    figure = plot(cliff, measure="regret")
    axes = figure.axes[0]
    assert axes.get_ylabel().endswith("(reward, gamma = 1)")
    assert axes.get_xlim() == (0.0, 20_000.0)  # the beginning, where the policies never end, is there and empty
    drawn = axes.get_lines()[0].get_ydata()
    assert np.isnan(drawn[0])
    assert drawn[-1] == pytest.approx(0.0, abs=1e-9)
    figure.canvas.draw()
    axes = plot(lake, logarithmic=True).axes[0]
    assert axes.get_yscale() == "log"
    assert axes.get_ylim()[0] > 0.0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"runs": []}, "nothing to plot"),
        ({"path": "curves.jpg"}, r"curves\.png"),
        ({"measure": "regrets"}, "did you mean regret"),
        ({"measure": "mean_return"}, "no returns were sampled"),
        ({"labels": ["a"]}, "2 curves and 1 labels"),
        ({"limits": (1.0, 0.0)}, "limits must rise"),
        ({"limits": (0.0, 1.0), "logarithmic": True}, "and be positive"),
    ],
)
def test_what_is_wrong_is_named(lake: Runs, words: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        plot(**{"runs": lake} | words)
    with pytest.raises(ValueError, match="30 curves cannot be told apart"):
        plot([lake] * 15)


def test_without_matplotlib_the_remedy_is_named(lake: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ModuleNotFoundError, match=r'python -m pip install "rlgrid\[plots\]"'):
        plot(lake)


# --- the command line -------------------------------------------------------------------------------------------------


def test_seeds_and_grids_as_words() -> None:
    assert parse_seeds("0-3,7, 10-11") == [0, 1, 2, 3, 7, 10, 11]
    words = ["learning_rate:0.1,lin_0.5", "net_arch:[64,64],[32]", "gamma:0.9"]
    expected = {"learning_rate": [0.1, "lin_0.5"], "net_arch": [[64, 64], [32]], "gamma": [0.9]}
    assert parse_grid(words) == expected


def test_train_many_then_more_then_plot(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "w.toml").write_text("gamma = 0.9\nmap = '''\nS..G\n'''\n")
    words = ["train", "--algo", "q_learning", "--env", str(tmp_path / "w.toml"), "--seeds", "0-2", "-n", "600"]
    words += ["--grid", "learning_rate:0.1,0.5", "--eval-freq", "250", "--jobs", "1", "-f", str(tmp_path / "logs")]
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["measure"] == "share_of_regret"
    assert [(row["settings"], row["runs"]) for row in found["results"]] == [
        ({"learning_rate": 0.1}, 3),
        ({"learning_rate": 0.5}, 3),
    ]
    runs = Runs.load(found["folder"])
    assert runs[0].timesteps.tolist() == [0, 250, 500, 600]
    (tmp_path / "w.toml").unlink()  # the folder needs nothing else
    assert main(["train", "--resume", found["folder"], "--seeds", "3", "--jobs", "1"]) == 0
    assert "share of regret" in capsys.readouterr().out
    assert Runs.load(found["folder"]).seeds == [0, 1, 2, 3]
    target = tmp_path / "c.png"
    assert main(["plot", found["folder"], "-o", str(target), "--measure", "value", "--limits", "0", "1"]) == 0
    assert imageio.imread(target).shape == (768, 1280, 4)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("train --algo q_learning --env four_rooms --backend dask", "--backend belongs to many runs"),
        ("train --algo q_learning --env four_rooms --grid gamma:0.5", "--grid is for many runs: give --seeds"),
        ("train --algo q_learning --env four_rooms --seeds 0-3 --seed 1", "--seed is for one run"),
        ("train --algo q_learning --env four_rooms --seeds 0-3 --save-freq 5", "--save-freq is for one run"),
        ("train --algo q_learning --env four_rooms --seeds 0-3 --grid gamma", "not of the form name:value,value"),
        ("train --algo value_iteration --env four_rooms --seeds 0-3", "give -n"),
        ("train --seeds 0-3", "needs --algo and --env"),
        ("plot nowhere", "nowhere holds no runs"),
        ("plot {folder} -o curves.bmp", "curves.bmp must end in one of .png, .svg, .pdf"),
    ],
)
def test_the_commands_name_what_is_wrong(
    words: str, said: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words.format(folder=folder).split()) == 2
    error = capsys.readouterr().err
    assert error.startswith("rlgrid: error: ")
    assert said in error
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_runs_below_a_folder_are_found(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plot", str(folder.parent), "-o", str(tmp_path / "below.svg"), "--title", "all"]) == 0
    assert main(["plot", str(folder), "-o", str(tmp_path / "own.svg"), "--title", "all"]) == 0
    assert capsys.readouterr().err == ""
    assert len((tmp_path / "below.svg").read_text()) == len((tmp_path / "own.svg").read_text())


@pytest.mark.parametrize(("text", "said"), [("9-0", "write 0-9"), ("a-b", "write 0-99"), ("0-9999999", "more than")])
def test_seeds_that_are_none(text: str, said: str, capsys: Any) -> None:
    with pytest.raises(SystemExit):
        main(["train", "--seeds", text])
    assert said in capsys.readouterr().err


def test_one_of_many_runs_is_done_again_and_judged(
    lake: Runs, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["evaluate", str(folder), "--hyperparams", "learning_rate:0.5", "--eval-episodes", "2"]
    part = lake.select(learning_rate=0.5)
    assert main([*words, "--seed", "3", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["value"] == part[3].value[-1]
    assert main([*words, "--json"]) == 0
    told = capsys.readouterr()
    scores = part.scores()
    chosen = json.loads(told.out)["share_of_regret"]
    assert (scores < chosen - 1e-12).sum() <= 2
    assert (scores > chosen + 1e-12).sum() <= 2
    assert "the median of 4" in told.err
    picture = folder.parent / "learnt.png"
    assert main(["record", str(folder), "--hyperparams", "learning_rate:0.5", "--seed", "1", "-o", str(picture)]) == 0
    assert capsys.readouterr().out.strip() == str(picture)
    for more, said in [
        (["--hyperparams", "learning_rate:0.5", "--seed", "9"], "has no run of seed 9: it has 0-3"),
        ([], "several settings (learning_rate=0.1; learning_rate=0.5): choose one, as in --hyperparams"),
    ]:
        assert main(["evaluate", str(folder), *more]) == 2
        assert said in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--save-freq", "--log-interval", "--tensorboard-log"])
def test_options_of_one_run_say_why_many_do_without(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", "--algo", "q_learning", "--env", LAKE, "--seeds", "0-3", option, "5"]
    assert main(words) == 2
    assert re.search(f"{option} is for one run: .* Leave it away", capsys.readouterr().err)


def test_curves_are_reached_from_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(rlgrid, "curves")  # as before anybody imported it
    assert rlgrid.curves.plot is plot
