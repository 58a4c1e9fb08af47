"""Many runs as one thing: each is what it is alone, wherever and in whatever order it is run; nothing comes twice."""

import copy
import io
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from joblib.externals.loky import get_reusable_executor
from small_worlds import LAKE, Offset, masked_mdp

import rlgrid
from rlgrid import learn_many
from rlgrid.agents import DQN, QLearning
from rlgrid.agents.evaluation import evaluate_policy
from rlgrid.alone import Failure, Task, made_by, run_in_worker
from rlgrid.many import LearnError
from rlgrid.runs import EXACT, JUDGED, Plan, Run, Runs, read_arrays
from rlgrid.training import RunError
from rlgrid.truth import Truth

CORRIDOR = "gamma = 0.9\nmap = '''\nS..G\n'''\n"


@pytest.fixture(scope="module")
def lake() -> Runs:
    """Three seeds with two learning rates, in this process."""
    return learn_many(
        "q_learning", LAKE, range(3), 3_000, grid={"learning_rate": [0.1, 0.5]}, eval_points=3, tables=True, n_jobs=1
    )


@pytest.fixture(scope="module", autouse=True)
def no_workers_left() -> Iterator[None]:
    yield
    get_reusable_executor(reuse=True).shutdown(wait=True, kill_workers=True)


def equal(a: Runs, b: Runs) -> bool:
    return len(a) == len(b) and all(x.same(y) for x, y in zip(a, b, strict=True))


# --- what a run is ----------------------------------------------------------------------------------------------------


def test_a_run_is_what_learn_gives(lake: Runs) -> None:
    for run in lake:
        env = gym.make(LAKE)
        agent = QLearning(env, seed=run.seed, **run.settings)
        model: Any = env.unwrapped.model
        points: list[Any] = [agent.policy]
        agent.chunk_size = 1_000  # the points, where the callback looks
        agent.learn(3_000, lambda a, points=points: points.append(a.policy))  # type: ignore[misc]
        seen = [rlgrid.policy_values(model, policy)[model.start_states[0]] for policy in points]
        assert run.timesteps.tolist() == [0, 1_000, 2_000, 3_000]
        assert run.value.tolist() == seen
        assert run.episode_returns.tolist() == agent.episode_returns
        assert run.episode_lengths.tolist() == agent.episode_lengths
        assert np.isnan(run.mean_return).all()
        assert (run.tables["q_values"] == agent.q_values).all()
        assert (run.tables["policy"] == agent.policy).all()
        assert (run.tables["visits"] == agent.visits).all()


def test_what_is_true_at_the_end_is_what_the_truth_says(lake: Runs) -> None:
    for run in lake:
        agent = QLearning(gym.make(LAKE), seed=run.seed, **run.settings).learn(3_000)
        judge = Truth.of(agent)
        assert judge is not None
        point = judge.look(agent).numbers()
        assert {name: getattr(run, name)[-1] for name in EXACT} == {name: point[name] for name in EXACT}
    assert lake.scores("q_error").mean() < lake.curve("q_error")[1][:, 0].mean()


def test_runs_of_agents_that_predict_keep_how_far_off_they_are(tmp_path: Path) -> None:
    given: dict[str, Any] = {"settings": {"learning_rate": 0.05}, "folder": tmp_path / "td0"}
    runs = learn_many("td0", LAKE, [3], 2_000, eval_points=2, n_jobs=1, **given)
    agent: Any = rlgrid.agents.TD0(gym.make(LAKE), seed=3, learning_rate=0.05).learn(2_000)
    judge = Truth.of(agent)
    assert judge is not None
    point = judge.look(agent)
    assert (runs[0].prediction_error[-1], runs[0].prediction_rms[-1]) == (point.prediction_error, point.prediction_rms)
    assert runs.best_measure() == "prediction_rms"
    assert runs.scores("prediction_rms") < 0.9 * runs.curve("prediction_rms")[1][:, 0]
    assert Runs.load(tmp_path / "td0")[0].same(runs[0])
    assert np.isnan(learn_many("q_learning", LAKE, [3], 100, n_jobs=1)[0].prediction_rms).all()


