"""Hyperparameters in rl-zoo3's form: what is read, what is refused, and that nothing is evaluated."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest

from rlgrid import training
from rlgrid.agents import DQN
from rlgrid.cli import main
from rlgrid.zoo import Conf, ConfError, read_conf

FILE = """\
# Settings for two worlds and a cart
default:
  n_timesteps: !!float 3e3
  policy: 'MlpPolicy'

CartPole-v1: &cart
  n_timesteps: !!float 5e4
  policy: 'MlpPolicy'
  n_envs: 1
  normalize: false
  learning_rate: !!float 2.3e-3
  buffer_size: 100000
  adam_epsilon: 1e-6
  policy_kwargs: "dict(net_arch=[256, 256], activation_fn=nn.LeakyReLU)"

Acrobot-v1:
  <<: *cart
  gamma: 0.98

rlgrid/FrozenLake-v1:
  n_timesteps: !!float 2e3
  learning_rate: lin_0.5
  exploration_final_eps: 0.1
  env_kwargs: "dict(max_episode_steps=50)"

bad:
  learning_rte: 0.1
  n_timesteps: 2000
"""


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    path = tmp_path / "hyperparams.yml"
    path.write_text(FILE, encoding="utf-8")
    return path


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "other.yml"
    path.write_text(text, encoding="utf-8")
    return path


ZOO = """\
CartPole-v1:
  n_timesteps: !!float 5e4
  policy: 'MlpPolicy'
  learning_rate: !!float 2.3e-3
  batch_size: 64
  buffer_size: 100000
  learning_starts: 1000
  gamma: 0.99
  target_update_interval: 10
  train_freq: 256
  gradient_steps: 128
  exploration_fraction: 0.16
  exploration_final_eps: 0.04
  policy_kwargs: "dict(net_arch=[256, 256])"

Acrobot-v1: &control
  n_timesteps: !!float 1e5
  policy: 'MlpPolicy'
  learning_rate: !!float 6.3e-4
  batch_size: 128
  buffer_size: 50000
  learning_starts: 0
  gamma: 0.99
  target_update_interval: 250
  train_freq: 4
  gradient_steps: -1
  exploration_fraction: 0.12
  exploration_final_eps: 0.1
  policy_kwargs: "dict(net_arch=[256, 256])"

LunarLander-v2: *control

MountainCar-v0:
  n_timesteps: !!float 1.2e5
  policy: 'MlpPolicy'
  learning_rate: !!float 4e-3
  batch_size: 128
  buffer_size: 10000
  learning_starts: 1000
  gamma: 0.98
  target_update_interval: 600
  train_freq: 16
  gradient_steps: 8
  exploration_fraction: 0.2
  exploration_final_eps: 0.07
  policy_kwargs: "dict(net_arch=[256, 256])"
