"""Run folders: what stops a run loses nothing that was saved, and a run that was resumed ends as if never stopped."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import kill_runs
import numpy as np
import pytest

from rlgrid import archive, cli, learn_many, training
from rlgrid.agents import QLearning, checkpoint
from rlgrid.archive import read_arrays
from rlgrid.truth import MEASURES, Truth

CONFIG = training.RunConfig(
    algo="q_learning",
    env="rlgrid/FrozenLake-v1",
    n_timesteps=6_000,
    seed=3,
    eval_freq=1_500,
    eval_episodes=2,
    save_freq=1_000,
)


def done(folder: Path, config: training.RunConfig = CONFIG, **more: Any) -> Path:
    folder.mkdir(exist_ok=True)
    training.train(config, folder, said=kill_runs.quietly, **more)
    return folder


def stopped(folder: Path, at: int, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run that broke off when its checkpoint of so many steps was written."""
    real = training.Logbook.save

    def save(book: training.Logbook, agent: Any) -> None:
        real(book, agent)
        if agent.num_timesteps == at:
            raise RuntimeError("the plug was pulled")

    with monkeypatch.context() as patch:
        patch.setattr(training.Logbook, "save", save)
        with pytest.raises(RuntimeError, match="plug"):
            done(folder)
    return folder


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return done(tmp_path_factory.mktemp("runs") / "whole")


def test_both_tables_of_evaluations_tell_the_same_and_the_truth(whole: Path) -> None:
    found = read_arrays((whole / "evaluations.npz").read_bytes())
    assert found["timesteps"].tolist() == [1500, 3000, 4500, 6000]
    assert found["results"].shape == found["ep_lengths"].shape == (4, 2)
    head, *rows = [line.split(",") for line in (whole / "evaluations.csv").read_text().splitlines()]
    assert tuple(head) == training.EVALUATION_COLUMNS
    for i, row in enumerate(rows):
        told = dict(zip(head, row, strict=True))
        assert int(told["timesteps"]) == found["timesteps"][i]
        assert float(told["mean_return"]) == pytest.approx(found["results"][i].mean())
        for name in MEASURES:
            np.testing.assert_equal(float(told[name] or "nan"), found[name][i], name)
    agent, _ = training.load(whole)
    point = Truth.of(agent).look(agent)  # type: ignore[union-attr]
    np.testing.assert_equal(point.numbers(), {name: found[name][-1] for name in MEASURES})
    again = QLearning(training.make_env(CONFIG), seed=3).learn(6_000)
    np.testing.assert_array_equal(again.q_table, agent.q_values)


def test_a_run_says_what_made_it(whole: Path) -> None:
    config = json.loads((whole / "config.json").read_text())
    assert set(config["versions"]) == {"rlgrid", "gymnasium", "numpy", "scipy", "numba", "python", "platform"}
    agent, _ = training.load(whole)
    assert config["settings"] == agent.settings
    assert QLearning(agent.env, **config["settings"]).settings == agent.settings


@pytest.mark.parametrize("at", [1000, 3000, 6000])
@pytest.mark.parametrize("torn", [False, True])
def test_a_resumed_run_ends_with_the_same_bytes(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int, torn: bool
) -> None:
    cut = stopped(tmp_path / "cut", at, monkeypatch)
    if torn:  # as a full disk leaves them
        for name in ("monitor.csv", "evaluations.csv"):
            with (cut / name).open("a") as file:
                file.write("7")
        (cut / ".agent.safetensors.1.part").write_bytes(b"half")
    done(cut, resume=True)
    assert kill_runs.contents(cut) == kill_runs.contents(whole)
    assert (cut / "config.json").read_bytes() == (whole / "config.json").read_bytes()
    done(cut, resume=True)  # once more changes nothing
    assert kill_runs.contents(cut) == kill_runs.contents(whole)


