"""How many steps a second the DQN learns from, against Stable-Baselines3's, and how long one update takes.

    python benchmarks/dqn_speed.py [--sb3-python PATH] [--steps 4096] [--repeats 5]

Two hidden layers of 64 tanh units, batches of 64, Adam with a learning rate of 2.5e-4 and epsilon of 1e-5, an update
after every 4th step, the target network copied after every 1,000th, one action in ten random, plain targets, and the
squared error, which takes the place of Huber's in Stable-Baselines3. One thread each: Stable-Baselines3 runs in a
process of its own, by the interpreter that --sb3-python names (this one if left out), which need not have rlgrid. The
two take turns, and a ratio is the median over the repeats of ours / theirs of the same repeat. What is timed is `learn`
of a new agent, once everything is compiled and imported.

Worlds: Gymnasium's CartPole-v1 for both; our rlgrid/CartPole-v1, equal bit for bit and compiled, against theirs on
Gymnasium's; FrozenLake 8x8 and four rooms, with numbers for observations. Four rooms are given to Stable-Baselines3 as
a table of outcomes, which it steps through as Gymnasium's toy_text does.

The update alone is a gradient step on CartPole in a loop of its own. Its share of the machine's peak counts the
multiplications and additions of its products alone, against what a kernel of nothing but independent products and sums
of float32 reaches in registers.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium as gym
import llvmlite.binding as llvm
import numpy as np
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

import rlgrid
from rlgrid.kernels.borrow import borrow
from rlgrid.kernels.dqn import gradient_step

NET_ARCH = [64, 64]
BATCH = 64
ADAM_EPSILON = 1e-5
SETTINGS: dict[str, Any] = {
    "learning_rate": 2.5e-4,
    "buffer_size": 10_000,
    "learning_starts": BATCH,
    "batch_size": BATCH,
    "tau": 1.0,
    "gamma": 0.99,
    "train_freq": 4,
    "gradient_steps": 1,
    "target_update_interval": 1_000,
    "exploration_initial_eps": 0.1,
    "exploration_final_eps": 0.1,
    "max_grad_norm": 10.0,
}
LONGEST_UPDATE = 50e-6  # seconds
RUNS = 500  # of a millisecond, of which the quickest counts: what the machine does beside them cuts into some


class Race(NamedTuple):
    """A world of ours, the same of theirs, and how many times as fast ours shall be."""

    ours: str
    theirs: str
    target: float


RACES = (
    Race("CartPole-v1", "CartPole-v1", 15.0),
    Race("rlgrid/CartPole-v1", "CartPole-v1", 25.0),
    Race("rlgrid/FrozenLake8x8-v1", "FrozenLake8x8-v1", 25.0),
    Race("rlgrid/FourRooms-v0", "table", 25.0),
)


# --- ours -------------------------------------------------------------------------------------------------------------


def agent_in(world: str, seed: int) -> Any:
    """A fresh agent."""
    return rlgrid.agents.DQN(
        "MlpPolicy",
        gym.make(world),
        policy_kwargs={"net_arch": NET_ARCH, "activation_fn": "tanh"},
        loss="mse",
        adam_epsilon=ADAM_EPSILON,
        double_q=False,
        clip_targets=False,
        directed=False,  # as theirs, an action that explores is any
        seed=seed,
        **SETTINGS,
    )


def learn(world: str, steps: int, seed: int) -> float:
    """The seconds that `learn` takes."""
    agent = agent_in(world, seed)
    begin = time.perf_counter()
    agent.learn(steps)
    return time.perf_counter() - begin


# --- theirs -----------------------------------------------------------------------------------------------------------


class Peer:
    """Stable-Baselines3's DQN in a process of its own."""

    def __init__(self, python: str, race: Race, steps: int) -> None:
        script = Path(__file__).with_name("dqn_peer.py")
        self._process = subprocess.Popen(
            [python, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        table, cap = None, None
        if race.theirs == "table":
            env: Any = gym.make(race.ours)
            model = env.unwrapped.model.to_mdp()
            rows = [
                [
                    [[float(p), int(to), float(reward), bool(ends)] for p, to, reward, ends in model.P[s][a]]
                    for a in range(model.num_actions)
                ]
                for s in range(model.num_states)
            ]
            start = np.zeros(model.num_states)
            start[model.start_states] = model.start_probability
            table, cap = {"P": rows, "start": start.tolist()}, env.spec.max_episode_steps
        self._send(
            json.dumps(
                {
                    "world": race.theirs,
                    "table": table,
                    "max_episode_steps": cap,
                    "settings": SETTINGS,
                    "net_arch": NET_ARCH,
                    "adam_epsilon": ADAM_EPSILON,
                    "steps": steps,
                }
            )
        )

    def _send(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def learn(self, seed: int) -> float:
        """The seconds that its `learn` takes."""
        self._send(str(seed))
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("Stable-Baselines3 gave up: name a Python that has it with --sb3-python")
        return float(line)

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


# --- the update alone -------------------------------------------------------------------------------------------------


@njit
def _updates(learner, rule, t, stream, count):
    learner = borrow(learner)  # as the loop of the agent does
    for _ in range(count):
        gradient_step(learner, rule, t, stream)


CHAINS = 14  # with two constants they fill the 16 registers of AVX, and hide how long a product and a sum take
LANES = 16 if llvm.get_host_cpu_features().get("avx512f", False) else 8


@intrinsic
def _chains(_context, factor, term, count):
    """The sum of vectors, all of which are multiplied by a factor and increased by a term, count times."""

    def generate(context, builder, signature, arguments):
        ir = cgutils.ir
        number, integer = context.get_value_type(signature.args[0]), arguments[2].type
        vector = ir.VectorType(number, LANES)

        def spread(value):
            empty = ir.Constant(vector, ir.Undefined)
            one = builder.insert_element(empty, value, ir.Constant(ir.IntType(32), 0))
            return builder.shuffle_vector(one, empty, ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES))

        factors, terms = spread(arguments[0]), spread(arguments[1])
        entry, loop = builder.block, builder.append_basic_block("loop")
        done = builder.append_basic_block("done")
        builder.branch(loop)
        builder.position_at_end(loop)
        k, vectors = builder.phi(integer), [builder.phi(vector) for _ in range(CHAINS)]
        following = [builder.fadd(builder.fmul(one, factors), terms) for one in vectors]
        later = builder.add(k, ir.Constant(integer, 1))
        builder.cbranch(builder.icmp_signed("<", later, arguments[2]), loop, done)
        k.add_incoming(ir.Constant(integer, 0), entry)
        k.add_incoming(later, loop)
        for chain, (one, new) in enumerate(zip(vectors, following, strict=True)):
            one.add_incoming(ir.Constant(vector, [float(chain)] * LANES), entry)  # others, lest one stands for all
            one.add_incoming(new, loop)
        builder.position_at_end(done)
        total = following[0]
        for one in following[1:]:
            total = builder.fadd(total, one)
        return builder.extract_element(total, ir.Constant(ir.IntType(32), 0))

    return types.float32(types.float32, types.float32, types.intp), generate


@njit
def _peak(factor, term, count):
    return _chains(factor, term, count)


def peak() -> float:
    """Multiplications and additions of float32 a second."""
    factor, term, count = np.float32(0.9), np.float32(0.1), 100_000
    _peak(factor, term, 1)
    seconds = []
    for _ in range(RUNS):
        begin = time.perf_counter()
        _peak(factor, term, count)
        seconds.append(time.perf_counter() - begin)
    return 2 * CHAINS * LANES * count / min(seconds)


def update(count: int = 20) -> float:
    """The seconds of one gradient step."""
    from rlgrid.agents.world import stream_of

    agent = agent_in("rlgrid/CartPole-v1", seed=0)
    agent.learn(2_000)
    learner, rule, stream = agent._learner, agent._rule(), stream_of(np.random.default_rng(0))
    _updates(learner, rule, 2_000, stream, 1)
    seconds = []
    for _ in range(RUNS):
        begin = time.perf_counter()
        _updates(learner, rule, 2_000, stream, count)
        seconds.append(time.perf_counter() - begin)
    return min(seconds) / count


def operations() -> int:
    """Multiplications and additions of the products of an update."""
    widths = [4, *NET_ARCH, 2]
    layers = [2 * BATCH * a * b for a, b in itertools.pairwise(widths)]
    # Forward by the target network and by the online one; back to the weights, and to inputs but the first layer's.
    return 3 * sum(layers) + sum(layers[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sb3-python", default=sys.executable, metavar="PATH")
    parser.add_argument("--steps", type=int, default=4_096)
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    if given.steps <= BATCH or given.repeats < 1:
        parser.error(f"--steps must be more than {BATCH}, and --repeats at least 1")
    short = False
    print(f"steps a second, medians of {given.repeats}")
    print(f"{'world':26} {'ours':>9} {'SB3':>7} {'ratio':>7} {'least':>7} {'target':>7}")
    for race in RACES:
        peer = Peer(given.sb3_python, race, given.steps)
        ours, theirs = [], []
        for seed in range(given.repeats + 1):  # the first turn warms up
            theirs.append(given.steps / peer.learn(seed))
            ours.append(given.steps / learn(race.ours, given.steps, seed))
        peer.close()
        ours, theirs = ours[1:], theirs[1:]
        ratios = [one / other for one, other in zip(ours, theirs, strict=True)]
        ratio = statistics.median(ratios)
        short |= ratio < race.target
        print(
            f"{race.ours:26} {statistics.median(ours):9,.0f} {statistics.median(theirs):7,.0f} {ratio:7.1f} "
            f"{min(ratios):7.1f} {race.target:7.0f}",
            flush=True,
        )
    seconds, most = update(), peak()
    reached = operations() / seconds
    print(f"one update: {seconds * 1e6:.1f} us, target {LONGEST_UPDATE * 1e6:.0f}")
    print(
        f"its products: {reached / 1e9:.0f} Gflop/s, {100 * reached / most:.0f} % of this core's peak of "
        f"{most / 1e9:.0f} Gflop/s (products and sums of float32)"
    )
    raise SystemExit(short or seconds > LONGEST_UPDATE)


if __name__ == "__main__":
    main()
