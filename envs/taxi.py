"""Taxi (Dietterich 2000, JAIR 13), a twin of Gymnasium's ``Taxi-v4``.

A taxi in 5 x 5 cells picks up a passenger at one of four stands and brings them to another one. State
((row * 5 + column) * 5 + passenger) * 4 + destination, passenger 0 to 3 a stand (red, green, yellow, blue) and 4 in the
taxi. Actions: 0 south, 1 north, 2 east, 3 west, 4 pick up, 5 put down. -1 a step; +20 for putting the passenger down at
the destination, which ends the episode; -10 for picking up nobody, and for putting down where there is no stand or
nobody to put down. An episode begins in any cell with the passenger at a stand that is not the destination.

``is_rainy``: a move that no wall or edge is in the way of goes as meant with ``rainy_probability``, else to its left or
to its right, each with half of what remains; a slip that a wall or the edge stops leaves the taxi where it is.

``fickle_passenger``: with ``fickle_probability``, drawn when the episode begins, the passenger changes the destination
to one of the other three stands, each as likely, on the first move to another cell while in the taxi. Gymnasium keeps
this in a variable beside its table ``P``; here it is state: 500 + s is s with a change to come, and
`observations` hides it. The first 500 states with their outcomes are Gymnasium's ``P``.

Seed for seed and action for action, the environments give Gymnasium's observations, rewards, ends and infos, and leave
the generator in the same state. The order of draws: one `random()` for a start, and one for the passenger if fickle;
one `random()` a step for where the taxi goes, then one `choice` where the destination changes.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, SupportsFloat

import numpy as np
from numpy.typing import NDArray

from rlgrid.envs.classics import explicit
from rlgrid.envs.gridworld import GridWorld
from rlgrid.envs.scene import Scene
from rlgrid.envs.tables import Draws
from rlgrid.gridmodel import GridModel, TileKind
from rlgrid.mdp import MDP, Outcome

STANDS = ((0, 0), (0, 4), (4, 0), (4, 3))
ACTIONS = ("south", "north", "east", "west", "pick up", "put down")
_NAMES = ("red", "green", "yellow", "blue")
STATES = 500  # but for what a fickle passenger hides
_IN_TAXI = 4
_MOVES = ((1, 0), (-1, 0), (0, 1), (0, -1))
_SIDEWAYS = ((2, 3), (3, 2), (1, 0), (0, 1))  # the moves to the left and to the right of each
# (row, column) of the cells that have a wall at their east side.
_WALLS = frozenset({(0, 1), (1, 1), (3, 0), (3, 2), (4, 0), (4, 2)})


def encode(row: int, column: int, passenger: int, destination: int) -> int:
    """The number of a state in which no change of mind is to come."""
    return ((row * 5 + column) * 5 + passenger) * 4 + destination


def decode(state: int) -> tuple[int, int, int, int]:
    """(row, column, passenger, destination) of a state, whatever is to come."""
    rest, destination = divmod(state % STATES, 4)
    rest, passenger = divmod(rest, 5)
    return *divmod(rest, 5), passenger, destination


def _is_free(row: int, column: int, move: int) -> bool:
    """True where neither a wall nor the edge stops the move."""
    down, right = _MOVES[move]
    if not (0 <= row + down < 5 and 0 <= column + right < 5):
        return False
    return right == 0 or (row, min(column, column + right)) not in _WALLS


def _moved(row: int, column: int, move: int) -> tuple[int, int]:
    down, right = _MOVES[move]
    return (row + down, column + right) if _is_free(row, column, move) else (row, column)


def taxi(
    is_rainy: bool = False,
    fickle_passenger: bool = False,
    rainy_probability: float = 0.8,
    fickle_probability: float = 0.3,
    gamma: float = 1.0,
) -> MDP:
    """The model: 500 states, or 1000 with a fickle passenger; the module's text says what a step does.

    Raises:
        ValueError, TypeError: naming the argument that is wrong.
    """
    is_rainy, fickle_passenger = flag("is_rainy", is_rainy), flag("fickle_passenger", fickle_passenger)
    rainy_probability = _probability("rainy_probability", rainy_probability)
    fickle_probability = _probability("fickle_probability", fickle_probability)

    def settled(state: int, action: int) -> list[Outcome]:
        """The outcomes of a state in which no change of mind is to come."""
        row, column, passenger, destination = decode(state)
        if action < 4:
            ways = [(1.0, _moved(row, column, action))]
            if is_rainy:
                stays, sideways = (row, column), _SIDEWAYS[action]
                there = (
                    [_moved(row, column, move) for move in sideways] if _is_free(row, column, action) else [stays] * 2
                )
                aside = (1.0 - rainy_probability) / 2.0
                ways = [(rainy_probability, ways[0][1]), *((aside, cell) for cell in there)]
            return [(p, encode(*cell, passenger, destination), -1.0, False) for p, cell in ways]
        stand = STANDS.index((row, column)) if (row, column) in STANDS else None
        if action == 4:
            picked = stand is not None and passenger == stand
            return (
                [(1.0, encode(row, column, _IN_TAXI, destination), -1.0, False)]
                if picked
                else [(1.0, state, -10.0, False)]
            )
        if passenger != _IN_TAXI or stand is None:
            return [(1.0, state, -10.0, False)]
        arrived = stand == destination
        return [(1.0, encode(row, column, stand, destination), 20.0 if arrived else -1.0, arrived)]

    def unsettled(state: int, action: int) -> list[Outcome]:
        """The outcomes of a state in which a change of mind is to come."""
        found: list[Outcome] = []
        for p, to, reward, ends in settled(state, action):
            if changes_mind(state, to):
                others = other_destinations(state, to)
                found += [(p / len(others), other, reward, ends) for other in others]
            else:
                found.append((p, STATES + to, reward, ends))
        return found

    def outcomes(state: int, action: int) -> list[Outcome]:
        return unsettled(state - STATES, action) if state >= STATES else settled(state, action)

    start = np.zeros(STATES)
    for state in range(STATES):
        _, _, passenger, destination = decode(state)
        start[state] = passenger not in (_IN_TAXI, destination)
    start /= start.sum()
    labels: list[Any] = [decode(state) for state in range(STATES)]
    if fickle_passenger:
        labels += [(*label, "fickle") for label in labels]
        start = np.concatenate([start * (1.0 - fickle_probability), start * fickle_probability])
    return explicit(labels, 6, outcomes, gamma, start)


def flag(name: str, value: Any) -> bool:
    """Gymnasium takes whatever Python takes for true; what is neither True nor False, 1 nor 0 is a slip of the pen."""
    if not isinstance(value, bool | np.bool_) and not (isinstance(value, int) and value in (0, 1)):
        raise TypeError(f"{name} must be True or False, not {value!r}")
    return bool(value)


def _probability(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise TypeError(f"{name} must be a probability in [0, 1], not {value!r}")
    if not 0.0 <= value <= 1.0:
        raise ValueError(f"{name} must lie in [0, 1], not {value!r}")
    return float(value)


def changes_mind(state: int, to: int) -> bool:
    """True where a step between two of the 500 states moves the taxi with the passenger in it to another cell."""
    row, column, passenger, _ = decode(state)
    return passenger == _IN_TAXI and (row, column) != decode(to)[:2]


def other_destinations(state: int, to: int) -> list[int]:
    """``to`` with each of the destinations but that of ``state``, in order."""
    row, column, passenger, _ = decode(to)
    return [encode(row, column, passenger, stand) for stand in range(4) if stand != decode(state)[3]]


def observations(model: MDP) -> NDArray[np.int64]:
    """int64 [S]: the state without what is hidden."""
    return np.arange(model.num_states) % STATES


def action_masks(model: MDP) -> NDArray[np.int8]:
    """int8 [S, 6]: 1 where an action changes the state (as meant, in the rain), as Gymnasium's ``action_mask``."""
    masks = np.zeros((model.num_states, 6), np.int8)
    for state in range(model.num_states):
        row, column, passenger, _ = decode(state)
        masks[state, :4] = [_is_free(row, column, move) for move in range(4)]
        masks[state, 4] = passenger < _IN_TAXI and (row, column) == STANDS[passenger]
        masks[state, 5] = passenger == _IN_TAXI and (row, column) in STANDS
    return masks


