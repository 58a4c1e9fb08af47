"""What a solution says beyond its values: suboptimal actions, files, notebooks."""

from fractions import Fraction

import naive
import numpy as np
import pytest
from test_solvers import random_model, two_ways

from rlgrid import GridSpec, Solution, solve, verify

# --- suboptimal actions ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gamma", [0.0, 0.5, 0.95])
def test_actions_that_are_marked_are_worse_and_clear_losers_are_marked(gamma):
    rng = np.random.default_rng(int(100 * gamma))
    marked_at_all = 0
    for _ in range(100):
        model = random_model(rng, 0.9)
        solution = solve(model, gamma, tolerance=1e-9)
        marked = solution.suboptimal_actions
        best = naive.optimum(model, gamma, guess=solution.policy)
        for s, row in enumerate(naive.exact_model(model)):
            for a, run in enumerate(row):
                if not run:
                    assert not marked[s, a]
                    continue
                q = sum(p * (r + (0 if ends else Fraction(gamma) * best[to])) for p, to, r, ends in run)
                assert q < best[s] or not marked[s, a]
                assert marked[s, a] or best[s] - q < Fraction(1e-8)
        marked_at_all += int(marked.sum())
    assert marked_at_all > 50


def test_suboptimal_actions_with_a_step_to_go_and_without_discounting():
    model = GridSpec.builtin("cliff_walking").compile()
    over = solve(model, gamma=1.0, horizon=20)
    assert over.suboptimal_actions.shape == (20, model.num_states, model.num_actions)
    start, right = model.start_states[0], model.actions.index("right")
    assert over.suboptimal_actions[0, start, right]  # off the cliff
    whole = solve(model, gamma=1.0)
    assert whole.suboptimal_actions[start].tolist() == [name != "up" for name in model.actions]
    assert not whole.suboptimal_actions[np.arange(model.num_states), whole.policy].any()


def test_suboptimal_actions_need_a_model(tmp_path):
    path = solve(two_ways()).save(tmp_path / "small")
    with pytest.raises(ValueError, match="need the model"):
        Solution.load(path).suboptimal_actions  # noqa: B018


# --- files and notebooks --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [{}, {"gamma": 1.0}, {"horizon": 5, "gamma": 1.0}])
def test_solutions_come_back_from_a_file(tmp_path, arguments):
    model = GridSpec.builtin("frozen_lake_4x4").compile()
    solution = solve(model, **arguments)
    path = solution.save(tmp_path / "lake.safetensors")
    again = Solution.load(path, model)
    for name in ("values", "lower", "upper", "policy", "history", "q_values"):
        np.testing.assert_array_equal(getattr(again, name), getattr(solution, name))
    for name in ("error_bound", "policy_loss_bound", "converged", "gamma", "method", "sweeps", "horizon"):
        assert getattr(again, name) == getattr(solution, name)
    assert verify(model, again)
    assert [p.name for p in tmp_path.iterdir()] == ["lake.safetensors"]
    with pytest.raises(ValueError, match="model"):
        Solution.load(path).q_values  # noqa: B018


def test_files_from_before_there_were_criteria_are_read(tmp_path):
    import json

    from safetensors import safe_open
    from safetensors.numpy import save_file

    model = GridSpec.builtin("frozen_lake_4x4").compile()
    solution = solve(model)
    with safe_open(solution.save(tmp_path / "new"), framework="numpy") as file:
        facts = json.loads(file.metadata()["rlgrid"])
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    older = ["format", "format_version", "gamma", "method", "tolerance", "sweeps", "backups", "seconds", "horizon"]
    facts = {name: facts[name] for name in (*older, "reason", "converged", "error_bound", "policy_loss_bound")}
    save_file(arrays, tmp_path / "old", {"rlgrid": json.dumps(facts)})
    again = Solution.load(tmp_path / "old", model)
    assert (again.criterion, again.gain, again.gain_lower, again.gain_upper) == ("discounted", None, None, None)
    np.testing.assert_array_equal(again.values, solution.values)
    assert verify(model, again)


def test_files_that_are_no_solutions_are_refused(tmp_path):
    from safetensors.numpy import save_file

    with pytest.raises(FileNotFoundError):
        Solution.load(tmp_path / "nothing")
    torn = tmp_path / "torn"
    torn.write_bytes(b"abc")
    with pytest.raises(ValueError, match="torn"):
        Solution.load(torn)
    save_file({"values": np.zeros(3)}, tmp_path / "other")
    with pytest.raises(ValueError, match="not a solution"):
        Solution.load(tmp_path / "other")
    path = solve(two_ways()).save(tmp_path / "small")
    with pytest.raises(ValueError, match="2 states"):
        Solution.load(path, GridSpec.builtin("four_rooms").compile())


def test_solutions_show_themselves():
    solution = solve(GridSpec.builtin("four_rooms").compile())
    assert "169 states" in repr(solution)
    assert 'src="data:image/png;base64,' in solution._repr_html_()
    text = solve(two_ways())._repr_html_()
    assert text.startswith("<pre>")
    assert "1.7" in text