"""  # the settings of its DQN for classic control, as they stand there


@pytest.mark.parametrize("block", ["CartPole-v1", "Acrobot-v1", "LunarLander-v2", "MountainCar-v0"])
def test_settings_of_the_zoo_make_a_dqn_as_they_are(block: str, tmp_path: Path) -> None:
    found = read_conf(write(tmp_path, ZOO), block)
    env = gym.make("CartPole-v1" if block.startswith("Lunar") else block)
    agent = DQN("MlpPolicy", env, seed=0, **found.hyperparameters)
    assert agent.tau == 1.0  # that of the zoo's library, where the target network is not updated at every step
    for name, value in found.hyperparameters.items():
        assert agent.settings[name] == value, name
    agent.learn(20)


def test_a_block_is_read(conf: Path) -> None:
    cart = {
        "learning_rate": 0.0023,
        "buffer_size": 100_000,
        "adam_epsilon": 1e-6,
        "policy_kwargs": {"net_arch": [256, 256], "activation_fn": "leaky_relu"},
    }
    assert read_conf(conf, "CartPole-v1") == Conf("CartPole-v1", 50_000, {}, cart)
    assert read_conf(conf, "Acrobot-v1") == Conf("Acrobot-v1", 50_000, {}, cart | {"gamma": 0.98})
    lake = Conf(
        "rlgrid/FrozenLake-v1",
        2_000,
        {"max_episode_steps": 50},
        {"learning_rate": "lin_0.5", "exploration_final_eps": 0.1},
    )
    assert read_conf(conf, "rlgrid/FrozenLake-v1") == lake
    assert read_conf(conf, "rlgrid/Taxi-v4") == Conf("default", 3_000)
    assert type(read_conf(conf, "CartPole-v1").n_timesteps) is int
    assert read_conf(conf, "worlds/bad.toml").hyperparameters == {"learning_rte": 0.1}


def train(conf: Path, tmp_path: Path, *words: str, algo: str = "q_learning", env: str = "rlgrid/FrozenLake-v1") -> int:
    named = ["train", "--algo", algo, "--env", env, "--conf-file", str(conf), "--seed", "0", "-f", str(tmp_path)]
    return main([*named, *words])


def test_a_run_follows_the_file_and_options_go_first(conf: Path, tmp_path: Path) -> None:
    assert train(conf, tmp_path, "--hyperparams", "gamma:0.9", "exploration_final_eps:0.2") == 0
    agent, config = training.load(tmp_path / "q_learning" / "rlgrid-FrozenLake-v1_1")
    assert (agent.num_timesteps, config.env_kwargs) == (2_000, {"max_episode_steps": 50})
    found = agent.settings
    assert (found["learning_rate"], found["exploration_final_eps"], found["gamma"]) == ("lin_0.5", 0.2, 0.9)
    named = ["train", "--algo", "q_learning", "--env", "rlgrid/FrozenLake-v1", "--conf-file", str(conf), "--seeds", "0"]
    assert main([*named, "-n", "500", "-f", str(tmp_path)]) == 0


def test_an_unknown_key_gets_the_nearest(conf: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bad.toml").write_text("gamma = 0.9\nmap = '''\nS..G\n'''\n")
    assert train(conf, tmp_path, env=str(tmp_path / "bad.toml")) == 2
    assert "no hyperparameter 'learning_rte': did you mean learning_rate?" in capsys.readouterr().err
    assert not (tmp_path / "q_learning").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "CartPole-v2:\n  gamma: 0.9\n",
            "has nothing for CartPole-v1: did you mean CartPole-v2., and no block default",
        ),
        ("CartPole-v1: 3\n", "must hold settings"),
        ("- 1\n- 2\n", "one block of settings for each environment"),
        ("", "is empty"),
        ("CartPole-v1: [1\n", "is not a YAML file of plain values"),
        ("\0", "is not a YAML file of plain values"),
        ("CartPole-v1:\n  frame_stack: 4\n", "frame_stack of CartPole-v1 .* cannot be followed: observations are not"),
        ("CartPole-v1:\n  env_wrapper: gym.Wrapper\n", "env_wrapper .* it names code"),
        ("CartPole-v1:\n  n_timesteps: !!float 1.5\n", "n_timesteps .* whole number of at least 1, not 1.5"),
        ("CartPole-v1:\n  n_timesteps: .inf\n", "n_timesteps .* whole number"),
        ("CartPole-v1:\n  n_timesteps: many\n", "n_timesteps .* whole number"),
        ("CartPole-v1:\n  gamma: 2020-01-01\n", "only numbers, text, lists and mappings"),
        ("CartPole-v1:\n  env_kwargs: 3\n", "env_kwargs .* must be a mapping"),
        ("CartPole-v1:\n  1: 3\n", "must hold settings"),
        ("a: &a [*a]\nCartPole-v1: {}\n", "anchors hide more than"),
    ],
)
def test_what_cannot_be_read_is_named(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfError, match=message):
        read_conf(write(tmp_path, text), "CartPole-v1")


@pytest.mark.parametrize(
    "value",
    [
        "!!python/object/apply:os.mkdir [{path}]",
        "!!python/name:os.mkdir",
        "\"dict(net_arch=__import__('os').mkdir('{path}'))\"",
        "\"dict(**__import__('os').mkdir('{path}'))\"",
        '"dict((lambda: 0)())"',
        '"dict(a=[x for x in ()])"',
    ],
)
def test_nothing_is_evaluated(value: str, tmp_path: Path) -> None:
    target = tmp_path / "made"
    path = write(tmp_path, f"CartPole-v1:\n  policy_kwargs: {value.format(path=target)}\n")
    with pytest.raises(ConfError):
        read_conf(path, "CartPole-v1")
    assert not target.exists()


def test_merges_that_double_and_double_are_refused_at_once(tmp_path: Path) -> None:
    lines = ["a0: &a0 {x: 1}", *(f"a{i}: &a{i} {{<<: [*a{i - 1}, *a{i - 1}]}}" for i in range(1, 60))]
    with pytest.raises(ConfError, match="anchors hide more than"):
        read_conf(write(tmp_path, "\n".join(lines) + "\nCartPole-v1: *a59\n"), "CartPole-v1")
    with pytest.raises(ConfError, match="not a YAML file of plain values"):
        read_conf(write(tmp_path, "CartPole-v1: " + "[" * 100_000), "CartPole-v1")
    big = tmp_path / "big.yml"
    with big.open("wb") as file:
        os.truncate(file.fileno(), 2**21)
    with pytest.raises(ConfError, match="larger than"):
        read_conf(big, "CartPole-v1")


def test_without_pyyaml_the_remedy_is_named(conf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(ImportError, match=r'pip install "rlgrid\[zoo\]"'):
        read_conf(conf, "CartPole-v1")


def test_a_dict_of_text_keeps_its_parts(tmp_path: Path) -> None:
    text = 'X:\n  policy_kwargs: "dict(net_arch=dict(pi=[64], vf=[32, 32]), activation_fn=nn.ReLU, log_std_init=-2)"\n'
    found: Any = read_conf(write(tmp_path, text), "X").hyperparameters["policy_kwargs"]
    assert found == {"net_arch": {"pi": [64], "vf": [32, 32]}, "activation_fn": "relu", "log_std_init": -2}
    text = 'X:\n  policy: CnnPolicy\n  policy_kwargs: "dict(optimizer_class=th.optim.RMSprop, a=torch.nn.SiLU)"\n'
    assert read_conf(write(tmp_path, text), "X").hyperparameters == {
        "policy": "CnnPolicy",
        "policy_kwargs": {"optimizer_class": "rmsprop", "a": "swish"},
    }


def test_n_envs_of_a_file_are_learnt_in_at_once(tmp_path: Path) -> None:
    source = tmp_path / "dqn.yml"
    net = "dict(net_arch=[16])"
    source.write_text(
        f"rlgrid/FrozenLake-v1:\n  n_timesteps: 90\n  n_envs: 8\n  policy_kwargs: {net!r}\n  batch_size: 16\n"
    )
    assert train(source, tmp_path, algo="dqn") == 0
    agent, _ = training.load(tmp_path / "dqn" / "rlgrid-FrozenLake-v1_1")
    assert (agent.settings["n_envs"], agent.num_timesteps) == (8, 96)  # of twelve steps of all