def test_share_of_regret_is_that_of_the_policy(lake: Runs) -> None:
    x, y = lake.curve("share_of_regret")
    assert x.tolist() == [0, 1_000, 2_000, 3_000]
    model: Any = gym.make(LAKE).unwrapped.model
    for run, share in zip(lake, y[:, -1], strict=True):
        assert share == pytest.approx(rlgrid.share_of_regret(model, run.tables["policy"]), abs=1e-12)
    assert lake.scores("regret") == pytest.approx(lake.plan.optimal_value - lake.scores("value"))


def test_workers_give_the_same_bits(lake: Runs) -> None:
    """Functions and classes of this very file travel too, and a world of another library."""
    seeds = [2, 0, 1]
    grid = {"learning_rate": [0.1, 0.5]}
    there = learn_many(QLearning, lambda: gym.make(LAKE), seeds, 3_000, grid=grid, eval_points=3, tables=True, n_jobs=2)
    assert equal(lake, there)
    foreign = [learn_many(QLearning, Offset, range(2), 300, eval_episodes=2, n_jobs=jobs) for jobs in (1, 2)]
    assert equal(*foreign)
    assert np.isnan(foreign[0][0].value).all()
    assert foreign[0][0].mean_return[-1] == -3.0


def test_environments_are_given_in_many_ways(tmp_path: Path) -> None:
    (tmp_path / "corridor.toml").write_text(CORRIDOR)
    spec = rlgrid.GridSpec.parse(CORRIDOR)
    ways = [str(tmp_path / "corridor.toml"), spec, lambda: gym.make("rlgrid/GridWorld-v0", map=spec)]
    ways.append(gym.make("rlgrid/GridWorld-v0", map=spec).spec)
    first, *others = [learn_many("q_learning", way, [5], 500, n_jobs=1) for way in ways]
    assert first[0].value[-1] == pytest.approx(0.81)
    assert all(equal(first, other) for other in others)
    assert len(learn_many("q_learning", masked_mdp(), [0], 100, n_jobs=1)) == 1
    slow = learn_many("q_learning", LAKE, [0], 500, n_jobs=1, env_kwargs={"max_episode_steps": 3})
    assert max(slow[0].episode_lengths) <= 3


def test_other_agents() -> None:
    network = learn_many(DQN, "CartPole-v1", [0], 60, eval_points=[60], eval_episodes=3, n_jobs=1, tables=True)
    assert network[0].tables == {}
    agent = DQN(env=gym.make("CartPole-v1"), seed=0).learn(60)
    assert network[0].mean_return[0] == evaluate_policy(agent, gym.make("CartPole-v1"), 3, seed=1)[0]
    planner = learn_many("value_iteration", LAKE, [0], 2_000, eval_points=4, n_jobs=1)
    assert planner.plan.unit == "sweep"
    assert planner.scores("regret") == pytest.approx(0.0, abs=1e-6)  # it is done long before the last point
    with pytest.raises(TypeError, match="give total_timesteps, in sweeps"):
        learn_many("value_iteration", LAKE, [0])


def test_a_policy_that_may_never_end_is_worth_minus_infinity() -> None:
    runs = learn_many("q_learning", "rlgrid/CliffWalking-v1", [0], 20, eval_points=[0], n_jobs=1)
    assert runs.plan.gamma == 1.0
    assert runs[0].value.tolist() == [-np.inf]
    assert runs.scores("regret").tolist() == [np.inf]


