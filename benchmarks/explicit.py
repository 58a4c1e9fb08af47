"""Explicit MDPs: rlgrid beside QuantEcon, mdpsolver and pymdptoolbox, each from the same raw arrays to the values.

    python benchmarks/explicit.py [--states 100000] [--actions 10] [--outcomes 10] [--repeats 3] [--limit 300]
                                  [--problems random-0.95,taxi] [--json]

Problems: random MDPs (`outcomes` next states drawn at random for each pair, rewards R(s, a) uniform in [0, 1)) at gamma
0.95 and 0.99; and Gymnasium's transition dicts `P` (FrozenLake 8x8 and a generated map of 100 x 100, CliffWalking,
Taxi) at gamma 0.99.

The clock runs from the raw arrays (next_state [S, A, K], probability [S, A, K], reward [S, A]) or the dict until values
and policy are there: building is counted on all sides, in the form that each asks for, written as its users write it.
Every one is asked for values within 1e-6 of the optimum in its own terms: QuantEcon's epsilon is twice the error of
the values (2e-6), the tolerance of the others is given as 1e-6. "error" is the largest distance from rlgrid's values
of a proven 1e-9 (and "error <=" what rlgrid itself proves of its own answer). rlgrid solves by `rlgrid.solve` as it
is, with its certificate.

Each contestant runs in a process of its own, one call uncounted (it compiles what is compiled at run time: rlgrid,
QuantEcon), then as many as there are repeats; contestants take turns by repeat, times are medians. One that takes
longer than the limit, or more memory than --memory GiB, is shown as such.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import multiprocessing
import os
import pickle
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

TOLERANCE = 1e-6
Raw = dict[str, Any]


# --- problems -------------------------------------------------------------------------------------------------------


def random_model(states: int, actions: int, outcomes: int, gamma: float) -> Raw:
    rng = np.random.default_rng(0)
    next_state = rng.integers(0, states, (states, actions, outcomes), dtype=np.int32)
    probability = rng.random((states, actions, outcomes))
    probability /= probability.sum(axis=2, keepdims=True)
    return {
        "gamma": gamma,
        "next_state": next_state,
        "probability": probability,
        "reward": rng.random((states, actions)),
    }


def toy_text(name: str) -> Raw:
    import gymnasium
    from gymnasium.envs.toy_text.frozen_lake import generate_random_map

    if name == "frozen-lake-100x100":
        env = gymnasium.make("FrozenLake-v1", desc=generate_random_map(100, p=0.9, seed=7))
    else:
        ids = {"frozen-lake-8x8": "FrozenLake8x8-v1", "cliff-walking": "CliffWalking-v1", "taxi": "Taxi-v3"}
        stem = ids[name].rpartition("-")[0] + "-"
        known = [given for given in gymnasium.registry if given.startswith(stem)]
        env = gymnasium.make(max(known))
    inner: Any = env.unwrapped
    plain = {
        s: {a: [(float(p), int(to), float(r), bool(ends)) for p, to, r, ends in run] for a, run in row.items()}
        for s, row in inner.P.items()
    }
    return {"gamma": 0.99, "P": plain, "start": np.asarray(inner.initial_state_distrib, np.float64)}


def problem(name: str, arguments: argparse.Namespace) -> Raw:
    if name.startswith("random-"):
        return random_model(
            arguments.states, arguments.actions, arguments.outcomes, float(name.removeprefix("random-"))
        )
    return toy_text(name)


PROBLEMS = ["random-0.95", "random-0.99", "frozen-lake-8x8", "cliff-walking", "taxi", "frozen-lake-100x100"]


# --- contestants ----------------------------------------------------------------------------------------------------


def dict_as_arrays(raw: Raw) -> tuple[np.ndarray, ...]:
    """(pair, next state, probability) of each outcome that goes on, and R(s, a): what none of the peers' forms can
    do without, for they know no outcome that ends an episode; its probability is left to a state worth 0, the last.
    """
    P = raw["P"]
    A = len(P[0])
    rows = [(s * A + a, *outcome) for s, row in P.items() for a, run in row.items() for outcome in run]
    pair, probability, to, reward, ends = map(np.array, zip(*rows, strict=True))
    expected = np.bincount(pair, probability * reward, (len(P) + 1) * A).reshape(-1, A)
    to = np.where(ends, len(P), to)
    last = np.arange(len(P) * A, (len(P) + 1) * A)
    return (
        np.concatenate([pair, last]),
        np.concatenate([to, np.full(A, len(P))]),
        np.concatenate([probability, np.ones(A)]),
        expected,
    )


def with_rlgrid(raw: Raw) -> tuple[Any, Any]:
    import rlgrid

    if "P" in raw:
        model = rlgrid.MDP.from_gymnasium(raw["P"], raw["gamma"], start=raw["start"])
    else:
        S, A, K = raw["next_state"].shape
        model = rlgrid.MDP(
            S,
            A,
            np.arange(S * A + 1) * K,
            raw["next_state"].ravel(),
            raw["probability"].ravel(),
            np.repeat(raw["reward"].ravel(), K),
            np.zeros(S * A * K, np.bool_),
            gamma=raw["gamma"],
        )
    solution = rlgrid.solve(model, tolerance=TOLERANCE)
    with_rlgrid.proven = solution.error_bound  # type: ignore[attr-defined]
    with_rlgrid.how = f"{solution.method}, {solution.sweeps} sweeps"  # type: ignore[attr-defined]
    return solution.values, solution.policy


def with_rlgrid_matrices(raw: Raw) -> tuple[Any, Any]:
    """The same through A scipy-sparse matrices, what pymdptoolbox is given."""
    import rlgrid

    solution = rlgrid.solve(rlgrid.MDP.from_arrays(matrices(raw), raw["reward"], raw["gamma"]), tolerance=TOLERANCE)
    return solution.values, solution.policy


def with_quantecon(method: str) -> Callable[[Raw], tuple[Any, Any]]:
    def solve(raw: Raw) -> tuple[Any, Any]:
        import scipy.sparse
        from quantecon.markov import DiscreteDP

        if "P" in raw:
            pair, to, probability, reward = dict_as_arrays(raw)
            S, A = reward.shape
            Q = scipy.sparse.csr_matrix((probability, (pair, to)), shape=(S * A, S))
        else:
            reward = raw["reward"]
            S, A, K = raw["next_state"].shape
            starts = np.arange(S * A + 1) * K
            Q = scipy.sparse.csr_matrix(
                (raw["probability"].ravel(), raw["next_state"].ravel(), starts), shape=(S * A, S)
            )
        s_indices, a_indices = np.repeat(np.arange(S), A), np.tile(np.arange(A), S)
        model = DiscreteDP(reward.ravel(), Q, raw["gamma"], s_indices, a_indices)
        found = model.solve(method=method, epsilon=2.0 * TOLERANCE, max_iter=1_000_000)
        return found.v, found.sigma

    return solve


def with_mdpsolver(algorithm: str, update: str = "standard") -> Callable[[Raw], tuple[Any, Any]]:
    def solve(raw: Raw) -> tuple[Any, Any]:
        import mdpsolver

        if "P" in raw:
            P = raw["P"]
            over = len(P)
            probabilities = [[[p for p, *_ in run] for run in row.values()] for row in P.values()]
            columns = [[[over if ends else to for _, to, _, ends in run] for run in row.values()] for row in P.values()]
            rewards = [[sum(p * r for p, _, r, _ in run) for run in row.values()] for row in P.values()]
            A = len(P[0])
            probabilities.append([[1.0]] * A)
            columns.append([[over]] * A)
            rewards.append([0.0] * A)
        else:
            probabilities, columns = raw["probability"].tolist(), raw["next_state"].tolist()
            rewards = raw["reward"].tolist()
        model = mdpsolver.model()
        model.mdp(discount=raw["gamma"], rewards=rewards, tranMatProbs=probabilities, tranMatColumns=columns)
        model.solve(algorithm=algorithm, tolerance=TOLERANCE, update=update)
        return model.getValueVector(), model.getPolicy()

    return solve


def matrices(raw: Raw) -> list[Any]:
    import scipy.sparse

    S, A, K = raw["next_state"].shape
    starts = np.arange(S + 1) * K
    return [
        scipy.sparse.csr_matrix(
            (raw["probability"][:, a].ravel(), raw["next_state"][:, a].ravel(), starts), shape=(S, S)
        )
        for a in range(A)
    ]


def with_pymdptoolbox(name: str) -> Callable[[Raw], tuple[Any, Any]]:
    def solve(raw: Raw) -> tuple[Any, Any]:
        import mdptoolbox.mdp
        import scipy.sparse

        if "P" in raw:
            pair, to, probability, reward = dict_as_arrays(raw)
            S, A = reward.shape
            P = [
                scipy.sparse.csr_matrix((probability[here], (pair[here] // A, to[here])), shape=(S, S))
                for here in (pair % A == a for a in range(A))
            ]
        else:
            P, reward = matrices(raw), raw["reward"]
        settings = {"PolicyIteration": {"max_iter": 1_000_000}}.get(name, {"epsilon": TOLERANCE, "max_iter": 10**6})
        if name == "PolicyIterationModified":
            settings["max_iter"] = 20
        model = getattr(mdptoolbox.mdp, name)(P, reward, raw["gamma"], **settings)
        model.run()
        return model.V, model.policy

    return solve


CONTESTANTS: dict[str, tuple[str, Callable[[Raw], tuple[Any, Any]]]] = {
    "rlgrid": ("rlgrid", with_rlgrid),
    "rlgrid, from matrices": ("rlgrid", with_rlgrid_matrices),
    "QuantEcon value_iteration": ("quantecon", with_quantecon("value_iteration")),
    "QuantEcon modified_policy_iteration": ("quantecon", with_quantecon("modified_policy_iteration")),
    "QuantEcon policy_iteration": ("quantecon", with_quantecon("policy_iteration")),
    "mdpsolver mpi": ("mdpsolver", with_mdpsolver("mpi")),
    "mdpsolver vi": ("mdpsolver", with_mdpsolver("vi")),
    "mdpsolver vi, gs": ("mdpsolver", with_mdpsolver("vi", "gs")),
    "mdpsolver pi": ("mdpsolver", with_mdpsolver("pi")),
    "pymdptoolbox ValueIteration": ("pymdptoolbox", with_pymdptoolbox("ValueIteration")),
    "pymdptoolbox ValueIterationGS": ("pymdptoolbox", with_pymdptoolbox("ValueIterationGS")),
    "pymdptoolbox PolicyIterationModified": ("pymdptoolbox", with_pymdptoolbox("PolicyIterationModified")),
    "pymdptoolbox PolicyIteration": ("pymdptoolbox", with_pymdptoolbox("PolicyIteration")),
}


# --- measuring ------------------------------------------------------------------------------------------------------


def serve(contestant: str, path: str, memory: float, pipe: Any) -> None:
    """A process of its own: one solve for each message."""
    resource.setrlimit(resource.RLIMIT_AS, (int(memory * 2**30),) * 2)
    sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - some peers print
    raw = pickle.loads(Path(path).read_bytes())  # written by this very program
    solve = CONTESTANTS[contestant][1]
    while pipe.recv():
        begin = time.perf_counter()
        try:
            values, policy = solve(raw)
            seconds = time.perf_counter() - begin
            values, policy = np.asarray(values, np.float64), np.asarray(policy)
            about = {"how": getattr(solve, "how", ""), "proven": getattr(solve, "proven", None)}
            pipe.send({"seconds": seconds, "values": values, "policy": policy, **about})
        except MemoryError:
            pipe.send({"failed": f"more than {memory:g} GiB"})
        except BaseException as error:  # whatever a peer raises is its result
            pipe.send({"failed": f"{type(error).__name__}: {error}"[:80]})


def ask(process: Any, pipe: Any, limit: float) -> dict[str, Any]:
    try:
        pipe.send(True)
        if pipe.poll(limit):
            answer: dict[str, Any] = pipe.recv()
            return answer
        process.kill()
        return {"failed": f"no end within {limit:g} s"}
    except (EOFError, OSError):
        return {"failed": "the process died"}


def reference(raw: Raw) -> np.ndarray:
    import rlgrid

    if "P" in raw:
        model = rlgrid.MDP.from_gymnasium(raw["P"], raw["gamma"], start=raw["start"])
    else:
        model = rlgrid.MDP.from_arrays(matrices(raw), raw["reward"], raw["gamma"])
    solution = rlgrid.solve(model, tolerance=1e-9)
    assert solution.converged
    return solution.values


def run(name: str, arguments: argparse.Namespace, contestants: list[str]) -> list[dict[str, Any]]:
    raw = problem(name, arguments)
    exact = reference(raw)
    context = multiprocessing.get_context("spawn")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "raw"
        path.write_bytes(pickle.dumps(raw))
        del raw
        workers, results = {}, {}
        for contestant in contestants:
            here, there = context.Pipe()
            process = context.Process(target=serve, args=(contestant, str(path), arguments.memory, there), daemon=True)
            process.start()
            there.close()
            workers[contestant] = process, here
            results[contestant] = [ask(process, here, arguments.limit)]  # compiles; not counted
        for _ in range(arguments.repeats):
            for contestant in contestants:
                if "failed" not in results[contestant][-1]:
                    results[contestant].append(ask(*workers[contestant], arguments.limit))
        for contestant in contestants:
            package = CONTESTANTS[contestant][0]
            row = {
                "problem": name,
                "contestant": contestant,
                "version": importlib.metadata.version(package),
                "seconds": None,
                "first": results[contestant][0].get("seconds"),
            }
            last = results[contestant][-1]
            if "failed" in last:
                row["failed"] = last["failed"]
            else:
                row["seconds"] = statistics.median(result["seconds"] for result in results[contestant][1:])
                row["error"] = float(np.abs(last["values"][: exact.size] - exact).max())
                row |= {key: last[key] for key in ("how", "proven") if last[key]}
            rows.append(row)
        for process, here in workers.values():
            if process.is_alive():
                here.send(False)
                process.join(5)
                process.kill()
    ours = next((row["seconds"] for row in rows if row["contestant"] == "rlgrid"), None)
    for row in rows:
        if ours and row["seconds"]:
            row["ratio"] = row["seconds"] / ours
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--states", type=int, default=100_000)
    parser.add_argument("--actions", type=int, default=10)
    parser.add_argument("--outcomes", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--limit", type=float, default=300.0, help="seconds for one solve")
    parser.add_argument("--memory", type=float, default=16.0, help="GiB of address space for one contestant")
    parser.add_argument("--problems", default=",".join(PROBLEMS))
    parser.add_argument("--contestants", default="", help="beginnings of names, separated by commas")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    wanted = tuple(arguments.contestants.split(","))
    every = []
    for name in arguments.problems.split(","):
        contestants = [
            c for c in CONTESTANTS if c.startswith(wanted) and (name.startswith("random") or "matri" not in c)
        ]
        rows = run(name, arguments, contestants)
        every += rows
        if not arguments.json:
            print(f"\n{name}")
            for row in rows:
                label = f"  {row['contestant']} {row['version'] if row['contestant'] != 'rlgrid' else ''}".ljust(46)
                if row["seconds"] is None:
                    print(f"{label} {row['failed']}", flush=True)
                    continue
                notes = "" if "proven" not in row else f"  proven <= {row['proven']:.1e}, {row['how']}"
                ratio = f"{row['ratio']:7.1f} x" if "ratio" in row else ""
                print(f"{label} {row['seconds'] * 1e3:10.1f} ms {ratio}   error {row['error']:.1e}{notes}", flush=True)
    if arguments.json:
        print(json.dumps(every, indent=1))


if __name__ == "__main__":
    main()
