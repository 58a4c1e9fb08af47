"""Callbacks are called exactly when they are due, and looking at a run never changes it."""

from __future__ import annotations

import copy
import struct
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from small_worlds import LAKE, masked_mdp, same, state_of, world

from rlgrid.agents import AGENTS, DQN, QLearning, ValueIteration, agent_class, evaluate_policy
from rlgrid.callbacks import (
    BaseCallback,
    CallbackList,
    CheckpointCallback,
    EvalCallback,
    EveryNTimesteps,
    StopTrainingOnMaxEpisodes,
    StopTrainingOnNoModelImprovement,
    StopTrainingOnRewardThreshold,
    TensorBoardCallback,
)
from rlgrid.truth import MEASURES, Truth


class Note(BaseCallback):
    """Notes when it was called."""

    def __init__(self, frequency: int | None = None) -> None:
        super().__init__()
        self.frequency = frequency
        self.seen: list[int] = []
        self.told: list[str] = []

    def _on_training_start(self) -> None:
        self.told.append("start")

    def _on_training_end(self) -> None:
        self.told.append("end")

    def next_call(self) -> int | None:
        if self.frequency is None:
            return super().next_call()
        return (self.model.num_timesteps // self.frequency + 1) * self.frequency

    def _on_step(self) -> bool:
        assert self.num_timesteps == self.model.num_timesteps
        self.seen.append(self.num_timesteps)
        return True


# --- when they are called ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compiled", [True, False])
def test_objects_are_called_exactly_when_they_are_due(compiled: bool) -> None:
    threes, sevens, every, function = Note(3), Note(7), EveryNTimesteps(5, Note()), []
    agent = QLearning(world(), seed=0, compiled=compiled)
    agent.chunk_size = 8
    agent.learn(20, callback=[threes, CallbackList([sevens, every]), lambda a: function.append(a.num_timesteps)])
    assert threes.seen == [3, 6, 9, 12, 15, 18]
    assert sevens.seen == [7, 14]
    assert every.callback.seen == [5, 10, 15, 20]  # type: ignore[union-attr]
    assert function == [3, 5, 6, 7, 9, 10, 12, 14, 15, 18, 20]
    assert threes.told == sevens.told == every.callback.told == ["start", "end"]  # type: ignore[union-attr]


def test_a_callback_that_says_nothing_of_when_is_called_after_every_step() -> None:
    note = Note()
    QLearning(world(), seed=0).learn(50, callback=note)
    assert note.seen == list(range(1, 51))
    assert note.n_calls == 50

    class Foreign:
        """An object with the methods alone."""

        calls = 0

        def init_callback(self, model: Any) -> None:
            self.model = model

        def on_training_start(self, locals_: Any, globals_: Any) -> None:
            assert locals_["self"] is self.model

        def on_step(self) -> bool:
            self.calls += 1
            return self.calls < 7

        def on_training_end(self) -> None:
            self.ended = True

    foreign = Foreign()
    agent = QLearning(world(), seed=0).learn(50, callback=foreign)
    assert (agent.num_timesteps, foreign.calls, foreign.ended) == (7, 7, True)


@pytest.mark.parametrize("compiled", [True, False])
def test_looking_never_changes_a_run(compiled: bool, tmp_path: Path) -> None:
    plain = QLearning(world(), seed=3, compiled=compiled).learn(1000)
    looked = QLearning(world(), seed=3, compiled=compiled)
    looked.learn(
        1000,
        callback=[
            Note(37),
            EvalCallback(world(), eval_freq=101, n_eval_episodes=2, log_path=tmp_path, deterministic=False, verbose=0),
            CheckpointCallback(210, tmp_path),
            StopTrainingOnMaxEpisodes(10_000),
        ],
    )
    assert same(plain, looked)
    assert state_of(plain.env) == state_of(looked.env)


@pytest.mark.parametrize("algo", [name for name in AGENTS if name not in ("value_iteration", "recurrent_dqn")])
def test_looking_never_changes_any_agent(algo: str, tmp_path: Path) -> None:
    settings = {"policy_kwargs": {"net_arch": [8]}, "learning_starts": 20} if algo == "dqn" else {}
    plain, looked = (agent_class(algo)(env=world(), seed=3, **settings) for _ in range(2))
    plain.learn(300)
    looked.learn(300, callback=[Note(7), EvalCallback(world(), eval_freq=50, n_eval_episodes=1, verbose=0)])
    if getattr(looked, "acts_at_random", False):  # its evaluations draw actions, from a stream that learning never sees
        drawn, untouched = looked._predict_generator, plain._predict_generator
        assert drawn.bit_generator.state != untouched.bit_generator.state
        drawn.bit_generator.state = untouched.bit_generator.state
    plain.save(tmp_path / "plain.safetensors")
    looked.save(tmp_path / "looked.safetensors")
    assert (tmp_path / "plain.safetensors").read_bytes() == (tmp_path / "looked.safetensors").read_bytes()
    kept, values, visits = plain.learnt(), plain.values, plain.visits
    plain.learn(100, reset_num_timesteps=False)
    assert (plain.visits != visits).any()  # type: ignore[attr-defined]
    plain.take_back(kept)
    np.testing.assert_array_equal(plain.values, values)
    np.testing.assert_array_equal(plain.visits, visits)  # type: ignore[arg-type]
    plain.learn(100, reset_num_timesteps=False)  # and it can go on
    assert plain.num_timesteps == 500


def test_a_planner_is_looked_at_by_sweeps() -> None:
    note = Note(10)
    ValueIteration(world(masked_mdp(), None), tolerance=1e-300).learn(35, callback=note)
    assert note.seen == [10, 20, 30]


def test_what_is_no_callback_is_named() -> None:
    agent = QLearning(world(), seed=0)
    for wrong in (3, [lambda a: None, "stop"], BaseCallback):
        with pytest.raises(TypeError, match="callback must be a function of the agent"):
            agent.learn(10, callback=wrong)
    with pytest.raises(TypeError, match="must be a callback of"):
        EvalCallback(world(), callback_after_eval=lambda a: None)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="save_freq must be at least 1"):
        CheckpointCallback(0, "here")
    with pytest.raises(ValueError, match="belongs into an EvalCallback"):
        agent.learn(10, callback=StopTrainingOnRewardThreshold(1.0))
    with pytest.raises(ValueError, match="eval_env is the environment that the agent learns in"):
        agent.learn(10, callback=EvalCallback(agent.env))