# --- what is asked wrongly --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"agent": "q_lerning"}, "did you mean q_learning"),
        ({"agent": 3}, "agent must be a name"),
        ({"env": "rlgrid/FrozenLak-v1"}, "did you mean rlgrid/FrozenLake-v1"),
        ({"env": 3}, "env must be an id"),
        ({"env": gym.make(LAKE)}, "give its id, env.spec, or a function"),
        ({"seeds": []}, "seeds is empty"),
        ({"seeds": "0-9"}, "several whole numbers"),
        ({"seeds": [1, 2, 1]}, "seed 1 is there twice"),
        ({"seeds": [-1]}, "at least 0"),
        ({"total_timesteps": 0}, "total_timesteps must be at least 1"),
        ({"settings": {"learning_rat": 0.1}}, "did you mean learning_rate"),
        ({"settings": {"learning_rate": 7.0}}, r"learning_rate must lie in \(0, 1\]"),
        ({"settings": {"learning_rate": np.ones(2)}}, "the setting 'learning_rate' must be a number"),
        ({"settings": [{"gamma": 0.5}, {"gamma": 0.5}]}, "is there twice"),
        ({"settings": "gamma"}, "settings must be a dict"),
        ({"settings": []}, "settings is an empty list"),
        ({"grid": {"gamma": 0.5}}, "must be a list of values"),
        ({"grid": {"gamma": []}}, "grid 'gamma' is empty"),
        ({"grid": {"gamma": [0.5]}, "settings": {"gamma": 0.5}}, "stands in settings and in grid"),
        ({"eval_points": [0, 200]}, "lie in 0 to 100"),
        ({"eval_points": [50, 20]}, "must rise"),
        ({"n_jobs": 0}, "n_jobs must not be 0"),
        ({"n_jobs": 1.5}, "n_jobs must be a whole number"),
        ({"backend": "lokky"}, "did you mean loky"),
        ({"address": "127.0.0.1:1"}, "needs no address"),
    ],
)
def test_what_is_wrong_is_named_before_anything_runs(words: dict[str, Any], said: str, tmp_path: Path) -> None:
    given = {"agent": "q_learning", "env": LAKE, "seeds": [0], "total_timesteps": 100} | words
    with pytest.raises((ValueError, TypeError), match=said):
        learn_many(**given, folder=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


class Trap(Offset):
    """A corridor that breaks under one seed."""

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        if seed == 2:
            raise OSError("the lift is out of order")
        return super().reset(seed=seed, options=options)


def test_a_run_that_fails_costs_the_others_nothing(tmp_path: Path) -> None:
    with pytest.raises(LearnError, match="1 of 4 runs failed; seed 2: OSError: the lift is out of order") as caught:
        learn_many("q_learning", Trap, range(4), 50, eval_episodes=0, n_jobs=1, folder=tmp_path)
    assert caught.value.runs.seeds == [0, 1, 3]
    assert Runs.load(tmp_path).seeds == [0, 1, 3]
    assert "in reset" in caught.value.__notes__[0]  # where it happened


# --- what is kept -----------------------------------------------------------------------------------------------------


def test_a_worker_of_other_versions_is_named() -> None:
    """A worker elsewhere may have another NumPy, or older code of ours."""
    make = partial(gym.make, LAKE)
    task = Task(QLearning, make, 10, (0, 10), 0, tables=False, home=-1, made_by=made_by() | {"numpy": "0.1"})
    _, _, result = run_in_worker(task, {}, 0)
    assert isinstance(result, Failure)
    assert f"numpy is {np.__version__} there and 0.1 here" in result.error
    assert len(made_by()["the code of rlgrid"]) == 12


def test_what_is_there_is_not_run_again(lake: Runs, tmp_path: Path) -> None:
    words: dict[str, Any] = {"eval_points": 3, "tables": True, "n_jobs": 1, "folder": tmp_path}
    learn_many("q_learning", LAKE, [0, 2], 3_000, settings={"learning_rate": 0.5}, **words)
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("*.npz")}
    assert sorted(before) == ["0_0.npz", "0_2.npz"]
    more = learn_many("q_learning", LAKE, range(3), 3_000, grid={"learning_rate": [0.1, 0.5]}, **words)
    assert equal(more, lake)
    assert equal(Runs.load(tmp_path), Runs(Runs.load(tmp_path).plan, list(lake)))
    assert len(list(tmp_path.glob("*.npz"))) == 6
    assert all((tmp_path / name).stat().st_mtime_ns == then for name, then in before.items())
    assert Runs.load(tmp_path).plan.seeds == [0, 1, 2]
    with pytest.raises(RunError, match="holds runs with total_timesteps 3000, not 4000: name another folder"):
        learn_many("q_learning", LAKE, [0], 4_000, **words)
    with pytest.raises(RunError, match="holds runs with env"):
        learn_many("q_learning", "rlgrid/FrozenLake8x8-v1", [0], 3_000, **words)


