"""Checkpoints: what is in them, and that nothing else is read from them."""

from __future__ import annotations

import json
import os
import re
import struct
import warnings
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from small_worlds import LAKE, world

import rlgrid
from rlgrid.agents import DQN, PSRL, CheckpointError, QLearning, ValueIteration, checkpoint
from rlgrid.atomic import write_atomically
from rlgrid.kernels.dqn import BAD_OP

# --- checkpoints ------------------------------------------------------------------------------------------------------


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "agent.safetensors"
    QLearning(world(), seed=0).learn(500).save(path)
    return path


def test_a_checkpoint_holds_settings_versions_and_world(saved: Path) -> None:
    arrays, metadata = checkpoint.read(saved)
    assert set(arrays) >= {"agent.q", "agent.counts", "agent.td_error", "episodes.returns", "episodes.lengths"}
    assert metadata["agent"] == "QLearning"
    assert metadata["settings"]["learning_rate"] == 0.1
    assert metadata["versions"]["rlgrid"] == rlgrid.__version__
    assert metadata["world"]["fingerprint"] == checkpoint.fingerprint(gym.make(LAKE).unwrapped.model)


def test_checkpoint_of_another_agent_or_world(saved: Path) -> None:
    with pytest.raises(CheckpointError, match="agent of class 'QLearning': load it with that class, not ValueIter"):
        ValueIteration.load(saved, world())
    with pytest.raises(CheckpointError, match=r"observation_space Discrete\(16\); this one is Discrete\(64\)"):
        QLearning.load(saved, gym.make("rlgrid/FrozenLake8x8-v1"))
    with pytest.raises(FileNotFoundError, match="no checkpoint"):
        QLearning.load(saved.with_name("missing.safetensors"), world())


def test_a_world_of_the_same_size_takes_what_was_learnt_over(saved: Path) -> None:
    slippery = gym.make(LAKE).unwrapped.model
    with pytest.warns(UserWarning, match="this world differs"):
        agent = QLearning.load(saved, world(slippery.with_slip_each_side(0.0)))
    assert (agent.q_table == QLearning.load(saved, world()).q_table).all()
    agent.learn(100, reset_num_timesteps=False)


def test_settings_can_be_changed_on_loading(saved: Path) -> None:
    agent = QLearning.load(saved, world(), learning_rate=0.7)
    assert agent.learning_rate == 0.7
    with pytest.raises(CheckpointError, match="no_such_setting"):
        QLearning.load(saved, world(), no_such_setting=1)


def test_torn_files_are_refused(saved: Path, tmp_path: Path) -> None:
    content = saved.read_bytes()
    torn = tmp_path / "torn.safetensors"
    for length in [0, 1, 7, 8, 9, 100, len(content) // 2, len(content) - 1]:
        torn.write_bytes(content[:length])
        with pytest.raises(CheckpointError, match="torn"):
            QLearning.load(torn, world())


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    path = tmp_path / "x.safetensors"
    save_file({"w": np.zeros(3)}, path)
    with pytest.raises(CheckpointError, match="not a checkpoint of rlgrid"):
        QLearning.load(path, world())
    for text, reason in [("{", "not JSON"), ("[]", "not a checkpoint"), ('{"format": "other"}', "not a checkpoint")]:
        save_file({"w": np.zeros(3)}, path, {"rlgrid": text})
        with pytest.raises(CheckpointError, match=reason):
            QLearning.load(path, world())
    newer = {"format": checkpoint.FORMAT, "format_version": 99}
    save_file({"w": np.zeros(3)}, path, {"rlgrid": json.dumps(newer)})
    with pytest.raises(CheckpointError, match="format version 99"):
        QLearning.load(path, world())


def test_altered_files_load_or_raise_the_checkpoint_error(saved: Path, tmp_path: Path) -> None:
    content = saved.read_bytes()
    header = struct.unpack("<Q", content[:8])[0] + 8
    rng = np.random.default_rng(0)
    path, env, refused = tmp_path / "altered.safetensors", world(), 0
    for _ in range(400):
        altered = bytearray(content)
        for place in rng.integers(0, header if rng.random() < 0.8 else len(content), size=rng.integers(1, 4)):
            altered[place] = rng.integers(32, 127)
        path.write_bytes(altered)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "this world differs")  # where the fingerprint was hit
            try:
                QLearning.load(path, env).advance(5)
            except CheckpointError:
                refused += 1
    assert refused > 100


