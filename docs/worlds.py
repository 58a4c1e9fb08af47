"""Draws docs/images/worlds/*.png, a picture of every world, and writes the numbers of all of them into docs/worlds.md.

python docs/worlds.py

The part of the page between the two marks is made here; the rest is written by hand. Solving every world under its step
cap takes some minutes; `--pictures` draws alone, `--page` writes alone.
"""

import argparse
import textwrap
from pathlib import Path
from typing import Any

import gymnasium as gym
import imageio.v3 as imageio
import numpy as np

import rlgrid
from rlgrid.envs import CLASSICS, GENERATED, MAPS
from rlgrid.envs.racetrack import INCREMENTS, visited
from rlgrid.envs.registry import resolve
from rlgrid.gridmodel import TileKind
from rlgrid.picture import shape_of
from rlgrid.theme import DARK

HERE = Path(__file__).parent
PAGE = HERE / "worlds.md"
PICTURES = HERE / "images" / "worlds"
BEGIN, END = "<!-- begin: docs/worlds.py -->\n", "<!-- end: docs/worlds.py -->\n"
WIDTH, TALLEST, LARGEST = 720, 420, 48  # pixels of a picture at most, and of a cell
MARGIN = 16

ALL: dict[str, Any] = MAPS | GENERATED | CLASSICS

FAMILIES: dict[str, list[str]] = {
    "Lakes and cliffs": [
        "FrozenLake-v1",
        "FrozenLake8x8-v1",
        "FrozenLake16x16-v0",
        "RandomFrozenLake-v0",
        "CliffWalking-v1",
        "CliffWalkingSlippery-v1",
        "CliffWalkingWindy-v0",
        "CliffGrid-v0",
        "BridgeGrid-v0",
    ],
    "Several goals": ["DiscountGrid-v0", "DeepSeaTreasure-v0", "CollectStars-v0"],
    "Textbook grids": [
        "RussellNorvig4x3-v0",
        "SuttonBarto4x4-v0",
        "SuttonBarto5x5-v0",
        "FourRooms-v0",
        "WindyGridworld-v0",
        "WindyGridworldKings-v0",
        "WindyGridworldStochastic-v0",
        "PuddleWorld-v0",
    ],
    "Mazes, keys, teleports": [
        "DynaMaze-v0",
        "BlockingMaze-v0",
        "ShortcutMaze-v0",
        "WilsonMaze-v0",
        "RandomMaze-v0",
        "ThinWalls-v0",
        "KeyDoor-v0",
        "KeysAndSwitch-v0",
        "Teleports-v0",
    ],
    "More than a place": [
        "Taxi-v4",
        "Racetrack-v0",
        "RacetrackRight-v0",
        "TMaze-v0",
        "JacksCarRental-v0",
        "GamblersProblem-v0",
        "RandomWalk-v0",
        "MaximizationBias-v0",
    ],
    "Tests of exploration": ["RiverSwim-v0", "Chain-v0", "DeepSea-v0", "DeepSeaStochastic-v0"],
}