def fickle_starts(model: MDP) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """(the states of the first draw of a start, ascending; their probabilities), before the passenger is drawn."""
    states = np.unique(model.start_states % STATES)
    return states, np.full(states.size, 1.0 / states.size)


def fickle_draws(model: MDP, fickle_probability: float) -> Draws:
    """The order of draws of a fickle passenger's taxi: the ways of a step are those of the first 500 states."""
    pairs = np.arange(model.num_states * model.num_actions)
    settled = pairs % (STATES * model.num_actions)
    offsets = model.offsets
    width = int((offsets[settled + 1] - offsets[settled]).max())
    probability = np.zeros((pairs.size, width))
    outcomes = np.zeros((pairs.size, width), np.int64)
    for pair, of in zip(pairs.tolist(), settled.tolist(), strict=True):
        for k, i in enumerate(range(int(offsets[of]), int(offsets[of + 1]))):
            state, to = of // model.num_actions, int(model.next_state[i])
            probability[pair, k] = model.probability[i]
            fickle = pair != of and changes_mind(state, to)
            outcomes[pair, k] = len(other_destinations(state, to)) if fickle else 1
    second = np.array([float(fickle_probability), float(STATES)])
    return Draws(probability, outcomes, *fickle_starts(model), second)


class FickleTaxi(GridWorld):
    """Taxi with a fickle passenger, whose draws come in Gymnasium's order: where the taxi goes, then what changes.

    The model's outcomes of a pair lie in that order too: for each way of the taxi one, or where the destination
    changes one for each new destination. So a step draws the way, and then which of its outcomes happens; both draws
    together have the probability of the outcome, which is taken from the model.

    Args:
        fickle_probability: of the second draw of a start, as the model has it.
        arguments: as for `GridWorld`.

    The probability in the info of a step is the way's alone, as in Gymnasium.
    """

    def __init__(self, *, fickle_probability: float, **arguments: Any) -> None:
        self.fickle_probability = float(fickle_probability)
        super().__init__(**arguments)
        self._shows_all = False  # nobody sees whether a change is to come

    def _prepare(self) -> None:
        super()._prepare()
        self._set_starts(*fickle_starts(self.model.to_mdp()))

    def _finish_start(self, is_given: bool) -> None:
        fickle = self.np_random.random() < self.fickle_probability
        if fickle and not is_given:
            self._state += STATES

    def step(self, action: int) -> tuple[int, SupportsFloat, bool, bool, dict[str, Any]]:
        """As `GridWorld.step`."""
        hidden = self._state
        if hidden is None or hidden < STATES:
            return super().step(action)
        settled = hidden - STATES
        number = self._checked_action(action)
        assert self._outcomes is not None
        ways: Any = self._outcomes[settled][number]
        u = self.np_random.random()
        way = next((k for k, (total, *_) in enumerate(ways) if total > u), 0)
        splits = [len(other_destinations(settled, to)) if changes_mind(settled, to) else 1 for _, to, *_ in ways]
        index = sum(splits[:way])
        if splits[way] > 1:
            index += int(self.np_random.choice(splits[way]))
        outcome: Any = self._outcomes[hidden][number]
        _, self._state, reward, terminated, _ = outcome[index]
        self._last_action = number
        if self.render_mode == "human":
            self.render()
        return self._seen(), reward, terminated, False, self._info(ways[way][4])