def test_a_run_without_a_checkpoint_begins_again(whole: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut"
    cut.mkdir()
    (cut / "config.json").write_bytes((whole / "config.json").read_bytes())
    done(cut, resume=True)
    assert kill_runs.contents(cut) == kill_runs.contents(whole)


def test_checkpoints_come_by_the_clock_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved: list[int] = []
    monkeypatch.setattr(training, "SAVE_SECONDS", 0.0)
    real = training.Logbook.save
    monkeypatch.setattr(training.Logbook, "save", lambda b, a: (saved.append(a.num_timesteps), real(b, a)))
    done(tmp_path / "run", training.RunConfig(**(vars(CONFIG) | {"eval_freq": 2_000, "save_freq": 0})))
    assert saved == [2_000, 4_000, 6_000, 6_000]


@pytest.mark.parametrize("name", ["evaluations.npz", "monitor.csv", "evaluations.csv"])
def test_tables_of_strangers_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    cut = stopped(tmp_path / "cut", 3000, monkeypatch)
    (cut / name).write_bytes(b"PK\x03\x04 something else\n")
    with pytest.raises(training.RunError, match="are not those of a run"):
        done(cut, resume=True)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("seed", -1, "seed must be at least 0"),
        ("eval_freq", "often", "eval_freq must be an integer"),
        ("n_timesteps", 0, "n_timesteps must be at least 1"),
        ("eval_episodes", 0, "eval_episodes must be at least 1"),
        ("env", 3, "env must be text"),
        ("hyperparameters", [1], "hyperparameters must be a mapping"),
        ("algo", "q_lerning", "did you mean q_learning"),
    ],
)
def test_a_configuration_of_a_stranger_is_checked(
    whole: Path, tmp_path: Path, name: str, value: Any, message: str
) -> None:
    document = json.loads((whole / "config.json").read_text()) | {name: value}
    (tmp_path / "config.json").write_text(json.dumps(document))
    with pytest.raises(training.RunError, match=message):
        training.read_config(tmp_path)