def test_save_and_load(lake: Runs, tmp_path: Path) -> None:
    lake.save(tmp_path / "here")
    again = Runs.load(tmp_path / "here")
    assert equal(again, lake)
    assert again.plan == lake.plan
    document = json.loads((tmp_path / "here" / "runs.json").read_text())
    assert set(document["versions"]) == {"rlgrid", "numpy", "numba"}
    with np.load(tmp_path / "here" / "1_2.npz", allow_pickle=False) as file:  # as anybody would read it
        assert (file["table.q_values"] == lake.select(learning_rate=0.5)[2].tables["q_values"]).all()
    part = lake.select(learning_rate=0.5)[:2]
    part.save(tmp_path / "part")
    assert [path.name for path in sorted((tmp_path / "part").glob("*.npz"))] == ["1_0.npz", "1_1.npz"]


@pytest.mark.parametrize("seed", range(3))
def test_files_from_strangers_load_or_are_refused(lake: Runs, tmp_path: Path, seed: int) -> None:
    lake[:1].save(tmp_path)
    generator = np.random.default_rng(seed)
    for name in ("0_0.npz", "runs.json"):
        whole = (tmp_path / name).read_bytes()
        for _ in range(60):
            torn = bytearray(whole)
            for place in generator.integers(0, len(whole), generator.integers(1, 4)):
                torn[place] = generator.integers(0, 256)
            if generator.random() < 0.3:
                torn = torn[: generator.integers(0, len(whole))]
            (tmp_path / name).write_bytes(bytes(torn))
            try:
                loaded = Runs.load(tmp_path)
            except RunError:  # and nothing else
                continue
            assert all(isinstance(run, Run) for run in loaded)
        (tmp_path / name).write_bytes(whole)


def archive(**members: bytes) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as file:
        for name, data in members.items():
            file.writestr(f"{name}.npy", data)
    return content.getvalue()


def test_an_archive_takes_no_more_memory_than_it_is_long() -> None:
    def array(shape: str, descr: str = "<f8", data: bytes = b"") -> bytes:
        head = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
        return b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head + data

    assert read_arrays(archive(a=array("(2,)", data=bytes(16))))["a"].tolist() == [0.0, 0.0]
    for wrong in (array(f"({2**50},)"), array("(-1,)"), array("(0, 0, 0, 0, 0)"), array("(1,)", "|O", bytes(8))):
        with pytest.raises(ValueError, match=r"a\.npy"):
            read_arrays(archive(a=wrong))
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a.npy", bytes(10**6))
    with pytest.raises(ValueError, match="compressed"):
        read_arrays(content.getvalue())