DEFINITIONS = {
    "FrozenLake-v1": "From the flag to the star over ice on which a move goes as meant, to its left or to its right,"
    " a third of the time each. The goal pays 1 and a hole ends the episode with nothing; all else pays 0.",
    "FrozenLake8x8-v1": "The same ice on 8 x 8 cells with ten holes. The best policies push against the edge, where"
    " no slip leads towards a hole.",
    "FrozenLake16x16-v0": "A random lake, Gymnasium's `generate_random_map(16, 0.8, seed=3)`, which is"
    " `rlgrid.random_frozen_lake(16, 0.8, 3)`. Ice, rewards and moves are those of the small lakes.",
    "RandomFrozenLake-v0": "A lake of 4 x 4 cells is drawn at each reset, every cell but the corners ice with"
    " probability .8, and drawn anew until there is a way. J* and the best return are means over all 3,828 lakes, for"
    " those who see which one they are on; the picture shows four of them.",
    "CliffWalking-v1": "Every step costs 1; a step into the cliff costs 100 and leads back to the start, and the"
    " episode goes on. Thirteen steps along the edge are the best way.",
    "CliffWalkingSlippery-v1": "Cliff walking on ice: a move goes as meant, to its left or to its right, a third of"
    " the time each. The best policy never falls: beside the cliff it pushes away from it, for as long as it takes.",
    "CliffWalkingWindy-v0": "Cliff walking in a wind towards the cliff: after a move it carries the agent one row"
    " further down with probability 1/5, in every column. Steps cost 1 and falls 100, back to the start; the best"
    " policy never falls, and takes four steps more than in calm air.",
    "CliffGrid-v0": "A walk along a cliff with moves that go to each side with probability .1, and no reward but the"
    " numbers. A cell with a number is left by any action, a step after it was entered, for that number: 10 at the"
    " star, -100 in the cliff; the last row's cell stands for having left.",
    "BridgeGrid-v0": "A bridge five cells long over a chasm of -100, with 1 at this end and 10 at the other; moves go"
    " to each side with probability .1. Numbers are collected as in the cliff grid, and the best policy turns back.",
    "DiscountGrid-v0": "A near goal of 1 and a far one of 10, with a short way along a cliff of -10 or a long one"
    " around the walls; moves go to each side with probability .1. Which goal and which way is best depends on"
    " discount and slip, which is what the exercise asks for.",
    "DeepSeaTreasure-v0": "Ten treasures on the sea bed, 1, 2, 3, 5, 8, 16, 24, 50, 74 and 124 of them, the deeper"
    " the more; each ends the dive, and each step costs 1. The source keeps time and treasure apart as two"
    " objectives; here they are added, and the farthest treasure, 19 steps away, is the best.",
    "CollectStars-v0": "Four stars, in any order; the last one ends the episode, and every step costs 1. What is"
    " collected is part of the state, so that the picture has a panel for each set of stars.",
    "RussellNorvig4x3-v0": "Moves go as meant with .8 and to each side with .1; each step from a cell that is not"
    " terminal costs .04. The star pays 1 and the cross -1, and both end the episode.",
    "SuttonBarto4x4-v0": "Every step costs 1 until one of two corners is reached, from any other cell. The world of"
    " iterative policy evaluation, where the random policy has the values 0 to -22.",
    "SuttonBarto5x5-v0": "Every action from A pays 10 and leads to A', every action from B pays 5 and leads to B'; a"
    " step off the grid costs 1 and leads nowhere. It never ends by itself, and begins anywhere.",
    "FourRooms-v0": "Four rooms joined by hallways, from the upper left to a goal that pays 1. A move succeeds two"
    " times in three, else it goes in one of the three other directions.",
    "WindyGridworld-v0": "Every step costs 1, and the wind of the column that is left, 0 to 2 cells strong, carries"
    " each step upwards. The best way takes 15 steps.",
    "WindyGridworldKings-v0": "The windy gridworld with eight moves, the diagonal ones too. The best way takes 7"
    " steps.",
    "WindyGridworldStochastic-v0": "King's moves, and where a wind blows it is one cell weaker or stronger a third of"
    " the time each. No way is certain any more.",
    "PuddleWorld-v0": "A square of side 1 in 20 x 20 cells; a step to a neighbour costs 1, and 400 for each unit of"
    " depth at the middle of the cell that is reached, in each of two puddles: all points within .1 of the lines from"
    " (.1, .75) to (.45, .75) and from (.45, .4) to (.45, .8), x to the right and y upwards. It begins in any cell"
    " but the goal, the three with x + y >= 1.9. (The source moves by .05 in a continuous square, with a little"
    " noise.)",
    "DynaMaze-v0": "A maze whose goal pays 1 and whose steps pay nothing, 14 steps at best. The world of Dyna-Q.",
    "BlockingMaze-v0": "For 1000 steps, over all episodes, the wall has its gap at the right, 10 steps from start to"
    " goal; then the gap closes and another opens at the left, 16 steps. `env.unwrapped.model` is the present maze,"
    " and `reset(seed=...)` begins anew; the picture shows both.",
    "ShortcutMaze-v0": "For 3000 steps the only gap is at the left, 16 steps; then a second one opens at the right,"
    " 10 steps, and nothing forces an agent to find it. The clock is that of the blocking maze.",
    "WilsonMaze-v0": '`rlgrid.generate("wilson", 21, 21, seed=8)`: one of all perfect mazes of its size, each as'
    " likely, between the ends of its longest way, 84 steps. The goal pays 1.",
    "RandomMaze-v0": "A perfect maze of 9 x 9 cells at each reset, each as likely, from one end of its longest way to"
    " the other; the goal pays 1. J* is the mean over all 100,352 mazes, for those who see which one they are in; the"
    " picture shows four of them.",
    "ThinWalls-v0": "A maze of walls between the cells, one way between any two of them. Steps cost 1, those that a"
    " wall stops too, and moves go to each side with probability .1.",
    "KeyDoor-v0": "The goal, which pays 1, lies behind a door and the key out of the way: 18 steps. Whether the key"
    " is held is part of the state, so that the picture shows the map without it and with it.",
    "KeysAndSwitch-v0": "A red key for the red door, behind it a lever for a gate in the first room, behind that a"
    " blue key for the blue door, behind that the goal, which pays 1. 46 steps, if moves did not go to each side with"
    " probability .05; one panel for each set of what is held and on.",
    "Teleports-v0": "Three rooms without doors: the circles lead on to the next room, the crosses back to the start,"
    " in the same step. Moves go to each side with probability .05, and the goal pays 1.",
    "Taxi-v4": "Drive to the passenger at one of four stands, pick up, drive to another stand and put down, for 20;"
    " every other step costs 1, and wrong pick-ups and put-downs 10. The picture shows the states with the passenger"
    " waiting at the upper left and bound for the lower right, and then those with the passenger in the taxi; a dot"
    " picks up or puts down.",
    "Racetrack-v0": "A car has a cell and a velocity, each component 0 to 4; an action adds -1, 0 or 1 to each, and"
    " with probability .1 nothing is added. A step costs 1, and leaving the track puts the car back on the starting"
    " line; the picture shows the best value of each cell over all velocities, and a drive.",
    "RacetrackRight-v0": "The other track of the figure, with the same rules.",
    "TMaze-v0": "A sign at the beginning of a corridor says on which side of the junction at its end the goal lies,"
    " and cannot be seen from further on. The right turn pays 4, the wrong one -.1, as does standing still; the"
    " picture shows both cases, which look alike.",
    "JacksCarRental-v0": "Up to 20 cars at each of two locations, up to 5 moved overnight for 2 each; rentals at 10"
    " and returns are Poisson variables, and no tail of theirs is cut off. The picture has a row for each number of"
    " cars at the first location, a column for the second: on the left the values, on the right the cars that are"
    " moved, from the first location to the second in blue, back in red.",
    "GamblersProblem-v0": "Stake a part of the capital on a coin that shows heads with probability .4, to win as much"
    " or lose it, until 100 are reached, which pays 1, or nothing is left. The picture has a cell for each capital, 0"
    " to 99, ten to a row, with a best stake.",
    "RandomWalk-v0": "Nineteen states in a row between two ends, of which the left one pays -1 and the right one 1; an"
    " action goes one state to the left or to the right, and episodes begin in the middle. The walk of the source is"
    " the uniformly random policy; the picture shows its values, which rise from -.9 to .9 by .1 a state.",
    "MaximizationBias-v0": "From A the right way ends the episode for nothing; the left one leads to B, where each of"
    " ten actions ends it with a noisy reward of mean -.1 and variance 1, one of 16 numbers in place of the source's"
    " normal distribution. Going left looks good to Q-learning for long. Of the actions of A half go left.",
    "RiverSwim-v0": "Swimming left always works and pays .005 at the left end; swimming right against the current"
    " works .35 of the time, and pays 1 at the right end. Its horizon of 20 steps is the cap.",
    "Chain-v0": "Forward pays nothing until the last of five states, where it pays 10 for ever; back pays 2 and leads"
    " to the first state. With probability .2 the other action happens.",
    "DeepSea-v0": "Every step sinks a row, to the left or to the right; only ten moves to the right in a row find the"
    " reward of 1, and each of them costs .001. Who explores at random finds it once in 2^10 episodes.",
    "DeepSeaStochastic-v0": "Deep sea where going right fails with probability 1/10, and where the two lower corners"
    " add +1 or -1 to the reward.",
}

