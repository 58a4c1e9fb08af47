"""What is seen of a state: spaces, values, batches and the observation function of each kind."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector.utils import concatenate, create_empty_array

import rlgrid
from rlgrid.envs.observations import KINDS, observer

_IDS = sorted(name for name in gym.registry if name.startswith("rlgrid/"))


def _stacked(seen: Any, states: np.ndarray) -> np.ndarray:
    """What Gymnasium's vector environments make of single observations."""
    out = create_empty_array(seen.space, states.size)
    return concatenate(seen.space, [seen.one(int(s)) for s in states], out)


@pytest.mark.parametrize("name", _IDS)
@pytest.mark.parametrize("kind", KINDS)
def test_observations_lie_in_their_space_and_batches_are_stacks(name: str, kind: str) -> None:
    world = gym.make(name).unwrapped
    seen = observer(world.model, kind, observation_of=world.observation_of, scene=world.scene)
    states = np.random.default_rng(0).integers(0, world.model.num_states, 40)
    for state in states.tolist():
        assert seen.space.contains(seen.one(state))
    expected, batch = _stacked(seen, states), seen.many(states)
    assert batch.dtype == expected.dtype
    np.testing.assert_array_equal(batch, expected)
    out = np.full_like(batch, 7)
    assert seen.many(states, out=out) is out
    np.testing.assert_array_equal(out, expected)


def test_index_is_the_state_or_what_is_seen_of_it() -> None:
    model = rlgrid.GridSpec.builtin("four_rooms").compile()
    plain = observer(model)
    assert type(plain.one(5)) is int
    assert (plain.one(5), plain.observation_of, plain.num_observations) == (5, None, model.num_states)
    states = np.array([3, 4])
    batch = plain.many(states)
    batch[0] = 9
    assert states[0] == 3  # the batch is the caller's own
    halves = observer(model, observation_of=np.arange(model.num_states) // 2)
    assert type(halves.one(5)) is int
    assert (halves.one(5), halves.num_observations) == (2, (model.num_states + 1) // 2)
    assert halves.space == gym.spaces.Discrete(halves.num_observations)


def test_observation_matrix_has_one_entry_a_row() -> None:
    model = rlgrid.GridSpec.builtin("four_rooms").compile()
    halves = observer(model, "one_hot", observation_of=np.arange(model.num_states) // 2)
    matrix = halves.observation_matrix().toarray()
    expected = np.stack([halves.one(state) for state in range(model.num_states)])
    np.testing.assert_array_equal(matrix, expected)


def test_unknown_kinds_are_named_with_the_nearest() -> None:
    model = rlgrid.GridSpec.builtin("four_rooms").compile()
    with pytest.raises(ValueError, match="no observation 'onehot': did you mean 'one_hot'"):
        observer(model, "onehot")