# --- pictures -------------------------------------------------------------------------------------------------------


class TaxiScene(Scene):
    """The map with the taxi on it: a star at the destination, a diamond where the passenger waits."""

    actions = ACTIONS

    def picture(self, state: int | None) -> tuple[Any, int | None]:
        """Between the columns of cells lie narrow places, as in the text: walls, or nothing that can be stood on."""
        if state is None:
            return _drawing(None, None), None
        row, column, passenger, destination = decode(state)
        return _drawing(passenger, destination), 9 * row + 2 * column

    def text(self, state: int | None) -> str:
        lines = [list(line) for line in _MAP]
        if state is None:
            return "".join(line + "\n" for line in _MAP)
        row, column, passenger, destination = decode(state)
        lines[row + 1][2 * column], lines[row + 1][2 * column + 2] = "[", "]"
        who = _whereabouts(passenger)
        return "".join("".join(line) + "\n" for line in lines) + f"passenger {who}, destination {_NAMES[destination]}\n"

    def label(self, state: int) -> str:
        row, column, passenger, destination = decode(state)
        return f"taxi at row {row}, column {column}, passenger {_whereabouts(passenger)}, to {_NAMES[destination]}"


def _whereabouts(passenger: int) -> str:
    return "in the taxi" if passenger == _IN_TAXI else f"at {_NAMES[passenger]}"


def _map_row(row: int) -> str:
    cells = ["RGYB"[STANDS.index((row, column))] if (row, column) in STANDS else "." for column in range(5)]
    gaps = ["|" if (row, column) in _WALLS else " " for column in range(4)]
    return "|" + "".join(cell + gap for cell, gap in zip(cells, [*gaps, "|"], strict=True))


_MAP = ("+---------+", *(_map_row(row) for row in range(5)), "+---------+")

_KINDS = [
    TileKind("floor", "."),
    TileKind("wall", "#", wall=True, glyph="wall"),
    TileKind("stand", "o", glyph="teleport"),
    TileKind("passenger", "p", glyph="reward"),
    TileKind("destination", "d", glyph="goal"),
]


@lru_cache(maxsize=32)
def _drawing(passenger: int | None, destination: int | None) -> GridModel:
    tiles = np.array([["|" in gap for gap in line[1:-1]] for line in _MAP[1:-1]]).astype(np.uint8)
    for stand, (row, column) in enumerate(STANDS):
        tiles[row, 2 * column] = 4 if stand == destination else 3 if stand == passenger else 2
    return GridModel(tiles, _KINDS, gamma=1.0, start=0)  # a stand, whose mark hides that of a start