# Which no sweep over the model of one map gives; tests/test_worlds.py works them out over all maps.
BEST_RETURNS = {"RandomMaze-v0": 1.0, "RandomFrozenLake-v0": 0.90290016}


def short(name: str) -> str:
    """An id without what all have in common."""
    return name.partition("/")[2]


# --- pictures ---------------------------------------------------------------------------------------------------------


def cell_size(rows: int, columns: int, across: int = 1) -> int:
    """Pixels of a cell of panels that stand side by side."""
    room = (WIDTH - MARGIN * (across - 1)) // across
    return max(10, min(LARGEST, room // columns, TALLEST // rows))


def side_by_side(panels: list[np.ndarray]) -> np.ndarray:
    """One picture of several."""
    height = max(panel.shape[0] for panel in panels)
    parts: list[np.ndarray] = []
    for panel in panels:
        framed = np.empty((height, panel.shape[1], 3), np.uint8)
        framed[:] = DARK.background
        framed[: panel.shape[0]] = panel
        gap = np.empty((height, MARGIN, 3), np.uint8)
        gap[:] = DARK.background
        parts += [framed, gap]
    return np.concatenate(parts[:-1], axis=1)


def solved(model: Any, across: int = 1, **settings: Any) -> np.ndarray:
    """A model with its optimal values and policy."""
    solution = rlgrid.solve(model, tolerance=1e-9)
    drawn = getattr(model, "sheet", None)
    rows, columns = drawn[0].shape if drawn else shape_of(model)
    settings = {"cell_size": cell_size(rows, columns, across)} | settings
    return rlgrid.draw(model, values=solution.values, policy=solution.policy, **settings)


def on_grid(rows: str, values: np.ndarray, policy: np.ndarray, across: int = 1, **settings: Any) -> np.ndarray:
    """Tables over the cells of a map that is made for the picture; NaN and -1 where a cell has none."""
    spec = rlgrid.GridSpec(rows.split(), **settings)
    shape = len(spec.rows), len(spec.rows[0])
    return rlgrid.draw(spec.compile(), values=values, policy=policy, cell_size=cell_size(*shape, across))


def taxi(model: Any) -> np.ndarray:
    """The passenger at red and bound for blue; then in the taxi."""
    solution = rlgrid.solve(model, tolerance=1e-9)
    walls = [((r, c), (r, c + 1)) for r, c in ((0, 1), (1, 1), (3, 0), (3, 2), (4, 0), (4, 2))]
    turned = np.array([2, 0, 1, 3, -1, -1])  # south, north, east, west
    panels = []
    for passenger, stand in ((0, (0, 0)), (4, (4, 3))):
        rows = [["."] * 5 for _ in range(5)]
        rows[stand[0]][stand[1]] = "o"
        spec = rlgrid.GridSpec(
            ["".join(row) for row in rows],
            legend={".": {"start": 1}, "o": {"start": 1, "glyph": "reward" if passenger == 0 else "goal"}},
            walls=walls,
        )
        states = [((r * 5 + c) * 5 + passenger) * 4 + 3 for r in range(5) for c in range(5)]
        size = cell_size(5, 5, 2)
        panels.append(
            rlgrid.draw(
                spec.compile(), values=solution.values[states], policy=turned[solution.policy[states]], cell_size=size
            )
        )
    return side_by_side(panels)


def racetrack(name: str, model: Any) -> np.ndarray:
    """The best value of each cell over all velocities, and a drive by the best policy."""
    solution = rlgrid.solve(model, tolerance=1e-9)
    env: Any = gym.make(name, noise=0.0).unwrapped
    drawing, _ = env.scene.picture(None)
    columns = drawing.shape[1]
    values = np.full(drawing.num_states, np.nan)
    for state, label in enumerate(model.states[:-1]):
        cell = label[0] * columns + label[1]
        values[cell] = np.fmax(values[cell], solution.values[state])
    env.reset(seed=4)
    way, ended = [model.states[env.state][:2]], False
    while not ended:
        row, column, up, right = model.states[env.state]
        action = int(solution.policy[env.state])
        up, right = (min(max(old + added, 0), 4) for old, added in zip((up, right), INCREMENTS[action], strict=True))
        way += [(row - rise, column + along) for rise, along in visited(up, right) if column + along < columns]
        ended = env.step(action)[2]
    cells = [row * columns + column for row, column in way]
    return rlgrid.draw(drawing, values=values, path=cells, agent=cells[0], cell_size=14)


def jack(model: Any) -> np.ndarray:
    """Values, and the cars that are moved."""
    solution = rlgrid.solve(model, tolerance=1e-6)
    floor = rlgrid.GridModel(np.zeros((21, 21), np.int64), [TileKind("floor")], start=220)
    first, second = np.divmod(np.arange(441), 21)
    moved = np.clip(solution.policy - model.num_actions // 2, -second, first)  # no more than are there
    tables = (solution.values, moved.astype(float))
    return side_by_side([rlgrid.draw(floor, values=table, cell_size=14) for table in tables])


def gambler(model: Any) -> np.ndarray:
    """A cell for each capital but the last."""
    solution = rlgrid.solve(model, tolerance=1e-9)
    cells, stakes = 100, model.num_actions
    still = np.repeat(np.arange(cells), stakes)  # nothing happens in the cells of this picture
    nothing = np.zeros(still.size)
    start = np.eye(cells)[50]
    table = rlgrid.MDP(
        cells,
        stakes,
        np.arange(still.size + 1),
        still,
        nothing + 1,
        nothing,
        nothing > 0,
        gamma=0.5,
        start=start,
        shape=(10, 10),
    )
    policy = solution.policy[:cells].copy()
    policy[0] = -1
    return rlgrid.draw(table, values=solution.values[:cells], policy=policy, cell_size=36)


def deep_sea(model: Any) -> np.ndarray:
    """Without the last row, in which all is over."""
    solution = rlgrid.solve(model, tolerance=1e-9)
    side = model.shape[1]
    rows = ["S" + "." * (side - 1), *["." * side] * (side - 1)]
    tables = solution.values[: side * side], solution.policy[: side * side]
    return on_grid("\n".join(rows), *tables, moves=("down-left", "down-right"))


def t_maze(model: Any) -> np.ndarray:
    """The goal above, and the goal below."""
    solution = rlgrid.solve(model, tolerance=1e-9)
    length = model.num_states // 2 - 2
    panels = []
    for cue in range(2):
        states = cue * (length + 2) + np.arange(length + 1)
        values, policy = np.full((3, length + 1), np.nan), np.full((3, length + 1), -1)
        values[1], policy[1] = solution.values[states], solution.policy[states]
        ends = "GH" if cue == 0 else "HG"
        rows = [f"{'#' * length}{ends[0]}", f"S{'.' * length}", f"{'#' * length}{ends[1]}"]
        panels.append(on_grid("\n".join(rows), values.ravel(), policy.ravel(), 2))
    return side_by_side(panels)


def bias(model: Any) -> np.ndarray:
    """B, A and the two ends."""
    solution = rlgrid.solve(model)
    return on_grid("H.SG", solution.values, np.array([-1, 3, 1, -1]))


def walk(model: Any) -> np.ndarray:
    """The states between the two ends, with the values of the random policy."""
    values = rlgrid.policy_values(model, np.full((model.num_states, 2), 0.5))
    return on_grid("H" + "." * 9 + "S" + "." * 9 + "G", values, np.full(values.size, -1))


def line(model: Any) -> np.ndarray:
    """States in a row, with the policy as arrows."""
    solution = rlgrid.solve(model, tolerance=1e-9)
    forward = 1 if model.num_states == 6 else 0  # the chain's action 0 goes forward
    policy = np.where(solution.policy == forward, 1, 3)
    return on_grid("S" + "." * (model.num_states - 1), solution.values, policy)


def several(name: str) -> np.ndarray:
    """Four of the maps of a world that draws them."""
    env: Any = gym.make(name).unwrapped
    env.reset(seed=1)
    panels = []
    for _ in range(4):
        panels.append(solved(env.model, 4))
        env.reset()
    return side_by_side(panels)


def picture(name: str) -> np.ndarray:
    """The picture of a world."""
    model = gym.make(name).unwrapped.model  # type: ignore[attr-defined]
    if name in GENERATED:
        return several(name)
    if name in MAPS:
        spec = rlgrid.GridSpec.builtin(MAPS[name].map)
        phases = [spec.compile(), *(spec.compile(at=change.at) for change in spec.changes)]
        return side_by_side([solved(phase, len(phases)) for phase in phases])
    kinds = {
        "taxi": taxi,
        "racetrack": lambda model: racetrack(name, model),
        "jacks_car_rental": jack,
        "gamblers_problem": gambler,
        "t_maze": t_maze,
        "deep_sea": deep_sea,
        "river_swim": line,
        "chain": line,
        "maximization_bias": bias,
        "random_walk": walk,
    }
    return kinds.get(CLASSICS[name].world, solved)(model)


def draw_all() -> None:
    """Write a PNG for each world."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    for name in ALL:
        imageio.imwrite(PICTURES / f"{short(name)}.png", picture(name), optimize=True)


# --- the page ---------------------------------------------------------------------------------------------------------


def number(value: float | None) -> str:
    """Nine digits at most, and no more than there are."""
    return "-" if value is None else f"{value:.9g}"


def best_return(name: str) -> float:
    """The best mean return, not discounted, under the step cap; what no threshold exceeds."""
    if short(name) in BEST_RETURNS:
        return BEST_RETURNS[short(name)]
    model: Any = gym.make(name).unwrapped.model  # type: ignore[attr-defined]
    cap = ALL[name].max_episode_steps
    solution = rlgrid.solve(model, gamma=1.0, tolerance=1e-9) if cap is None else None
    values = solution.values if solution else rlgrid.solve(model, gamma=1.0, horizon=cap).values[0]
    return float(model.start_probability @ values[model.start_states])


def wrapped(text: str) -> str:
    """A paragraph in lines that an editor shows whole."""
    return textwrap.fill(text, 120, break_long_words=False, break_on_hyphens=False) + "\n\n"


def briefly(name: str) -> str:
    """The short name of a world, where it has one."""
    entry = ALL[name]
    known = entry.map if name in MAPS else entry.name if name in GENERATED else entry.world
    return f", in short `{known}`" if resolve(known)[0] == name else ""


def anchor(title: str) -> str:
    """GitHub's name of a heading."""
    return "".join(c for c in title.lower().replace(" ", "-") if c.isalnum() or c in "-_")


def block() -> str:
    """The part of the page that is made here."""
    ids = {short(name): name for name in ALL}
    order = [one for family in FAMILIES.values() for one in family]
    assert sorted(order) == sorted(ids) == sorted(DEFINITIONS)
    rows, sections = [], []
    for family, members in FAMILIES.items():
        sections.append(f"## {family}\n\n")
        for member in members:
            name = ids[member]
            entry = ALL[name]
            model: Any = gym.make(name).unwrapped.model  # type: ignore[attr-defined]
            best = best_return(name)
            cap = entry.max_episode_steps
            rows.append(
                f"| [`{name}`](#{anchor(entry.title)}) | {model.num_states:,} | {model.num_actions} | {model.gamma:g} |"
                f" {number(entry.optimum)} | {number(best)} | {number(entry.reward_threshold)} |"
                f" {'none' if cap is None else f'{cap:,}'} |"
            )
            numbers = f"{model.num_states:,} states, {model.num_actions} actions, gamma {model.gamma:g}"
            sections.append(
                f"### {entry.title}\n\n![{entry.title}](images/worlds/{member}.png)\n\n"
                + wrapped(f"`{name}`{briefly(name)}. {DEFINITIONS[member]}")
                + wrapped(f"{numbers}; J* = {number(entry.optimum)}. Source: {entry.citation}.")
            )
    head = (
        "| id | states | actions | gamma | J* | best return | threshold | step cap |\n"
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n"
    )
    return head + "\n".join(rows) + "\n\n" + "".join(sections).rstrip("\n")


def write_page() -> None:
    """Put the block between its marks."""
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n{block()}\n\n{END}{after}", encoding="utf-8")


def main() -> None:
    """Draw and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", action="store_true", help="draw the pictures alone")
    parser.add_argument("--page", action="store_true", help="write the page alone")
    options = parser.parse_args()
    if not options.page:
        draw_all()
    if not options.pictures:
        write_page()


if __name__ == "__main__":
    main()