# --- checkpoints ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compiled", [True, False])
def test_checkpoints_lie_where_they_are_due_and_resume_to_the_same_bytes(compiled: bool, tmp_path: Path) -> None:
    agent = QLearning(world(), seed=1, compiled=compiled)
    agent.learn(1000, callback=CheckpointCallback(300, tmp_path / "all", name_prefix="q"))
    agent.save(tmp_path / "end.safetensors")
    names = {f"q_{steps}_steps.safetensors" for steps in (300, 600, 900)}
    assert {path.name for path in (tmp_path / "all").iterdir()} == names
    for name in names:
        again = QLearning.load(tmp_path / "all" / name, world(), compiled=compiled).resume()
        again.save(tmp_path / "again.safetensors")
        assert (tmp_path / "again.safetensors").read_bytes() == (tmp_path / "end.safetensors").read_bytes()


# --- evaluations ------------------------------------------------------------------------------------------------------


def test_evaluations_are_written_as_stable_baselines_writes_them(tmp_path: Path) -> None:
    watch = EvalCallback(
        world(), eval_freq=400, n_eval_episodes=3, log_path=tmp_path, best_model_save_path=tmp_path / "best", verbose=0
    )
    agent = QLearning(world(), seed=5)
    snapshots: dict[int, QLearning] = {}

    class Keep(Note):
        def _on_step(self) -> bool:
            snapshots[self.num_timesteps] = copy.deepcopy(self.model)  # type: ignore[assignment]
            return super()._on_step()

    agent.learn(2000, callback=[watch, Keep(400)])
    with np.load(tmp_path / "evaluations.npz", allow_pickle=False) as file:
        found = dict(file)
    assert found["timesteps"].tolist() == [400, 800, 1200, 1600, 2000]
    assert found["results"].shape == found["ep_lengths"].shape == (5, 3)
    assert (found["timesteps"].dtype, found["results"].dtype, found["ep_lengths"].dtype) == (int, float, int)
    means = []
    for i, then in enumerate(snapshots.values()):
        returns, lengths = evaluate_policy(then, world(), 3, seed=6, return_episode_rewards=True)
        assert found["results"][i].tolist() == returns
        assert found["ep_lengths"][i].tolist() == lengths
        means.append(float(np.mean(returns)))
        point = Truth.of(then).look(then)  # type: ignore[union-attr]
        for name in MEASURES:
            np.testing.assert_array_equal(found[name][i], getattr(point, name))
    best = QLearning.load(tmp_path / "best" / "best_model.safetensors", world())
    assert best.num_timesteps == 400 * (1 + means.index(max(means)))
    assert watch.best_mean_reward == max(means)
    assert watch.last_mean_reward == means[-1]