def test_torn_heads_of_arrays_and_shared_bytes_are_refused() -> None:
    """Python's own parser reads the heads, with errors of many kinds."""
    for head in ("{'descr': (", "  1\n 2\n", "-" * 9_000 + "1", "{[1]:2}", "{'descr': '<f8'"):
        data = head.encode()
        array = b"\x93NUMPY\x01\x00" + len(data).to_bytes(2, "little") + data
        with pytest.raises(ValueError, match=r"a\.npy is no array"):
            read_arrays(archive(a=array))
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        file.writestr("a.npy", bytes(8))
        with pytest.warns(UserWarning, match="Duplicate"):
            file.writestr("a.npy", bytes(8))
    with pytest.raises(ValueError, match="two arrays of one name"):
        read_arrays(content.getvalue())
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        file.writestr("a.npy", bytes(10_000))
        for i in range(3):  # further entries of the same bytes
            twin = copy.copy(file.filelist[0])
            twin.filename = twin.orig_filename = f"{i}.npy"
            file.filelist.append(twin)
    with pytest.raises(ValueError, match="longer than the file"):
        read_arrays(content.getvalue())


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no named pipes in folders")
def test_pipes_among_runs_are_not_waited_for(lake: Runs, tmp_path: Path) -> None:
    lake.save(tmp_path)
    (tmp_path / "0_9.npz").unlink(missing_ok=True)
    os.mkfifo(tmp_path / "0_9.npz")
    with pytest.raises(RunError, match="no plain file"):
        Runs.load(tmp_path)


# --- what the runs say ------------------------------------------------------------------------------------------------


def test_groups_and_selections(lake: Runs) -> None:
    assert list(lake.groups()) == ["learning_rate=0.1", "learning_rate=0.5"]
    one = lake.select(learning_rate=0.5)
    assert [run.seed for run in one] == [0, 1, 2]
    assert list(one.groups()) == [""]
    with pytest.raises(ValueError, match=r"no run has learning_rate=0\.7; there is learning_rate=0\.1"):
        lake.select(learning_rate=0.7)
    with pytest.raises(ValueError, match="did you mean regret"):
        lake.curve("regrett")
    with pytest.raises(ValueError, match="no returns were sampled"):
        lake.curve("mean_return")


def test_episodes_are_a_curve_as_long_as_all_have_it(lake: Runs) -> None:
    x, y = lake.curve("episode_length")
    assert len(x) == min(len(run.episode_lengths) for run in lake)
    assert y[4].tolist() == lake[4].episode_lengths[: len(x)].tolist()


def plain(values: dict[int, float], fingerprint: str = "w") -> Runs:
    """Runs of one point with these values."""
    plan = Plan("a", "e", 10, [10], fingerprint=fingerprint, gamma=0.9, optimal_value=1.0, uniform_value=0.0)
    none, unknown = np.zeros(0), dict.fromkeys(JUDGED, np.full(1, np.nan))
    runs = [
        Run(seed, {}, none, none.astype(np.int64), np.array([10]), **unknown | {"value": np.array([value])})
        for seed, value in values.items()
    ]
    return Runs(plan, runs)


def test_a_world_without_a_finite_optimum_has_no_regret() -> None:
    runs = plain({0: -np.inf, 1: -5.0})
    endless = Runs(replace(runs.plan, optimal_value=-np.inf, uniform_value=-np.inf), list(runs))
    assert endless.best_measure() == "value"
    with pytest.raises(ValueError, match="no finite optimum; take the measure value"):
        endless.curve("regret")
    equal_to_uniform = Runs(replace(runs.plan, uniform_value=1.0), list(runs))
    assert equal_to_uniform.best_measure() == "regret"
    with pytest.raises(ValueError, match="take regret"):
        equal_to_uniform.curve("share_of_regret")


def test_agents_are_compared_on_common_seeds() -> None:
    good, poor = plain({0: 1.0, 1: 0.9, 2: 0.5, 7: 0.0}), plain({2: 0.6, 1: 0.2, 0: 0.1, 9: 1.0})
    found = good.compare(poor)  # by the share of regret, of which less is better
    assert (found.seeds, found.wins, found.losses) == (3, 2, 1)
    assert found.difference == pytest.approx((0.9 + 0.7 - 0.1) / 3)
    assert good.compare(poor, "value").difference == pytest.approx(found.difference)
    with pytest.raises(ValueError, match="no common seed"):
        good.compare(plain({3: 1.0}))
    with pytest.raises(ValueError, match="worlds differ"):
        good.compare(plain({0: 1.0}, "another"))


