"""What a search tries next: all of a grid, values at random, or what the trials so far make likely to be good.

    grid    every combination
    random  each value drawn by itself (Bergstra and Bengio, 2012, "Random search for hyper-parameter optimization")
    tpe     the tree-structured Parzen estimator (Bergstra et al., 2011, "Algorithms for hyper-parameter optimization")
            of Optuna, over all arguments together; needs the extra ``tune``

Trial k is drawn from a generator of its own, seeded with the study's seed and k, and no setting comes twice. So a
study that goes on draws what it would have drawn. TPE is told of the trials that are over, and takes those that are
under way for bad ones (Ginsbourger et al.'s constant liar), so that they are not all the same.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from rlgrid.runs import run_key
from rlgrid.space import Choice, Params, Space, grid_of, size_of
from rlgrid.study import Study, StudyPlan, Trial

STARTUP = 10  # trials that TPE draws at random
TRIES = 20  # of TPE for a setting that is new
DRAWS = 10_000  # at random for one: so many settings have none that is new


class Sampler:
    """Proposes the trials of a study, in the order of their numbers.

    Args:
        plan: of the study. space: as the plan's.
    """

    def __init__(self, plan: StudyPlan, space: Space) -> None:
        self._plan, self._space = plan, space
        self._grid = grid_of(space, plan.grid_points) if plan.sampler == "grid" else []
        self._seen: dict[str, int] = {}

    def propose(self, number: int, over: Sequence[Trial], under_way: Sequence[Params]) -> Params:
        """What trial ``number`` tries, where these trials are over and these others are under way."""
        if self._plan.sampler == "grid":
            return self._grid[number]
        if self._plan.sampler == "random":
            found = self._random(number)
        else:
            found = self._likely(number, over, under_way)
        return self.note(number, found)

    def note(self, number: int, params: Params) -> Params:
        """Remember what a trial tries, so that no other does."""
        self._seen.setdefault(run_key(params), number)
        return params

    def _random(self, number: int) -> Params:
        generator = np.random.default_rng([self._plan.seed, number])
        for _ in range(DRAWS):
            found = {name: one.at(generator.random()) for name, one in self._space.items()}
            if run_key(found) not in self._seen:
                break
        return found

    def _likely(self, number: int, over: Sequence[Trial], under_way: Sequence[Params]) -> Params:
        library = optuna()
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
        from optuna.trial import TrialState, create_trial

        distributions: dict[str, Any] = {}
        for name, one in self._space.items():
            if isinstance(one, Choice):
                distributions[name] = CategoricalDistribution(range(len(one.values)))
            elif one.whole:
                distributions[name] = IntDistribution(int(one.low), int(one.high), one.log, int(one.step or 1))
            else:
                distributions[name] = FloatDistribution(one.low, one.high, one.log, one.step)

        sign = Study(self._plan, ()).sign
        states = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that parts of it are new
            study = library.create_study()
            for trial in over:
                curve = [math.inf if math.isnan(value) else value for value in (sign * trial.curve).tolist()]
                study.add_trial(
                    create_trial(
                        state=states[trial.state],
                        params=self._numbers(trial.params),
                        distributions=distributions,
                        value=curve[-1] if trial.state == "complete" else None,
                        intermediate_values=dict(zip(self._plan.points, curve, strict=False)),
                    )
                )
            for params in under_way:
                given = self._numbers(params)
                study.add_trial(create_trial(state=TrialState.RUNNING, params=given, distributions=distributions))
            for attempt in range(TRIES):
                words = np.random.SeedSequence([self._plan.seed, number, attempt]).generate_state(1)
                study.sampler = library.samplers.TPESampler(
                    n_startup_trials=STARTUP, multivariate=True, constant_liar=True, seed=int(words[0])
                )
                asked = study.ask(distributions)
                found = self._values(asked.params)
                if run_key(found) not in self._seen:
                    return found
                study.tell(asked, state=TrialState.FAIL)
        return self._random(number)

    def _numbers(self, params: Params) -> Params:
        """Values as Optuna has them: the number of a choice."""
        return {
            name: [run_key({"": known}) for known in one.values].index(run_key({"": params[name]}))
            if isinstance(one, Choice)
            else params[name]
            for name, one in self._space.items()
        }

    def _values(self, numbers: Params) -> Params:
        return {
            name: one.values[numbers[name]] if isinstance(one, Choice) else one.fit(numbers[name])
            for name, one in self._space.items()
        }


def most_trials(sampler: str, space: Space, grid_points: int) -> float:
    """How many settings there are to try; infinite where they never end."""
    return len(grid_of(space, grid_points)) if sampler == "grid" else size_of(space)


def optuna() -> Any:
    """Optuna, silent.

    Raises:
        ImportError: if it is not installed, saying how it is.
    """
    try:
        import optuna as library
    except ImportError as error:
        raise ImportError('the sampler tpe needs Optuna: python -m pip install "rlgrid[tune]"') from error
    library.logging.set_verbosity(library.logging.ERROR)
    return library
