"""The slip and the reward of a usual step, as sliders show and change them."""

from __future__ import annotations

import numpy as np
import pytest

from rlgrid.gridmap import GridSpec
from rlgrid.gridmodel import GridModel, Slip
from rlgrid.window import floors
from rlgrid.window.engine import Engine
from rlgrid.window.scenario import Scenario

ICY = """
slip = { forward = 0.8, left = 0.1, right = 0.1 }
map = '''
S....
..~~G
.....
'''

[legend]
"~" = { glyph = "ice", slip = { forward = 0.4, left = 0.3, right = 0.3 } }
"""


def shown(engine: Engine, name: str) -> tuple[str, float]:
    return next((p.label, p.value) for p in engine.parameters() if p.name == name)


def rewards(model: object) -> set[float]:
    """The rewards of all steps from the first cell of the map."""
    return {reward for outcomes in model.P[0].values() for _, _, reward, _ in outcomes}  # type: ignore[attr-defined]


def test_the_step_reward_of_russell_and_norvig_is_what_a_step_pays_and_a_change_changes_it() -> None:
    engine = Engine(Scenario(GridSpec.builtin("russell_norvig_4x3").name))
    assert shown(engine, "step_reward") == ("Step reward", -0.04)
    assert not any(p.changed for p in engine.parameters())
    assert rewards(engine.model) == {-0.04}
    engine.obey("change", "step_reward", -0.5)
    assert shown(engine, "step_reward") == ("Step reward", -0.5)
    assert rewards(engine.model) == {-0.5}
    goal = next(s for s in range(12) if engine.model.kind_of(s).glyph == "goal")
    entered = {r for _, to, r, _ in engine.model.P[goal - 1][engine.model.actions.index("right")] if to == goal}
    assert entered == {0.5}, "the goal's own reward of 1, and what leaving a cell pays"
    engine.obey("change", "step_reward", 0.0)
    assert rewards(engine.model) == {0.0}
    engine.obey("change", "step_reward", -0.04)
    np.testing.assert_equal(engine.model.arrays.leave_reward, engine.base.arrays.leave_reward)
    assert engine.history.edits()[0].before == "−0.04"


@pytest.mark.parametrize("world", ["cliff_walking", "puddle_world", "bridge_grid", "sutton_barto_5x5"])
def test_tiles_with_a_reward_of_their_own_keep_it(world: str) -> None:
    model = GridSpec.builtin(world).compile()
    assert floors.step_reward_of(model) == model.step_reward
    changed = floors.with_step_reward(model, -0.25)
    assert (changed.step_reward, changed.kinds) == (-0.25, model.kinds)


def test_the_slip_is_that_of_most_cells_and_ice_keeps_its_own() -> None:
    engine = Engine(Scenario("icy", ICY))
    assert shown(engine, "slip") == ("Slip, most cells", 0.1)
    engine.obey("change", "slip", 0.3)
    assert shown(engine, "slip") == ("Slip, most cells", 0.3)
    assert engine.model.slip == Slip.sideways(0.3, 0.3)
    engine.obey("change", "slip", 0.0)
    assert engine.model.slip == Slip()
    assert [k.slip for k in engine.model.kinds] == [k.slip for k in engine.base.kinds]
    plain = Engine(Scenario("plain", ICY.replace("~~", "..")))
    assert shown(plain, "slip") == ("Slip, each side", 0.1)


def test_where_most_cells_are_ice_the_slider_is_about_the_ice() -> None:
    model = GridSpec.parse(ICY.replace("....", "~~~~").replace("..~~", "~~~~")).compile()
    assert floors.slip_of(model) == (0.3, True)
    changed = floors.with_slip(model, 0.2)
    assert floors.slip_of(changed) == (0.2, True)
    assert changed.slip == model.slip


def test_a_large_world_is_judged_by_a_sample_of_its_cells() -> None:
    model = GridSpec.parse(ICY).compile()
    large = GridModel(np.tile(model.tiles, (150, 200)), model.kinds, slip=model.slip)
    assert large.num_states > 4 * floors.SAMPLE
    assert floors.slip_of(large) == (0.1, True)