def test_a_resumed_run_goes_on_with_its_evaluations(tmp_path: Path) -> None:
    def watch(folder: str) -> list[Any]:
        return [
            EvalCallback(world(), eval_freq=150, n_eval_episodes=2, log_path=tmp_path / folder, verbose=0),
            CheckpointCallback(500, tmp_path / folder),
        ]

    QLearning(world(), seed=2).learn(1000, callback=watch("whole"))

    class Stop(Note):
        def _on_step(self) -> bool:
            return self.num_timesteps < 700

    QLearning(world(), seed=2).learn(1000, callback=[*watch("cut"), Stop(100)])  # it has looked at 600, and is lost
    again = QLearning.load(tmp_path / "cut" / "rl_model_500_steps.safetensors", world())
    again.resume(callback=watch("cut"))
    for name in ("evaluations.npz", "rl_model_1000_steps.safetensors"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_resumed_run_stops_where_it_would_have_stopped(tmp_path: Path) -> None:
    def watch(folder: str) -> list[Any]:
        patience = StopTrainingOnNoModelImprovement(3, restore_best=True)
        at = tmp_path / folder
        words: dict[str, Any] = {"eval_freq": 1000, "n_eval_episodes": 20, "verbose": 0}
        evaluation = EvalCallback(world(), None, patience, log_path=at, best_model_save_path=at, **words)
        return [evaluation, CheckpointCallback(1000, at)]

    whole = QLearning(world(), seed=8).learn(100_000, callback=watch("whole"))
    assert 5_000 < whole.num_timesteps < 100_000
    timesteps = np.load(tmp_path / "whole" / "evaluations.npz")["timesteps"].tolist()
    best_at = QLearning.load(tmp_path / "whole" / "best_model.safetensors", world()).num_timesteps
    assert best_at == timesteps[-5]  # four evaluations were no better
    before = best_at + 2_000  # two of them are behind it

    QLearning(world(), seed=8).learn(100_000, callback=[*watch("cut"), lambda a: a.num_timesteps < before])
    again = QLearning.load(tmp_path / "cut" / f"rl_model_{before}_steps.safetensors", world())
    again.resume(callback=watch("cut"))
    assert again.num_timesteps == whole.num_timesteps
    np.testing.assert_array_equal(again.q_table, whole.q_table)
    best = QLearning.load(tmp_path / "whole" / "best_model.safetensors", world())
    np.testing.assert_array_equal(whole.q_table, best.q_table)


def test_evaluations_of_strangers_are_refused(tmp_path: Path) -> None:
    agent = QLearning(world(), seed=2).learn(100, callback=lambda a: False)
    agent.learn(100, reset_num_timesteps=False)
    for content in (b"no zip", b""):
        (tmp_path / "evaluations.npz").write_bytes(content)
        with pytest.raises(ValueError, match="holds no evaluations to go on with"):
            agent.learn(100, reset_num_timesteps=False, callback=EvalCallback(world(), eval_freq=50, log_path=tmp_path))


class Scripted(EvalCallback):
    """Mean rewards as they are written down."""

    def __init__(self, means: list[float], **more: Any) -> None:
        super().__init__(world(), eval_freq=10, n_eval_episodes=1, verbose=0, truth=False, **more)
        self.means = means


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Any:
    def make(means: list[float], **more: Any) -> Scripted:
        left = iter(means)
        monkeypatch.setattr("rlgrid.callbacks.evaluate_policy", lambda *a, **k: ([next(left)], [1]))
        return Scripted(means, **more)

    return make


def test_a_run_stops_at_the_threshold(scripted: Any) -> None:
    stop = scripted([0.0, 0.4, 0.3, 0.5, 0.9], callback_on_new_best=StopTrainingOnRewardThreshold(0.5))
    agent = QLearning(world(), seed=0).learn(1000, callback=stop)
    assert agent.num_timesteps == 40
    assert stop.evaluations_timesteps == [10, 20, 30, 40]


@pytest.mark.parametrize(
    ("patience", "least", "stopped"), [(0, 0, 40), (1, 0, 50), (1, 4, 60), (2, 0, 60), (3, 0, 110)]
)
def test_a_run_stops_when_nothing_improves(scripted: Any, patience: int, least: int, stopped: int) -> None:
    """By hand: evaluations 4, 5 and 6 bring nothing better, 7 does, and those after it do not."""
    means = [0.1, 0.2, 0.3, 0.3, 0.2, 0.1, 0.4, 0.4, 0.4, 0.4, 0.4]
    stop = scripted(means, callback_after_eval=StopTrainingOnNoModelImprovement(patience, least))
    agent = QLearning(world(), seed=0).learn(1000, callback=stop)
    assert agent.num_timesteps == stopped


@pytest.mark.parametrize("restore", [True, False])
def test_the_best_is_restored_on_request(scripted: Any, restore: bool) -> None:
    stop = scripted(
        [0.1, 0.2, 0.9, 0.3, 0.4], callback_after_eval=StopTrainingOnNoModelImprovement(1, restore_best=restore)
    )
    agent = QLearning(world(), seed=0, initial_q=0.5).learn(1000, callback=stop)
    assert agent.num_timesteps == 50
    then = QLearning(world(), seed=0, initial_q=0.5)
    then.begin(1000)
    then.advance(30 if restore else 50)
    np.testing.assert_array_equal(agent.q_table, then.q_table)
    np.testing.assert_array_equal(agent.counts, then.counts)
    agent.resume(callback=lambda a: False)  # and it can go on
    assert agent.num_timesteps > 50


@pytest.mark.parametrize("compiled", [True, False])
def test_a_run_stops_with_the_step_that_ends_an_episode(compiled: bool) -> None:
    whole = QLearning(world(), seed=4, compiled=compiled).learn(3000)
    for episodes in (1, 2, 50):
        agent = QLearning(world(), seed=4, compiled=compiled)
        agent.learn(3000, callback=StopTrainingOnMaxEpisodes(episodes))
        assert agent.episode_lengths == whole.episode_lengths[:episodes]
        assert agent.num_timesteps == sum(whole.episode_lengths[:episodes])


# --- TensorBoard ------------------------------------------------------------------------------------------------------


def events(folder: Path) -> dict[str, dict[int, float]]:
    """The scalars of the event files of a folder: TFRecords, a length, its sum, an event and its sum, one by one."""
    from tensorboardX.proto.event_pb2 import Event

    found: dict[str, dict[int, float]] = {}
    for path in sorted(folder.iterdir()):
        content, at = path.read_bytes(), 0
        while at < len(content):
            (length,) = struct.unpack("<Q", content[at : at + 8])
            event = Event.FromString(content[at + 12 : at + 12 + length])
            at += 16 + length
            for value in event.summary.value:
                found.setdefault(value.tag, {})[event.step] = value.simple_value
    return found


@pytest.mark.filterwarnings("ignore:.*SymbolDatabase.GetPrototype:UserWarning")
def test_scalars_for_tensorboard_have_the_names_of_stable_baselines(tmp_path: Path) -> None:
    agent = QLearning(world(), seed=0)
    watch = EvalCallback(world(), eval_freq=250, n_eval_episodes=2, verbose=0)
    agent.learn(1000, callback=[watch, TensorBoardCallback(tmp_path, log_freq=500)])
    found = events(tmp_path)
    assert list(found["eval/mean_reward"]) == [250, 500, 750, 1000]
    assert list(found["eval/share_of_regret"]) == [250, 500, 750, 1000]
    names = {"rollout/ep_rew_mean", "rollout/ep_len_mean", "rollout/exploration_rate", "time/fps", "time/episodes"}
    for name in names | {"time/total_timesteps", "time/time_elapsed"}:
        assert list(found[name]) == [500, 1000], name
    assert found["rollout/ep_len_mean"][1000] == pytest.approx(np.mean(agent.episode_lengths[-100:]))
    assert found["time/total_timesteps"][1000] == 1000
    assert any(name.startswith("train/") for name in found)
    assert agent.logger is None


@pytest.mark.filterwarnings("ignore:.*SymbolDatabase.GetPrototype:UserWarning")
def test_the_diagnosis_of_a_network_is_written_for_tensorboard(tmp_path: Path) -> None:
    agent = DQN("MlpPolicy", world(), seed=0, policy_kwargs={"net_arch": [8]}, learning_starts=20)
    agent.learn(60, callback=TensorBoardCallback(tmp_path, log_freq=60))
    written = events(tmp_path)
    for name, value in agent.diagnosis().numbers().items():
        assert written[f"diagnosis/{name}"][60] == pytest.approx(value)


def test_without_tensorboardx_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(__import__("sys").modules, "tensorboardX", None)
    with pytest.raises(ImportError, match=r'pip install "rlgrid\[tensorboard\]"'):
        QLearning(world(), seed=0).learn(10, callback=TensorBoardCallback(tmp_path))


def test_evaluations_of_other_numbers_of_episodes_are_refused_before_the_run(tmp_path: Path) -> None:
    agent = QLearning(world(), seed=2)
    words: dict[str, Any] = {"eval_freq": 50, "log_path": tmp_path, "verbose": 0}
    agent.learn(100, callback=EvalCallback(world(), n_eval_episodes=2, **words))
    with pytest.raises(ValueError, match=r"evaluations of 2 episodes each, and n_eval_episodes is 3"):
        agent.learn(100, callback=EvalCallback(world(), n_eval_episodes=3, **words), reset_num_timesteps=False)
    assert agent.num_timesteps == 100


def test_environments_and_thresholds_that_are_none_are_refused_at_once() -> None:
    with pytest.raises(TypeError, match=r"eval_env must be an environment.*'x'"):
        EvalCallback("x")
    with pytest.raises(TypeError, match="reward_threshold must be a number, not 'x'"):
        StopTrainingOnRewardThreshold("x")  # type: ignore[arg-type]


def test_another_world_is_not_judged_by_the_truth_of_this_one() -> None:
    agent = QLearning(world(), seed=2)
    other = gym.make("rlgrid/FrozenLake8x8-v1")
    with pytest.raises(ValueError, match="eval_env has the observation_space"):
        agent.learn(10, callback=EvalCallback(other))
    same_size = gym.make(LAKE, slip=0.0)
    with pytest.raises(ValueError, match="eval_env is another world"):
        agent.learn(10, callback=EvalCallback(same_size))
    agent.learn(10, callback=EvalCallback(same_size, truth=False))
