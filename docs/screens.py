"""The screens of docs/screens.md: what is run and done for each, what it shows and how to get there.

`python docs/screenshots.py` makes the pictures and the page.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rlgrid.window.app import App

ROOMS, LAKE, CLIFF, RUSSELL = "FourRooms-v0", "FrozenLake8x8-v1", "CliffWalking-v1", "RussellNorvig4x3-v0"

USUAL, SMALL, LARGE, LARGEST = (1280, 800), (800, 600), (1920, 1200), (3840, 2160)


@dataclass(frozen=True)
class Screen:
    """A screen.

    Attributes:
        name: of its picture.
        group: the heading that it stands under.
        shows: one sentence.
        how: how to get there, in a few words; "" where that goes without saying.
        world, agents, speed, tour: what is run; two to four agents race.
        begin: what is run instead, given the app.
        size, theme, scale: of the window, and of letters.
        does: what is done, one after the other:

            wait 2.5                seconds of simulated time
            key shift+comma         a key, as pygame calls it; with shift and ctrl
            type cliff              letters
            point 3,4               the pointer over a cell (row, column) of the map,
            point action:1          or over a control, by its name,
            point timeline 0.5      or over a part of one that has a track
            click WHERE             a click there
            wheel WHERE by 3        so many notches of the wheel there
            drag 1,1 to 1,4         a drag, from one to the next
            away                    the pointer leaves the window
            change gamma 0.9        a number of the world or of the agent, as by its slider
            do view:4,10,10         a command of `rlgrid.window.commands`
    """

    name: str
    group: str
    shows: str
    how: str
    does: tuple[str, ...] = ("wait 3",)
    world: str = ROOMS
    agents: tuple[str, ...] = ("value_iteration",)
    speed: float | None = None
    size: tuple[int, int] = USUAL
    theme: str = "dark"
    scale: float | None = None
    tour: bool = False
    begin: Callable[[App], None] | None = None


def _watched(app: App) -> None:
    """A foreign environment and an object that acts in it."""
    import cloudpickle  # type: ignore[import-untyped]
    import gymnasium as gym

    class Leaning:
        def predict(self, observation: list[float]) -> tuple[int, None]:
            return int(observation[2] + observation[3] > 0), None

    env = gym.make("CartPole-v1", render_mode="rgb_array")
    app.watch(cloudpickle.dumps((env, Leaning())), None, ("CartPole-v1", "Leaning"), "step", 6.0)


def _caves(side: int) -> Callable[[App], None]:
    """Value iteration in caves of so many rows and columns."""

    def begin(app: App) -> None:
        from rlgrid.window.places import Made, made_place

        app.open(made_place(Made("caves", side, side)), "value_iteration", 100.0)

    return begin


def _lesson(name: str) -> Callable[[App], None]:
    """A lesson from its beginning."""

    def begin(app: App) -> None:
        from rlgrid.window import lessons

        app.teach(lessons.lesson(name))

    return begin


def _faulty(app: App) -> None:
    """An agent of a script that fails after a while."""
    import cloudpickle
    import gymnasium as gym

    from rlgrid.agents import QLearning
    from rlgrid.window.actors import model_of

    class Faulty(QLearning):
        def advance(self, steps: int) -> int:
            if self.num_timesteps > 3_000:
                raise ZeroDivisionError("a state was never visited")
            return super().advance(steps)

    env = gym.make(f"rlgrid/{ROOMS}")
    pickled = cloudpickle.dumps((env, Faulty(env, seed=0)))
    app.watch(pickled, model_of(env), ("Four rooms", "Faulty"), "step", 1_000.0)


WINDOW = "The window"
LAYERS = "The nine layers"
DETAIL = "Detail by the size of a cell"
INSPECTOR = "The inspector"
CONTROLS = "Controls"
MENUS = "Menus and help"
PAST = "The past and breakpoints"
AGENTS = "Kinds of agents"
RACE = "A race"
LESSONS = "Lessons"
TROUBLE = "When something fails"
SIZES = "Sizes"

_PINNED = ("wait 3.2", "key space", "click 5,9", "away", "wait 1")

SCREENS: tuple[Screen, ...] = (
    # --- the window ---
    Screen(
        "opening-dark",
        WINDOW,
        "Value iteration in the four rooms, three seconds after the window opened.",
        "`python play.py`",
        tour=True,
        does=("wait 3.2",),
    ),
    Screen(
        "opening-light",
        WINDOW,
        "The same in the light theme.",
        "`python play.py --theme light`, or T.",
        tour=True,
        does=("wait 3.2",),
        theme="light",
    ),
    Screen(
        "converged",
        WINDOW,
        "Value iteration has converged: every value is proven within the tolerance.",
        "Let it run.",
        does=("wait 12",),
        speed=24.0,
    ),
    # --- layers ---
    Screen(
        "layer-values",
        LAYERS,
        "Values V(s) in the colours of cividis, with the greedy policy.",
        "1",
        agents=("q_learning",),
        world=LAKE,
        speed=50_000.0,
        does=("wait 6",),
    ),
    Screen(
        "layer-q",
        LAYERS,
        "Q(s, a): a wedge and a number for each action.",
        "2",
        agents=("q_learning",),
        world=LAKE,
        speed=50_000.0,
        does=("wait 6", "key 2"),
    ),
    Screen(
        "layer-policy",
        LAYERS,
        "The greedy policy: an arrow for every tie, over any of the other layers.",
        "3 puts the arrows there, and away.",
        agents=("value_iteration",),
        world="SuttonBarto4x4-v0",
        does=("wait 3",),
    ),
    Screen(
        "layer-visits",
        LAYERS,
        "How often the agent acted in each state, by the logarithm.",
        "4",
        agents=("q_learning",),
        world=ROOMS,
        does=("wait 4", "key 4"),
    ),
    Screen(
        "layer-td",
        LAYERS,
        "The TD error of the last update in each state: one colour for either sign.",
        "5",
        agents=("q_learning",),
        world=CLIFF,
        does=("wait 4", "key 5"),
    ),
    Screen("layer-residual", LAYERS, "The Bellman residual T V − V of a planner.", "5", does=("wait 3", "key 5")),
    Screen(
        "layer-error",
        LAYERS,
        "The distance of Q-learning's values from the optimum.",
        "6",
        agents=("q_learning",),
        world=ROOMS,
        does=("wait 6", "key 6"),
    ),
    Screen(
        "layer-gap",
        LAYERS,
        "The proven gap between the upper and the lower bound of V*.",
        "7",
        world="RussellNorvig4x3-v0",
        does=("wait 1.5", "key 7"),
    ),
    Screen(
        "layer-disagreement",
        LAYERS,
        "The share of the greedy actions that are not optimal.",
        "8",
        agents=("q_learning",),
        world=LAKE,
        speed=50_000.0,
        does=("wait 3", "key 8"),
        theme="light",
    ),
    Screen(
        "layer-paths",
        LAYERS,
        "The ways of the last episodes, and how often each cell was passed.",
        "9",
        agents=("sarsa",),
        speed=2_000.0,
        world="WindyGridworld-v0",
        does=("wait 8", "key 9"),
        theme="light",
    ),
    # --- detail ---
    Screen(
        "detail-numbers",
        DETAIL,
        "From 56 pixels a cell, numbers stand in it.",
        "Wheel or Z.",
        does=("wait 3.2", "key space", "wheel 10,10 by 5", "away", "wait 1"),
    ),
    Screen(
        "detail-wedges",
        DETAIL,
        "Action values as wedges in cells that are too small for numbers.",
        "2",
        agents=("q_learning",),
        world="WilsonMaze-v0",
        speed=50_000.0,
        does=("wait 5", "key 2"),
    ),
    Screen(
        "detail-arrows",
        DETAIL,
        "From 10 pixels a cell, arrows and the hatch of walls.",
        "W",
        world="made:caves",
        does=("wait 6",),
        speed=20.0,
    ),
    Screen(
        "detail-colours",
        DETAIL,
        "A thousand by a thousand cells: colours alone, the goal as a star.",
        "W",
        begin=_caves(1000),
        does=("wait 6",),
    ),
    Screen(
        "detail-minimap",
        DETAIL,
        "Zoomed in, a small map says where one is.",
        "Wheel or Z.",
        begin=_caves(200),
        does=("wait 6", "do view:8,120,120"),
        theme="light",
    ),
    # --- inspector ---
    Screen(
        "inspect-backup",
        INSPECTOR,
        "Value iteration: the Bellman backup that the last sweep wrote, outcome by outcome.",
        "Click a cell.",
        does=_PINNED,
    ),
    Screen(
        "inspect-term",
        INSPECTOR,
        "A term that is pointed at lights up the cell that its number was read from.",
        "Point at a line of the sum.",
        does=(*_PINNED, "point term:0"),
        theme="light",
    ),
    Screen(
        "inspect-why",
        INSPECTOR,
        "Why not another action: where the two lead, and what each outcome adds to the difference.",
        "The tab “Why not”, or U.",
        does=(*_PINNED, "click section:why", "away", "wait 1"),
    ),
    Screen(
        "inspect-q-learning",
        INSPECTOR,
        "Q-learning: the last update in this state, written out.",
        "Click a cell.",
        agents=("q_learning",),
        world=CLIFF,
        does=("wait 4", "key space", "click 2,5", "away", "wait 1"),
    ),
    Screen(
        "inspect-sarsa",
        INSPECTOR,
        "Sarsa: its target takes the action that was taken next.",
        "Click a cell.",
        agents=("sarsa",),
        speed=2_000.0,
        world=CLIFF,
        theme="light",
        does=("wait 4", "key space", "click 2,5", "away", "wait 1"),
    ),
    Screen(
        "inspect-dqn",
        INSPECTOR,
        "DQN: the target of the newest step from here in its replay memory.",
        "Click a cell.",
        agents=("dqn",),
        does=("wait 5", "key space", "click 5,9", "away", "wait 1"),
    ),
    Screen(
        "inspect-network",
        INSPECTOR,
        "DQN: its hidden units here, and which cells learn with this one, also through walls.",
        "The tab “Network”, or U.",
        agents=("dqn",),
        does=("wait 5", "key space", "click 5,9", "click section:network", "away", "wait 1"),
    ),
    Screen(
        "inspect-network-light",
        INSPECTOR,
        "The same in the light theme.",
        "The tab “Network”, or U.",
        agents=("dqn",),
        theme="light",
        does=("wait 5", "key space", "click 5,9", "click section:network", "away", "wait 1"),
    ),
    Screen(
        "inspect-taxi",
        INSPECTOR,
        "A state of a world that is no map is said in its own words.",
        "Click a cell.",
        agents=("q_learning",),
        world="Taxi-v4",
        speed=100_000.0,
        does=("wait 3", "key space"),
    ),
    # --- controls ---
    Screen(
        "paint",
        CONTROLS,
        "Painting: the palette at the left, the cursor on the map, the stroke as one edit.",
        "E",
        does=("wait 4", "key e", "click brush:wall", "drag 3,7 to 3,8 to 3,9 to 3,10", "wait 1"),
    ),
    Screen(
        "paint-light",
        CONTROLS,
        "A painted map, with ice, a pit and a reward.",
        "E",
        theme="light",
        does=(
            "wait 4",
            "key e",
            "click brush:ice",
            "drag 2,2 to 2,3 to 2,4",
            "click brush:pit",
            "click 8,2",
            "click brush:reward",
            "click 4,9",
            "away",
            "wait 1",
        ),
    ),
    Screen(
        "drive",
        CONTROLS,
        "Driving by hand: the learner learns from these steps as from its own.",
        "M, then arrows.",
        agents=("q_learning",),
        world=LAKE,
        does=("wait 1", "key m", "key right", "key right", "key down", "key down", "key right", "wait 1"),
    ),
    Screen(
        "ghosts",
        CONTROLS,
        "After a number was changed, the arrows of before stay for a moment, faint, where they differ.",
        "Move a slider.",
        world="DiscountGrid-v0",
        does=("wait 8", "change gamma 0.4", "wait 1.2"),
    ),
    Screen(
        "ring",
        CONTROLS,
        "F6 leads a ring through all controls, arrows move what it stands on.",
        "F6",
        does=("wait 3", *["key f6"] * 14),
    ),
    Screen(
        "tip",
        CONTROLS,
        "A control says what it does when the pointer rests on it.",
        "Point at it.",
        does=("wait 3", "point layer:visits", "wait 1.2"),
        theme="light",
    ),
    Screen("scale-150", CONTROLS, "Letters and controls at 150 %.", "Ctrl +", scale=1.5, size=LARGE, does=_PINNED),
    # --- menus ---
    Screen("menu-worlds", MENUS, "All worlds; typing narrows the list.", "W", does=("wait 3", "key w")),
    Screen("menu-agents", MENUS, "All agents.", "A", does=("wait 3", "key a"), theme="light"),
    Screen(
        "menu-layers",
        MENUS,
        "All nine layers, and why some have nothing to show.",
        "More",
        does=("wait 3", "click more"),
    ),
    Screen(
        "menu-curves",
        MENUS,
        "All curves that there are of the agent.",
        "Click the title of a curve.",
        agents=("q_learning",),
        does=("wait 3", "click curve:1", "away"),
    ),
    Screen("help", MENUS, "Every key.", "F1 or ?", does=("wait 3", "key f1")),
    Screen("help-light", MENUS, "The same in the light theme.", "F1 or ?", does=("wait 3", "key f1"), theme="light"),
    # --- the past ---
    Screen(
        "menu-breakpoints",
        PAST,
        "What can be awaited; a condition can be typed as well.",
        "B",
        does=("wait 3", "key b"),
    ),
    Screen(
        "stopped",
        PAST,
        "A run that has stopped at the very sweep at which the condition first held.",
        "B",
        does=("wait 1", "key b", "type regret below 5 %", "key return", "wait 6"),
    ),
    Screen(
        "past",
        PAST,
        "Walked back on the timeline: what lies ahead is pale, diamonds are the changes that were made.",
        "Click the timeline, or comma.",
        does=(
            "wait 2",
            "change gamma 0.95",
            "wait 1.5",
            "change slip 0.11",
            "wait 2.5",
            "key space",
            "click timeline 0.4",
            "away",
        ),
    ),
    Screen(
        "hairline",
        PAST,
        "The pointer over the curves reads all of them at one count.",
        "Point at a curve.",
        agents=("q_learning",),
        does=("wait 6", "key space", "point plot:0 0.2"),
        theme="light",
    ),
    # --- agents ---
    Screen(
        "prediction",
        AGENTS,
        "An agent that predicts the values of a policy that it was given.",
        "A",
        world="SuttonBarto5x5-v0",
        agents=("td0",),
        speed=400.0,
        does=("wait 5", "key space", "click 2,2", "away", "wait 1"),
    ),
    Screen("dqn", AGENTS, "A DQN in the four rooms, with its loss.", "A", agents=("dqn",), does=("wait 12",)),
    Screen(
        "planner-windy",
        AGENTS,
        "Value iteration in a world of king's moves and gusts.",
        "W",
        world="WindyGridworldStochastic-v0",
        does=("wait 4",),
        theme="light",
    ),
    Screen(
        "items",
        AGENTS,
        "A world with keys and doors: a panel for each set of items.",
        "W",
        world="KeysAndSwitch-v0",
        does=("wait 5",),
    ),
    Screen(
        "not-a-map",
        AGENTS,
        "A world that is no map: its states in a grid, digits for the greedy actions.",
        "W",
        world="JacksCarRental-v0",
        does=("wait 4",),
    ),
    Screen(
        "watched",
        AGENTS,
        "An environment of one's own without a model shows the pictures that it renders.",
        "`rlgrid.watch(env, agent)`",
        begin=_watched,
        does=("wait 3",),
    ),
    # --- a race ---
    Screen(
        "race-two",
        RACE,
        "Q-learning and Sarsa side by side on the cliff.",
        "`python play.py --race q_learning,sarsa --world CliffWalking-v1`, or C.",
        world=CLIFF,
        agents=("q_learning", "sarsa"),
        speed=1500.0,
        does=("wait 10",),
    ),
    Screen(
        "race-differences",
        RACE,
        "What the others' values are more or less than those of the selected agent.",
        "Shift C",
        agents=("q_learning", "sarsa", "dyna_q"),
        speed=1500.0,
        theme="light",
        does=("wait 10", "key shift+c", "wait 5"),
    ),
    Screen(
        "race-disagreement",
        RACE,
        "Four agents, and where their greedy actions are other than those of the selected one.",
        "Shift C again",
        agents=("q_learning", "double_q_learning", "expected_sarsa", "dyna_q"),
        speed=2000.0,
        does=("wait 8", "key shift+c", "key shift+c", "wait 5"),
    ),
    Screen(
        "race-small",
        RACE,
        "The same in a small window: letters and dashes tell the curves apart.",
        "",
        agents=("q_learning", "double_q_learning", "expected_sarsa", "dyna_q"),
        speed=2000.0,
        size=SMALL,
        theme="light",
        does=("wait 8",),
    ),
    # --- lessons ---
    Screen("menu-lessons", LESSONS, "The lessons.", "F2", does=("wait 3", "key f2")),
    Screen(
        "lesson-value-iteration",
        LESSONS,
        "Value iteration, sweep by sweep: a question before it is shown.",
        "`python play.py --lesson value-iteration`",
        begin=_lesson("value-iteration"),
        does=("wait 0.5", "key 1", "wait 1", "key return", "wait 0.5"),
    ),
    Screen(
        "lesson-discount",
        LESSONS,
        "What the discount factor decides: the answer, and what was predicted.",
        "`python play.py --lesson discount`, and a choice.",
        begin=_lesson("discount"),
        theme="light",
        does=("wait 0.5", "key 1", "wait 8"),
    ),
    Screen(
        "lesson-slip",
        LESSONS,
        "A floor that slips: what a bridge is worth.",
        "`python play.py --lesson slip`, and a choice.",
        begin=_lesson("slip"),
        does=("wait 0.5", "key 2", "wait 8", "key return", "key 2", "wait 8"),
    ),
    Screen(
        "lesson-cliff",
        LESSONS,
        "On- against off-policy on the cliff, while it is being shown.",
        "`python play.py --lesson cliff`, and a choice.",
        begin=_lesson("cliff"),
        does=("wait 0.5", "key 1", "wait 3"),
    ),
    Screen(
        "lesson-bias",
        LESSONS,
        "Maximization bias: how often Q-learning goes left.",
        "`python play.py --lesson bias`, and a choice.",
        begin=_lesson("bias"),
        theme="light",
        does=("wait 0.5", "key 2", "wait 8"),
    ),
    Screen(
        "lesson-dyna",
        LESSONS,
        "Planning with Dyna: two episodes are enough.",
        "`python play.py --lesson dyna`, to its third scene.",
        begin=_lesson("dyna"),
        does=("wait 0.5", "key 1", "wait 1", "key return", "key 2", "wait 1", "key return", "key 2", "wait 5"),
    ),
    Screen(
        "lesson-exploration",
        LESSONS,
        "Exploration in the deep sea: what chance never finds.",
        "`python play.py --lesson exploration`, and a choice.",
        begin=_lesson("exploration"),
        does=("wait 0.5", "key 3", "wait 10"),
    ),
    Screen(
        "lesson-divergence",
        LESSONS,
        "Why a DQN diverges: values that grow of themselves.",
        "`python play.py --lesson divergence`, and a choice.",
        begin=_lesson("divergence"),
        does=("wait 0.5", "key 3", "wait 8"),
    ),
    Screen(
        "lesson-small",
        LESSONS,
        "A lesson in a small window takes the place of the inspector.",
        "",
        begin=_lesson("cliff"),
        size=SMALL,
        theme="light",
        does=("wait 0.5", "key 2", "wait 12"),
    ),
    # --- trouble ---
    Screen(
        "trouble-agent",
        TROUBLE,
        "An agent of a script has failed: why, at which line, and what can be done. The map and the numbers stay.",
        "",
        begin=_faulty,
        does=("wait 6",),
    ),
    Screen(
        "trouble-layer",
        TROUBLE,
        "A layer that this agent does not have says why.",
        "7",
        agents=("q_learning",),
        does=("wait 3", "key 7"),
        theme="light",
    ),
    Screen(
        "trouble-condition",
        TROUBLE,
        "A condition that cannot be awaited says what can be written.",
        "B, then anything.",
        does=("wait 3", "key b", "type moon", "key return", "wait 0.3"),
    ),
    # --- sizes ---
    Screen(
        "small-dark",
        SIZES,
        "800 x 600: the side panels are drawers.",
        "`--size 800x600`",
        world=CLIFF,
        agents=("q_learning",),
        size=SMALL,
        does=("wait 4",),
    ),
    Screen(
        "small-light",
        SIZES,
        "800 x 600 in the light theme.",
        "`--size 800x600 --theme light`",
        world=RUSSELL,
        size=SMALL,
        theme="light",
        does=("wait 3",),
    ),
    Screen("small-left", SIZES, "The drawer of the parameters.", "[", size=SMALL, does=("wait 3", "key [")),
    Screen(
        "small-right",
        SIZES,
        "The drawer of the inspector.",
        "]",
        size=SMALL,
        does=("wait 3.2", "key space", "click 5,9", "key ]", "away", "wait 1"),
    ),
    Screen(
        "small-right-light",
        SIZES,
        "The last update of Q-learning in the drawer.",
        "]",
        size=SMALL,
        theme="light",
        agents=("q_learning",),
        world=CLIFF,
        does=("wait 4", "key space", "click 2,5", "key ]", "away", "wait 1"),
    ),
    Screen(
        "small-paint", SIZES, "Painting in a small window.", "E", size=SMALL, does=("wait 3", "key [", "key e", "away")
    ),
    Screen(
        "large-dark",
        SIZES,
        "1920 x 1200: the map grows, text does not.",
        "`--size 1920x1200`",
        agents=("dqn",),
        size=LARGE,
        does=("wait 10", "click 5,9", "away", "wait 1"),
    ),
    Screen(
        "large-light",
        SIZES,
        "1920 x 1200 in the light theme.",
        "`--size 1920x1200 --theme light`",
        world="WindyGridworldStochastic-v0",
        size=LARGE,
        theme="light",
        does=("wait 3",),
    ),
    Screen(
        "largest-dark",
        SIZES,
        "3840 x 2160: letters and controls at 200 %.",
        "`--size 3840x2160`",
        size=LARGEST,
        does=_PINNED,
    ),
    Screen(
        "largest-light",
        SIZES,
        "3840 x 2160 in the light theme.",
        "`--size 3840x2160 --theme light`",
        size=LARGEST,
        theme="light",
        agents=("q_learning",),
        world=LAKE,
        does=("wait 5",),
        speed=50_000.0,
    ),
)