def test_a_file_cannot_ask_for_code(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gymnasium imports the module of an id "module:Id": only a person may name one."""
    (tmp_path / "strange.py").write_text("raise SystemExit('it ran')")
    monkeypatch.syspath_prepend(tmp_path)
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    document = json.loads((whole / "config.json").read_text()) | {"env": "strange:Id-v0"}
    (run / "config.json").write_text(json.dumps(document))
    for words in (["evaluate", str(run)], ["train", "--resume", str(run)], ["enjoy", str(run)], ["record", str(run)]):
        with pytest.raises(training.RunError, match=r"import the module 'strange'.* --env strange:Id-v0"):
            cli.main(["--traceback", *words])
    with pytest.raises(SystemExit, match="it ran"):
        cli.main(["--traceback", "evaluate", str(run), "--env", "strange:Id-v0"])
    learn_many("q_learning", "rlgrid/FrozenLake-v1", [0], 100, folder=tmp_path / "many", n_jobs=1)
    index = tmp_path / "many" / "runs.json"
    index.write_text(index.read_text().replace("rlgrid/FrozenLake-v1", "strange:Id-v0"))
    for words in (["evaluate", str(index.parent)], ["train", "--resume", str(index.parent), "--seeds", "1"]):
        with pytest.raises(training.RunError, match="import the module 'strange'"):
            cli.main(["--traceback", *words])


def test_a_map_that_is_no_file_is_refused(whole: Path, tmp_path: Path) -> None:
    document = json.loads((whole / "config.json").read_text()) | {"env_kwargs": {"map": str(tmp_path)}}
    (tmp_path / "config.json").write_text(json.dumps(document))
    with pytest.raises(training.RunError, match="is no plain file"):
        training.read_config(tmp_path)


def kills(tmp_path: Path, *words: int) -> dict[str, Any]:
    program = [sys.executable, kill_runs.__file__, str(tmp_path / "runs"), *map(str, words)]
    done = subprocess.run(program, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL and no fork")
@pytest.mark.parametrize(("count", "agents"), [(6, 1), pytest.param(200, len(kill_runs.RUNS), marks=pytest.mark.slow)])
def test_runs_that_are_killed_anywhere_lose_no_more_than_an_interval(tmp_path: Path, count: int, agents: int) -> None:
    found = kills(tmp_path, count, count, agents)
    assert found["kills"] == count
    assert found["agents"] == {config.algo: count // agents for config in kill_runs.RUNS[:agents]}
    assert found["ended"] >= agents
    assert found["wrong"] == []
    assert found["most"] <= 1.0
    if count > 100:  # a few kills may all come early
        assert found["lost"] > 0
        assert found["saving"] >= 20


FILES = ("agent.safetensors", "monitor.csv", "evaluations.csv", "evaluations.npz")


def breaking(name: str, error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the second writing of a file break off in its middle, once."""
    writes, target = [0], [""]
    real_append, real_fsync = training.append, os.fsync

    def broken() -> bool:
        writes[0] += target[0] == name
        return target[0] == name and writes[0] == 2

    def append(path: Path, text: str) -> None:
        target[0] = path.name
        if broken():
            real_append(path, text[: len(text) // 2])
            raise error
        real_append(path, text)

    def fsync(descriptor: int) -> None:
        if broken():
            raise error
        real_fsync(descriptor)

    def named(write: Any) -> Any:
        def write_atomically(path: Path, content: bytes) -> None:
            target[0] = path.name if path.suffix != ".csv" else "the head of a table"
            write(path, content)

        return write_atomically

    monkeypatch.setattr(training, "append", append)
    monkeypatch.setattr(os, "fsync", fsync)
    for module in (training, archive, checkpoint):
        monkeypatch.setattr(module, "write_atomically", named(module.write_atomically))


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_a_disk_that_is_full_and_ctrl_c_in_the_middle_of_any_file_lose_nothing(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, error: BaseException
) -> None:
    with monkeypatch.context() as patch:
        breaking(name, error, patch)
        with pytest.raises(type(error)):
            done(tmp_path / "cut")
    steps = kill_runs.steps_in(tmp_path / "cut")  # reads every file
    assert 1_000 <= steps < 6_000
    done(tmp_path / "cut", resume=True)
    assert kill_runs.contents(tmp_path / "cut") == kill_runs.contents(whole)


FULL = """
import resource, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
import kill_runs
from rlgrid import cli
kill_runs.run(Path({warm!r}))
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
sys.exit(cli.main(["train", "--algo", "q_learning", "--env", "rlgrid/FrozenLake-v1", "-n", "40000", "--seed", "1",
                   "--eval-freq", "10000", "--eval-episodes", "1", "--save-freq", "5000", "-f", {logs!r}]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit of the sizes of files")
def test_a_full_disk_leaves_the_last_checkpoint(tmp_path: Path) -> None:
    """A limit of the sizes of files stands for the disk: writing fails in the middle of a file."""
    (tmp_path / "warm").mkdir()
    words = {"tests": str(Path(kill_runs.__file__).parent), "warm": str(tmp_path / "warm"), "logs": str(tmp_path)}
    run = tmp_path / "q_learning" / "rlgrid-FrozenLake-v1_1"
    program = [sys.executable, "-c", FULL.format(limit=24_000, **words)]
    full = subprocess.run(program, capture_output=True, text=True, check=False, timeout=120)
    assert full.returncode == 2, full.stderr
    assert "rlgrid: error" in full.stderr
    assert str(run) in full.stderr.splitlines()[-1]
    assert "Traceback" not in full.stderr
    agent, config = training.load(run)
    assert 5_000 <= agent.num_timesteps < 40_000
    training.train(config, run, said=kill_runs.quietly, resume=True)
    whole = done(tmp_path / "whole", config)
    assert kill_runs.contents(run) == kill_runs.contents(whole)


def test_an_evaluation_that_one_table_alone_has_is_not_lost_silently(whole: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    before = (run / "evaluations.csv").read_text().splitlines()
    (run / "evaluations.npz").unlink()
    with pytest.raises(training.RunError, match=r"evaluations\.npz lacks the evaluation at 1500.*put the file back"):
        done(run, resume=True)
    assert (run / "evaluations.csv").read_text().splitlines() == before
    shutil.copy(whole / "evaluations.npz", run)
    (run / "evaluations.csv").unlink()
    done(run, resume=True)
    after = (run / "evaluations.csv").read_text().splitlines()
    assert [row.split(",")[:-1] for row in after] == [row.split(",")[:-1] for row in before]  # but for the seconds


@pytest.mark.parametrize("there", [True, False])
def test_a_table_of_episodes_is_made_again(whole: Path, tmp_path: Path, there: bool) -> None:
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    before = (run / "monitor.csv").read_text().splitlines()
    (run / "monitor.csv").unlink()
    if there:
        (run / "monitor.csv").touch()
    done(run, resume=True)
    after = (run / "monitor.csv").read_text().splitlines()
    assert [row.split(",")[:2] for row in after[1:]] == [row.split(",")[:2] for row in before[1:]]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no named pipes in folders")
@pytest.mark.parametrize("name", ["monitor.csv", "evaluations.csv", "evaluations.npz", "config.json"])
def test_pipes_are_not_waited_for(whole: Path, tmp_path: Path, name: str) -> None:
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    (run / name).unlink()
    os.mkfifo(run / name)
    with pytest.raises(training.RunError, match=r"no plain file|has no config"):
        done(run, training.read_config(whole), resume=True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--algo", "dqn"], "--algo does not go with --resume.*'q_learning'"),
        (["-n", "7"], "--n-timesteps does not go with --resume.*6000"),
        (["--seed", "99"], "--seed does not go with --resume"),
        (["-params", "gamma:0.1"], "--hyperparams does not go with --resume"),
        (["--env", "four_rooms"], "--env does not go with --resume"),
        (["--log-folder", "elsewhere"], "--log-folder does not go with --resume"),
    ],
)
def test_what_a_resumed_run_would_not_follow_is_refused(whole: Path, words: list[str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        cli.main(["--traceback", "train", "--resume", str(whole), *words])


def test_a_run_is_resumed_with_its_own_options(whole: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    words = ["--algo", "Q-learning", "--env", "rlgrid/FrozenLake-v1", "-n", "6000", "--seed", "3"]
    assert cli.main(["train", "--resume", str(run), *words]) == 0


def test_options_of_many_runs_that_would_not_be_followed_are_refused(tmp_path: Path) -> None:
    many = tmp_path / "many"
    learn_many("q_learning", "rlgrid/FrozenLake-v1", [0], 100, folder=many, n_jobs=1)
    with pytest.raises(ValueError, match=r"--n-timesteps does not go with --resume.*100"):
        cli.main(["--traceback", "train", "--resume", str(many), "--seeds", "0-1", "-n", "99"])


def test_a_file_cannot_ask_to_write_elsewhere(whole: Path, tmp_path: Path) -> None:
    run, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    shutil.copytree(whole, run)
    document = json.loads((whole / "config.json").read_text()) | {"tensorboard_log": str(elsewhere)}
    (run / "config.json").write_text(json.dumps(document))
    with pytest.raises(training.RunError, match=r"outside its folder.*--tensorboard-log"):
        cli.main(["--traceback", "train", "--resume", str(run)])
    assert not elsewhere.exists()


def test_a_file_cannot_ask_for_work_without_end(whole: Path, tmp_path: Path) -> None:
    """Unless a person names the environment, which is what --env says."""
    (tmp_path / "run").mkdir()
    document = json.loads((whole / "config.json").read_text())
    document |= {"env": "rlgrid/RandomMaze-v0", "env_kwargs": {"rows": 20_001, "columns": 20_001}}
    (tmp_path / "run" / "config.json").write_text(json.dumps(document))
    with pytest.raises(training.RunError, match=r"20001 x 20001 cells.*--env rlgrid/RandomMaze-v0"):
        training.read_config(tmp_path / "run")
    assert training.read_config(tmp_path / "run", "rlgrid/RandomMaze-v0").env_kwargs["rows"] == 20_001

    def asked(**words: Any) -> training.RunConfig:
        base = {"algo": "dqn", "env": "rlgrid/FrozenLake-v1", "n_timesteps": 100, "seed": 0}
        return training.RunConfig(**(base | words))

    path = tmp_path / "runs.json"
    for words, said in (
        ({"n_timesteps": 2**61}, "n_timesteps is"),
        ({"hyperparameters": {"buffer_size": 2_000_000_000}}, "GiB"),
        ({"hyperparameters": {"batch_size": 100_000_000}}, "GiB"),
        ({"hyperparameters": {"gradient_steps": 10**12}}, "gradient steps"),
        ({"hyperparameters": {"policy_kwargs": {"net_arch": [5_000, 5_000]}}}, "weights"),
        ({"seed": -1}, "seed must be at least 0"),
        ({"env": "rlgrid/RandomMaze-v0", "env_kwargs": {"rows": 20_001, "columns": 20_001}}, "20001 x 20001"),
    ):
        with pytest.raises(training.RunError, match=said):
            training.check_again(asked(**words), None, path)
    assert training.check_again(asked(), None, path) == asked()
    assert training.check_again(asked(n_timesteps=10**8), "rlgrid/FrozenLake-v1", path).n_timesteps == 10**8