def test_wrong_tensors_are_named(saved: Path) -> None:
    arrays, metadata = checkpoint.read(saved)
    for name, wrong, reason in [
        ("agent.q", np.zeros((16, 3)), r"q is float64 \(16, 3\) in the file, and float64 \(16, 4\)"),
        ("agent.q", np.full((16, 4), np.nan), "q in the file has not numbers"),
        ("agent.counts", np.zeros((16, 4)), "counts is float64"),
        ("episodes.lengths", np.zeros(2, np.int64), "one list each"),
    ]:
        checkpoint.write(saved, arrays | {name: wrong}, metadata)
        with pytest.raises(CheckpointError, match=reason):
            QLearning.load(saved, world())
    endless = metadata | {"run": metadata["run"] | {"num_timesteps": 1e300}}
    checkpoint.write(saved, arrays, endless)
    with pytest.raises(CheckpointError, match="num_timesteps must be at most"):
        QLearning.load(saved, world())
    checkpoint.write(saved, {name: a for name, a in arrays.items() if name != "agent.q"}, metadata)
    with pytest.raises(CheckpointError, match="KeyError: 'q'"):
        QLearning.load(saved, world())


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"buffer_size": 10**9}, r"asks for .* GiB of memory, which it does not hold: load it with buffer_size="),
        ({"batch_size": 10**8}, "GiB of memory, which it does not hold"),
        ({"gradient_steps": 10**9}, "asks for 1000000000 gradient steps of 8 transitions"),
        ({"policy_kwargs": {"net_arch": [5_000, 5_000]}}, "asks for 25110004 weights, and holds 244"),
        ({"buffer_size": "x" * 100}, "buffer_size must be an integer"),
    ],
)
def test_a_file_that_asks_for_what_it_does_not_hold_is_refused(
    tmp_path: Path, changed: dict[str, Any], reason: str
) -> None:
    path, small = tmp_path / "agent.safetensors", {"buffer_size": 200, "batch_size": 8}
    DQN("MlpPolicy", world(), **small, policy_kwargs={"net_arch": [8, 8]}, seed=0).save(path)  # type: ignore[arg-type]
    arrays, metadata = checkpoint.read(path)
    checkpoint.write(path, arrays, metadata | {"settings": metadata["settings"] | changed})
    with pytest.raises(CheckpointError, match=reason):
        DQN.load(path, world())
    if "gradient_steps" in changed:
        assert DQN.load(path, world(), gradient_steps=1).gradient_steps == 1


def test_a_step_of_an_episode_that_has_not_begun_is_refused(saved: Path) -> None:
    arrays, metadata = checkpoint.read(saved)
    run = metadata["run"]
    run["environment"]["world"]["state"] = None
    checkpoint.write(saved, arrays, metadata)
    with pytest.raises(CheckpointError, match="a step of an episode that has not begun"):
        QLearning.load(saved, world()).advance(1)


@pytest.mark.parametrize(
    ("kind", "name", "place", "number", "reason"),
    [
        (DQN, "agent.counters", BAD_OP, 2**40, "counters in the file are out of range"),
        (PSRL, "agent.rewards.mean", 0, 1e200, "rewards.mean in the file holds numbers whose squares are not finite"),
    ],
)
def test_numbers_that_kernels_and_messages_rely_on_are_checked(
    tmp_path: Path, kind: Any, name: str, place: int, number: float, reason: str
) -> None:
    path = tmp_path / "agent.safetensors"
    kind(env=world(), seed=0).learn(100).save(path)
    arrays, metadata = checkpoint.read(path)
    arrays[name][place] = number
    checkpoint.write(path, arrays, metadata)
    with pytest.raises(CheckpointError, match=reason):
        kind.load(path, world())


def test_a_failed_save_leaves_the_old_file(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = saved.read_bytes()

    def full(*_: Any) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        QLearning(world(), seed=1).learn(100).save(saved)
    assert saved.read_bytes() == before
    assert [p.name for p in saved.parent.iterdir()] == [saved.name]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "none"
    with pytest.raises(FileNotFoundError, match=f"no folder {re.escape(str(missing))} to save x.safetensors in"):
        QLearning(world(), seed=0).save(missing / "x")


def test_files_appear_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "kept"
    write_atomically(target, b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(target, b"new")
    assert target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*missing to save kept in"):
        write_atomically(tmp_path / "missing" / "kept", b"new")