# --- workers that die, and people who stop ----------------------------------------------------------------------------


def mortal(folder: Path, home: int) -> gym.Env[Any, Any]:
    """A frozen lake; the process of the first that is made after five runs are done is killed, but for `home`."""
    mark = folder / "killed"
    if os.getpid() != home and len(list(folder.glob("*.npz"))) >= 5 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return gym.make(LAKE)


@pytest.mark.slow
def test_every_seed_comes_once_though_a_process_of_this_machine_is_killed(tmp_path: Path) -> None:
    env = partial(mortal, tmp_path, os.getpid())
    runs = learn_many("q_learning", env, range(40), 100_000, n_jobs=2, folder=tmp_path)
    assert (tmp_path / "killed").exists()
    assert [run.seed for run in runs] == list(range(40))
    assert equal(runs, learn_many("q_learning", LAKE, range(40), 100_000, n_jobs=1))


class Deadly(Offset):
    """A corridor that, on seed 1, takes every process with it but `home`."""

    def __init__(self, home: int) -> None:
        super().__init__()
        self.home = home

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        if seed == 1 and os.getpid() != self.home:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().reset(seed=seed, options=options)


@pytest.mark.slow
def test_a_run_that_kills_every_worker_is_given_up_alone(tmp_path: Path) -> None:
    with pytest.raises(LearnError, match="1 of 4 runs failed; seed 1: its process was killed each time"):
        learn_many("q_learning", partial(Deadly, os.getpid()), range(4), 50, eval_episodes=0, n_jobs=2, folder=tmp_path)
    assert Runs.load(tmp_path).seeds == [0, 2, 3]


@pytest.mark.slow
def test_ctrl_c_keeps_what_is_done_and_the_rest_follows(tmp_path: Path) -> None:
    words = ("train", "--algo", "q_learning", "--env", LAKE, "--seeds", "0-199", "-n", "500000", "--jobs", "2")
    process = subprocess.Popen(
        [sys.executable, "-m", "rlgrid", *words, "-f", str(tmp_path)],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    folder = tmp_path / "q_learning" / "rlgrid-FrozenLake-v1_1"
    while len(list(folder.glob("*.npz"))) < 5:
        assert process.poll() is None
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does it: workers get it too
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 130, said
    assert "Traceback" not in said
    assert f"rlgrid train --resume {folder}" in said
    kept = {path: path.stat().st_mtime_ns for path in folder.glob("*.npz")}
    assert 5 <= len(kept) < 200
    loaded = Runs.load(folder)
    assert len(loaded) == len(kept)
    all_of_them = learn_many("q_learning", LAKE, range(12), 500_000, eval_points=loaded.plan.points, folder=folder)
    assert len(all_of_them) == 12
    assert all(path.stat().st_mtime_ns == then for path, then in kept.items())


COMPILE = """
import sys, time
from pathlib import Path
import rlgrid, rlgrid.many
from rlgrid.kernels import cache_folder

warm_up, after = rlgrid.many.warm_up, {}
def files():
    return {str(path): path.stat().st_mtime_ns for path in cache_folder().rglob("*") if path.is_file()}
def watched(*words):
    warm_up(*words)
    after.update(files())
rlgrid.many.warm_up = watched
runs = rlgrid.learn_many("q_learning", "rlgrid/FrozenLake-v1", range(8), 5_000, n_jobs=2)
assert len(after) > 10 and len(runs) == 8
assert files() == after, {path for path in files() if path not in after}
"""


@pytest.mark.slow
def test_workers_compile_nothing(tmp_path: Path) -> None:
    """What a run needs is in the cache before the first worker begins."""
    environment = os.environ | {"RLGRID_CACHE_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", COMPILE], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
