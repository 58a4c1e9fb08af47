"""The command line, in process, and a few times as the program that a shell starts."""

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import imageio.v3 as imageio
import numpy as np
import pytest

import rlgrid
from rlgrid import training
from rlgrid.cli import COMMANDS, main, parser

WORLD = """
name = "corridor"
gamma = 0.9
map = '''
S..G
'''
"""


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """The folder of a short training of Q-learning in FrozenLake."""
    return train(tmp_path, capsys, "--algo", "q_learning", "--env", "rlgrid/FrozenLake-v1")


def train(tmp_path: Path, capsys: pytest.CaptureFixture[str], *words: str) -> Path:
    status = main(["train", *words, "-n", "3000", "--seed", "0", "--eval-freq", "1000", "-f", str(tmp_path), "--json"])
    out = capsys.readouterr().out
    assert status == 0
    return Path(json.loads(out)["folder"])


def answer(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    """The JSON that a command prints."""
    assert main([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def complaint(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The one line that a refused command prints."""
    assert main(list(words)) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.strip().splitlines()
    assert len(lines) == 1, captured.err
    assert lines[0].startswith("rlgrid: error: ")
    return lines[0]


# --- the words --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_teaches_by_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"] if command else ["--help"])
    text = capsys.readouterr().out
    assert stop.value.code == 0
    examples = [line.strip() for line in text.partition("examples:")[2].splitlines() if line.startswith("  rlgrid ")]
    assert len(examples) >= 2
    for example in examples:  # every example is a command line that the parser takes
        words = example.partition("   ")[0].partition(" > ")[0].partition(" | ")[0].split()
        options = parser().parse_args(words[1:])
        assert options.command == words[1]
        assert not command or options.command == command


def test_a_misspelt_command_gets_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["trian"])
    assert stop.value.code == 2
    assert "did you mean train?" in capsys.readouterr().err


def test_help_answers_at_once() -> None:
    before = os.times()
    for _ in range(3):
        subprocess.run([sys.executable, "-m", "rlgrid", "--help"], check=True, stdout=subprocess.DEVNULL)
    after = os.times()
    # Seconds of the processor, so that a busy machine does not fail the test.
    assert after.children_user + after.children_system - before.children_user - before.children_system < 3 * 0.5


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("solve", "rlgrid/FourRoms-v0"), "did you mean rlgrid/FourRooms-v0?"),
        (("solve", "four_roms"), "did you mean four_rooms?"),
        (("solve", "CartPole-v1"), "the model of CartPole-v1 is not known"),
        (("solve", "FrozenLake-v1"), "--gamma"),
        (("solve", "nowhere.toml"), "nowhere.toml"),
        (("train", "--algo", "dqm", "--env", "rlgrid/FourRooms-v0"), "did you mean dqn?"),
        (("train", "--algo", "dqn"), "--env"),
        (
            ("train", "--algo", "q_learning", "--env", "rlgrid/FrozenLake-v1", "-params", "learnig_rate:1"),
            "learning_rate?",
        ),
        (("train", "--algo", "q_learning", "--env", "rlgrid/FrozenLake-v1", "-params", "gamma"), "name:value"),
        (("train", "--algo", "q_learning", "--env", "rlgrid/FrozenLake-v1", "-params", "gamma:2"), "gamma"),
        (("train", "--resume", "nowhere"), "nowhere is not a run"),
        (("evaluate", "nowhere"), "nowhere is not a run"),
        (("evaluate",), "name a run's folder"),
        (("evaluate", "--algo", "dqn", "--env", "rlgrid/FourRooms-v0", "-f", "nowhere"), "there is no run of dqn"),
        (("record", "four_rooms", "-o", "picture.jpeg"), ".gif"),
    ],
)
def test_errors_take_a_line_and_name_the_remedy(
    words: tuple[str, ...], expected: str, capsys: pytest.CaptureFixture[str], monkeypatch: Any, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert expected in complaint(capsys, *words)
    assert list(tmp_path.iterdir()) == []  # what is refused leaves nothing behind


def test_an_error_in_a_map_names_its_place(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "ragged.toml"
    path.write_text(WORLD.replace("S..G\n", "S..G\n...\n"))
    assert "ragged.toml" in complaint(capsys, "solve", str(path))


def test_traceback_shows_where(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        main(["--traceback", "solve", str(tmp_path / "nowhere.toml")])


# --- envs and solve ---------------------------------------------------------------------------------------------------


def test_envs_lists_every_world(capsys: pytest.CaptureFixture[str]) -> None:
    rows = answer(capsys, "envs")
    assert [row["id"] for row in rows] == [*rlgrid.envs.MAPS, *rlgrid.envs.GENERATED, *rlgrid.envs.CLASSICS]
    cliff = next(row for row in rows if row["id"] == "rlgrid/CliffWalking-v1")
    assert (cliff["shape"], cliff["num_states"], cliff["num_actions"]) == ([4, 12], 48, 4)
    assert main(["envs"]) == 0
    table = capsys.readouterr().out
    assert all(row["id"] in table for row in rows)


def test_solve_prints_values_policy_and_proof(capsys: pytest.CaptureFixture[str]) -> None:
    # AIMA, chapter 17: 0.7053082192 at the start; the policy goes up, and not along the pit.
    assert main(["solve", "russell_norvig_4x3", "--tolerance", "1e-9"]) == 0
    text = capsys.readouterr().out
    assert "0.705308219" in text
    assert "J* = 0.705308219" in text
    rows = text.partition("Optimal policy")[2].splitlines()[1:4]
    assert [row.split() for row in rows] == [["→", "→", "→", "·"], ["↑", "#", "↑", "·"], ["↑", "←", "←", "←"]]
    assert "proven: |V - V*| <=" in text


def test_solve_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, "solve", "rlgrid/SuttonBarto5x5-v0", "--tolerance", "1e-8", "--progress")
    assert found["values"][1] == pytest.approx(10 / (1 - 0.9**5), abs=1e-8)  # S&B, example 3.8
    assert found["converged"] is True
    assert found["error_bound"] <= 1e-8
    assert all(
        low <= value <= high for low, value, high in zip(found["lower"], found["values"], found["upper"], strict=True)
    )


def test_solve_takes_a_map_file_and_a_horizon(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "corridor.toml"
    path.write_text(WORLD)
    assert answer(capsys, "solve", str(path))["num_states"] == 4
    # Gymnasium's FrozenLake with its 100 steps.
    found = answer(capsys, "solve", "rlgrid/FrozenLake-v1", "--gamma", "1", "--horizon", "100")
    assert found["start_value"] == pytest.approx(0.7441902878, abs=1e-9)


def test_solve_takes_a_table_of_gymnasium(capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, "solve", "FrozenLake-v1", "--gamma", "0.99", "--tolerance", "1e-9")
    assert found["start_value"] == pytest.approx(0.54202593, abs=1e-8)
    assert main(["solve", "FrozenLake-v1", "--gamma", "1"]) == 0
    assert "J* = 0.8235294" in capsys.readouterr().out  # 14/17


def test_solve_takes_methods_orders_and_the_average_reward(capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, "solve", "four_rooms", "--method", "gauss_seidel", "--sweep-order", "backward")
    assert found["method"] == "gauss_seidel"
    assert found["converged"]
    assert "policy_iteration" in complaint(capsys, "solve", "four_rooms", "--method", "policy_iterations")
    found = answer(capsys, "solve", "sutton_barto_5x5", "--criterion", "average")
    assert found["gamma"] is None
    assert found["gain"] == pytest.approx(2.0, abs=1e-6)  # from A to A' and four steps back: 10 / 5
    assert main(["solve", "sutton_barto_5x5", "--criterion", "average"]) == 0
    assert "gain = 2.0" in capsys.readouterr().out


def test_solve_says_where_a_tolerance_is_not_reached(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["solve", "four_rooms", "--max-sweeps", "3"]) == 1
    said = capsys.readouterr()
    assert "not proven: max_sweeps = 3 reached" in said.err
    assert "(so far: see what is proven)" in said.out


def test_solve_saves(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "solution.safetensors"
    found = answer(capsys, "solve", "rlgrid/RussellNorvig4x3-v0", "--save", str(path))
    np.testing.assert_array_equal(rlgrid.Solution.load(path).values, found["values"])


# --- train, evaluate, enjoy, record -----------------------------------------------------------------------------------


def test_a_run_is_a_folder_that_tells_all(run: Path, tmp_path: Path) -> None:
    assert run == tmp_path / "q_learning" / "rlgrid-FrozenLake-v1_1"
    assert {path.name for path in run.iterdir()} == {
        "config.json",
        "agent.safetensors",
        "monitor.csv",
        "evaluations.csv",
        "evaluations.npz",
    }
    config = json.loads((run / "config.json").read_text())
    assert (config["algo"], config["env"], config["seed"]) == ("q_learning", "rlgrid/FrozenLake-v1", 0)
    assert config["n_timesteps"] == 3000

    head, *lines = (run / "monitor.csv").read_text().splitlines()
    assert head.startswith("#")
    assert json.loads(head[1:])["env_id"] == "rlgrid/FrozenLake-v1"
    rows = list(csv.DictReader(lines))
    agent, _ = training.load(run)
    assert [float(row["r"]) for row in rows] == agent.episode_returns
    assert [int(row["l"]) for row in rows] == agent.episode_lengths
    assert len(rows) > 50

    evaluations = list(csv.DictReader((run / "evaluations.csv").read_text().splitlines()))
    assert [int(row["timesteps"]) for row in evaluations] == [1000, 2000, 3000]
    for row in evaluations:
        assert float(row["value"]) <= float(row["optimal_value"]) + 1e-9


def test_a_second_run_gets_the_next_number(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    second = train(tmp_path, capsys, "--algo", "Q-learning", "--env", "rlgrid/FrozenLake-v1")
    assert second.name == "rlgrid-FrozenLake-v1_2"
    # The same seed gives the same run, to the bit.
    first, _ = training.load(run)
    again, _ = training.load(second)
    np.testing.assert_array_equal(first.q_values, again.q_values)
    assert training.find_run(tmp_path, "q_learning", "rlgrid/FrozenLake-v1") == second


def test_a_map_file_travels_with_its_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "corridor.toml"
    path.write_text(WORLD)
    run = train(tmp_path, capsys, "--algo", "q_learning", "--env", str(path))
    path.unlink()
    found = answer(capsys, "evaluate", str(run))
    assert found["share_of_regret"] == pytest.approx(0.0, abs=1e-9)


def test_hyperparameters_reach_the_agent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--algo", "q_learning", "--env", "rlgrid/FrozenLake-v1", "--hyperparams", "learning_rate:0.5", "gamma:0.9")
    agent, _ = training.load(train(tmp_path, capsys, *words))
    assert agent.gamma == 0.9
    assert agent.learning_rate == 0.5  # type: ignore[attr-defined]


def test_evaluate_agrees_with_the_library(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, "evaluate", str(run), "--eval-episodes", "20", "--seed", "5")
    agent, config = training.load(run)
    env = training.make_env(config)
    mean, std = rlgrid.evaluate_policy(agent, env, n_eval_episodes=20, seed=5)
    assert (found["mean_return"], found["std_return"]) == pytest.approx((mean, std))
    assert agent.model is not None
    values = rlgrid.policy_values(agent.model, agent.policy)
    assert found["value"] == pytest.approx(float(agent.model.start @ values), abs=1e-9)
    assert found["share_of_regret"] == pytest.approx(rlgrid.share_of_regret(agent.model, agent.policy), abs=1e-9)
    assert main(["evaluate", str(run)]) == 0
    printed = capsys.readouterr().out
    assert all(title in printed for title in ("share of regret", "optimal action", "max |V - V*|", "max |Q - Q*|"))


@pytest.mark.parametrize("algo", ["dqn", "value_iteration"])
def test_every_algorithm_trains(algo: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["-n", "1200" if algo == "dqn" else "500", "--seed", "0", "--eval-freq", "0", "-f", str(tmp_path)]
    assert main(["train", "--algo", algo, "--env", "rlgrid/FrozenLake-v1", *words]) == 0
    assert f"rlgrid enjoy {tmp_path}" in capsys.readouterr().out
    found = answer(capsys, "evaluate", "--algo", algo, "--env", "rlgrid/FrozenLake-v1", "-f", str(tmp_path))
    if algo == "value_iteration":
        assert found["share_of_regret"] == pytest.approx(0.0, abs=1e-6)
    else:
        assert found["timesteps"] == 1200


def test_a_foreign_environment_trains(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--algo", "dqn", "--env", "CartPole-v1", "-n", "300", "--seed", "0", "-f", str(tmp_path)]
    assert main(["train", *words]) == 0
    capsys.readouterr()
    found = answer(capsys, "evaluate", str(tmp_path / "dqn" / "CartPole-v1_1"), "--eval-episodes", "2")
    assert found["value"] is None
    assert found["mean_return"] >= 8


@pytest.mark.filterwarnings("always:no exact regret")
def test_a_policy_that_never_ends_is_evaluated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Cliff walking has no step cap, and after few steps the greedy policy runs against a wall for ever."""
    words = ["--algo", "q_learning", "--env", "rlgrid/CliffWalking-v1", "-n", "50", "--seed", "0", "-f", str(tmp_path)]
    assert main(["train", *words, "--eval-episodes", "1", "--json"]) == 0
    printed = capsys.readouterr()
    found = json.loads(printed.out)
    assert found["mean_return"] <= -training.EVALUATION_STEPS
    assert found["optimal_value"] == pytest.approx(-13)
    assert found["value"] is None  # minus infinity
    assert "no exact regret: the policy is worth -inf" in printed.err


@pytest.mark.filterwarnings("always:no exact regret")
def test_a_world_without_an_optimum_loses_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    world = tmp_path / "endless.toml"
    world.write_text('gamma = 1.0\nmap = """\nS.C.G\n"""\n[legend]\nC = { enter_reward = 1.0 }\n', encoding="utf-8")
    words = ["--algo", "q_learning", "--env", str(world), "-n", "500", "--seed", "0", "-f", str(tmp_path)]
    with_cap = ["--env-kwargs", "max_episode_steps:20"]
    assert main(["train", *words, *with_cap, "--eval-freq", "250", "--eval-episodes", "1", "--json"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["mean_return"] > 0
    assert "no exact regret: gamma = 1" in printed.err
    assert list(tmp_path.glob("q_learning/*/agent.safetensors"))


def test_a_stopped_run_is_finished_as_if_never_stopped(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluate = training.Logbook.evaluate

    def stop_once(book: training.Logbook, agent: Any) -> training.Evaluation:
        found = evaluate(book, agent)
        if agent.num_timesteps == 2000:
            monkeypatch.undo()
            raise KeyboardInterrupt
        return found

    monkeypatch.setattr(training.Logbook, "evaluate", stop_once)
    words = ["--algo", "q_learning", "--env", "rlgrid/FrozenLake-v1", "-n", "3000", "--seed", "0"]
    assert main(["train", *words, "--eval-freq", "1000", "-f", str(tmp_path)]) == 130
    stopped = tmp_path / "q_learning" / "rlgrid-FrozenLake-v1_2"
    assert f"rlgrid train --resume {stopped}" in capsys.readouterr().err
    assert main(["train", "--resume", str(stopped)]) == 0
    whole, _ = training.load(run)
    finished, _ = training.load(stopped)
    np.testing.assert_array_equal(whole.q_values, finished.q_values)
    for name in ("monitor.csv", "evaluations.csv"):  # all but the times
        tables = [
            [line.rsplit(",", 1)[0] for line in (at / name).read_text().splitlines()[1:]] for at in (run, stopped)
        ]
        assert tables[0] == tables[1]


def test_a_torn_configuration_is_named(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run / "config.json").write_text('{"format_version": 1, "al')
    assert "config.json is not a configuration of a run" in complaint(capsys, "evaluate", str(run))
    (run / "config.json").write_text('{"format_version": 99}')
    assert "format version 99" in complaint(capsys, "evaluate", str(run))


def test_enjoy_without_a_display_writes_a_film(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    assert main(["enjoy", str(run), "--seconds", "0.5"]) == 0
    captured = capsys.readouterr()
    assert "no display" in captured.err
    assert captured.out.strip() == str(run / "enjoy.gif")
    assert len(imageio.imread(run / "enjoy.gif", index=None)) > 1


def test_enjoy_and_record_an_environment_of_gymnasium(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its states are numbers without cells, and still have their place in the window."""
    run = train(tmp_path, capsys, "--algo", "q_learning", "--env", "FrozenLake-v1")
    assert main(["enjoy", str(run), "--seconds", "0.5"]) == 0
    assert len(imageio.imread(run / "enjoy.gif", index=None)) > 1
    assert main(["record", str(run), "-n", "3", "-o", str(tmp_path / "episode.gif")]) == 0


def test_record_a_world_and_a_run(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    still, sweeps, learnt = tmp_path / "v.png", tmp_path / "sweeps.gif", tmp_path / "learnt.png"
    assert main(["record", "four_rooms", "-o", str(still), "--cell-size", "16", "--theme", "light"]) == 0
    assert imageio.imread(still).shape[:2] == (13 * 16, 13 * 16)
    assert main(["record", "four_rooms", "-o", str(sweeps), "-n", "5", "--cell-size", "16"]) == 0
    frames = imageio.imread(sweeps, index=None)
    assert len(frames) == 5
    assert not np.array_equal(frames[1], frames[4])
    assert main(["record", str(run), "-o", str(learnt)]) == 0
    assert imageio.imread(learnt).ndim == 3
    assert capsys.readouterr().out.split() == [str(still), str(sweeps), str(learnt)]


# --- as a program -----------------------------------------------------------------------------------------------------


def test_a_closed_pipe_is_no_error() -> None:
    command = [sys.executable, "-m", "rlgrid", "solve", "four_rooms", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()  # as `| head` does once it has seen enough
        assert process.stderr.read() == ""
    assert process.returncode == 141


def test_control_c_leaves_a_checkpoint(tmp_path: Path) -> None:
    words = ["--algo", "q_learning", "--env", "rlgrid/FourRooms-v0", "-n", "2000000000", "--seed", "0"]
    command = [sys.executable, "-m", "rlgrid", "train", *words, "--eval-freq", "50000", "-f", str(tmp_path)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("step 50,000"):
                break
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert out == ""
    assert "rlgrid train --resume" in err
    assert "Traceback" not in err
    agent, _ = training.load(tmp_path / "q_learning" / "rlgrid-FourRooms-v0_1")
    assert agent.num_timesteps >= 50_000


def test_record_refuses_what_it_cannot_write(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for fps in ("0", "nan", "-3", "x"):
        with pytest.raises(SystemExit):
            main(["record", "rlgrid/FourRooms-v0", "-o", str(tmp_path / "a.gif"), "--fps", fps])
        assert "--fps" in capsys.readouterr().err
    assert main(["record", "rlgrid/FourRooms-v0", "-o", str(tmp_path / "a.png"), "--cell-size", "5000"]) == 2
    assert "65000 x 65000 pixels; at most 8192 a side: --cell-size 630 fits" in capsys.readouterr().err


def test_states_that_are_worth_minus_infinity_do_not_spoil_the_start(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    trap = tmp_path / "trap.toml"
    trap.write_text(
        'gamma = 1.0\nstep_reward = -1.0\nmap = """\nS..G\nv###\n#..#\n"""\n[legend]\nv = { enter_to = [2, 1] }\n',
        encoding="utf-8",
    )
    assert main(["solve", str(trap), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["start_value"] == pytest.approx(-2.0)  # three steps, and 1 for the goal
    assert None in found["values"]


@pytest.mark.parametrize(
    ("text", "number"),
    [("1234567890123456789", 1234567890123456789), ("5e4", 50_000), ("50_000", 50_000), ("1.5e1", 15), ("0", 0)],
)
def test_whole_numbers_are_taken_exactly(text: str, number: int) -> None:
    assert parser().parse_args(["train", "--seed", text]).seed == number


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("-n", "-5"), "'-5' is not a whole number of at least 1"),
        (("-n", "0"), "'0' is not a whole number of at least 1"),
        (("-n", "1e999999"), "'1e999999' is not a whole number"),
        (("-n", "99999999999999999999"), "at most 4611686018427387904, not 99999999999999999999"),
        (("--seed", "99999999999999999999"), "at most 4611686018427387904, not 99999999999999999999"),
        (("--seed", "nan"), "'nan' is not a whole number"),
        (("--seeds", "0,0,1"), "seed 0 is there twice"),
    ],
)
def test_numbers_that_cannot_be_are_refused_as_they_were_written(
    words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["train", "--algo", "ucbvi", "--env", "rlgrid/FrozenLake-v1", *words])
    assert said in capsys.readouterr().err
