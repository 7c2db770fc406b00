"""Software stacks: what the families of each kind of software reach, and what that predicts.

Each family's smallest scale says which software efficiency makes the simulated step the published
one, with all else as the stack has it. The catalogue's laws are those of all families; a family is
predicted from the others alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import stats

import hindmost as hm
from hindmost.compiled import Compiled
from hindmost.scenario import Scenario, from_table, to_table
from hindmost.scenario.stack import classes_of
from tests.validation.families import Family, Row, bloom, by_name, families
from tests.validation.fitting import SEED, Fit, figure, scenario
from tests.validation.recipes import recipes

RUNS, STEPS = 16, 5
MIDDLE = 0.85
"""Software efficiency at which it is found how much variation adds to a step."""

LEAST_FAMILIES = 3
"""Families that a class must have for a factor of its own."""
KINDS, FORMATS = ("dense", "experts"), ("bf16", "fp8")
"""Classes that may have factors, in the order in which they explain what is left."""
PRIOR = 1.0
"""Families of the pooled law that a class is shrunk by."""

END = 0.95
"""Probability of the upper end of a 90% interval."""

COSTS = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Costs of hiding that are tried, between which the best one is found."""
SENSITIVE = 1e-3
"""Curvature of a family's squared deviations, in the cost of hiding, from which it says what the
cost is."""


@dataclass(frozen=True, kw_only=True)
class Law:
    """The lognormal law of a software efficiency: its mean logarithm, and factors of classes."""

    mean: float
    factors: dict[str, float]

    def log_of(self, classes: Iterable[str]) -> float:
        """Return the mean logarithm of some classes."""
        return self.mean + sum(math.log(self.factors.get(name, 1.0)) for name in classes)


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """A family, predicted from the others."""

    family: Family
    stack: str
    found: float
    """The software efficiency of its own smallest scale."""
    expected: float
    """That of the other families."""
    errors: tuple[float, ...]
    """Errors of its rows, smallest scale first, as shares of the published figures."""
    low: float
    high: float
    """The 90% interval of the smallest scale's figure, over the published one."""

    @property
    def is_covered(self) -> bool:
        """Whether the published figure of the smallest scale is within the interval."""
        return self.low <= 1 <= self.high

    @property
    def half_width(self) -> float:
        """Half the width of the interval, over its middle."""
        return (self.high - self.low) / (self.high + self.low)

    @property
    def worst(self) -> float:
        """The error that is greatest by size."""
        return max(self.errors, key=abs)


def tuned() -> tuple[Family, ...]:
    """Return the families of benchmark recipes on GPUs."""
    return tuple(family for family in recipes() if family.rows[0].stack == "tuned")


def typical() -> tuple[Family, ...]:
    """Return the families of Megatron-LM's baselines, and BLOOM."""
    megascale = ("megascale-768", "megascale-6144", "megascale-530b")
    megatron = ("megatron-shapes", "ptd-p-174.6b", "ptd-p-529.6b")
    return (*(by_name(name) for name in (*megascale, *megatron)), bloom())


TRAINED = {"tuned": tuned, "typical": typical}
"""Families that a stack's law is of, by its name."""


def predicted() -> tuple[Family, ...]:
    """Return all families that are predicted: those of the stacks, and some of other software."""
    mlperf = (by_name(name) for name in ("eos", "eos-v4.0", "eos-v4.1"))
    return (*tuned(), *mlperf, *typical(), by_name("llama"))


def stack_of(family: Family) -> str:
    """Return the stack that a family's software is like."""
    return family.rows[0].stack


@cache
def job(row: Row, stack: str, hidden_cost: float | None = None) -> Scenario:
    """Return the scenario of a row, with the numbers of a stack and none that is fitted."""
    table = to_table(scenario(row, Fit(kernel_efficiency=0.5, overhead_s=0.0)))
    del table["pools"]["gpus"]["kernel_efficiency"]
    table["workload"]["stack"] = stack
    if hidden_cost is not None:
        table["collective"]["hidden_cost"] = hidden_cost
    return from_table(table, "validation")


@cache
def _variation(row: Row, stack: str, statistic: str) -> float:
    """Return a row's step over its step without any cause."""
    one = job(row, stack)
    result = hm.simulate(
        one,
        changes={"pools.gpus.software_efficiency": MIDDLE},
        seed=SEED,
        runs=RUNS,
        steps=STEPS,
    )
    return result.value("step_time_s", statistic) / _noiseless(row, stack, None)(MIDDLE)


class _Noiseless:
    """Seconds of a row's step without any cause, by the software efficiency.

    Compute is in proportion to one over it, and nothing else depends on it, so that two
    efficiencies give all others, above 1, too.
    """

    def __init__(self, one: Scenario) -> None:
        whole_s, half_s = _step_s(one, 1.0), _step_s(one, 0.5)
        self.compute_s = half_s - whole_s
        self.rest_s = whole_s - self.compute_s

    def __call__(self, efficiency: float) -> float:
        return self.rest_s + self.compute_s / efficiency

    def efficiency_for(self, step_s: float) -> float:
        """Return the efficiency with which the step takes so long."""
        return self.compute_s / (step_s - self.rest_s)


def _step_s(one: Scenario, efficiency: float) -> float:
    changes = {"pools.gpus.software_efficiency": efficiency}
    return Compiled(hm.scenario.with_changes(one, changes)).plan.noiseless_step_s


@cache
def _noiseless(row: Row, stack: str, hidden_cost: float | None) -> _Noiseless:
    return _Noiseless(job(row, stack, hidden_cost))


def efficiency(family: Family, row: Row, hidden_cost: float | None = None) -> float:
    """Return the software efficiency that makes a row's simulated step the published one."""
    stack = stack_of(family)
    published_s = figure(job(row, stack), family.unit, row.published)
    without_causes_s = published_s / _variation(row, stack, family.statistic)
    return _noiseless(row, stack, hidden_cost).efficiency_for(without_causes_s)


def _first(family: Family) -> float:
    """Return the logarithm of the efficiency of a family's smallest scale.

    Of models that are all of different sizes, that of them all.
    """
    rows = sorted(family.rows, key=lambda row: row.n_gpus)
    own = rows if len({row.model for row in rows}) > 1 else rows[:1]
    return float(np.mean([math.log(efficiency(family, row)) for row in own]))


@cache
def classes(family: Family) -> tuple[str, ...]:
    """Return the classes of a family's jobs."""
    one = job(family.rows[0], stack_of(family))
    return classes_of(one, one.pools["gpus"])


def law(
    others: Sequence[Family],
    every: Sequence[Family],
    *,
    logs: Mapping[str, float] | None = None,
) -> Law:
    """Return the law of some families.

    Parameters
    ----------
    others
        The families that it is of.
    every
        All families of the stack: a class has a factor if it has enough of these.
    logs
        Logarithms of efficiencies, by the name of a family; those of the stack by default.
    """
    of = {family.name: _first(family) for family in others} if logs is None else logs
    left = {family.name: of[family.name] for family in others}
    mean = float(np.mean(list(left.values())))
    left = {name: value - mean for name, value in left.items()}
    factors: dict[str, float] = {}
    for group in (KINDS, FORMATS):
        if len({name for family in others for name in classes(family) if name in group}) < 2:
            continue
        effects = {}
        for name in group:
            own = [family for family in others if name in classes(family)]
            if not own or sum(name in classes(family) for family in every) < LEAST_FAMILIES:
                continue
            of_class = float(np.mean([left[family.name] for family in own]))
            effects[name] = len(own) / (len(own) + PRIOR) * of_class
        for family in others:
            left[family.name] -= sum(effects.get(name, 0.0) for name in classes(family))
        factors |= {name: math.exp(effect) for name, effect in effects.items()}
    return Law(mean=mean, factors=factors)


def sigma(stack: str) -> float:
    """Return the scatter of single jobs: what each family is off the law of the others."""
    return _scatter([_first(family) - _expected(family) for family in TRAINED[stack]()])


def sigma_elsewhere() -> float:
    """Return the scatter of jobs whose classes say nothing: the same without any factors."""
    logs = np.array([_first(family) for family in tuned()])
    of_others = (logs.sum() - logs) / (len(logs) - 1)
    return _scatter(list(logs - of_others))


def scatter_with_overlap(share: float) -> float:
    """Return the scatter of tuned software with another share of tensor groups' exchange hidden."""
    every = tuned()
    logs = {}
    for family in every:
        row = min(family.rows, key=lambda row: row.n_gpus)
        one = job(row, "tuned")
        changed = hm.scenario.with_changes(one, {"workload.tensor_overlap_fraction": share})
        published_s = figure(one, family.unit, row.published)
        step_s = published_s / _variation(row, "tuned", family.statistic)
        logs[family.name] = math.log(_Noiseless(changed).efficiency_for(step_s))
    misses = []
    for family in every:
        others = [other for other in every if other.name != family.name]
        expected = law(others, every, logs=logs).log_of(classes(family))
        misses.append(logs[family.name] - expected)
    return _scatter(misses)


def measured_classes(stack: str) -> set[str]:
    """Return the classes of a stack's families."""
    return {name for family in TRAINED[stack]() for name in classes(family)}


def _scatter(misses: Sequence[float]) -> float:
    """Return the sigma of the normal law whose 90% interval is that of as many misses.

    Their root mean square, widened as Student's t is wider than the normal law.
    """
    wider = stats.t.ppf(END, len(misses) - 1) / stats.norm.ppf(END)
    return float(wider * np.sqrt(np.mean(np.square(misses))))


def _expected(family: Family) -> float:
    every = TRAINED[stack_of(family)]()
    others = [other for other in every if other.name != family.name]
    return law(others, every).log_of(classes(family))


@cache
def predict(family: Family) -> Prediction:
    """Return the prediction of a family from the others, with the cost of hiding that they have."""
    stack = stack_of(family)
    expected = min(1.0, math.exp(_expected(family)))
    cost = round(cost_of_hiding([other for other in sloped() if other.name != family.name]), 2)

    def error(row: Row) -> float:
        step_s = _noiseless(row, stack, cost)(expected) * _variation(row, stack, family.statistic)
        return figure(job(row, stack), family.unit, step_s) / row.published - 1

    rows = sorted(family.rows, key=lambda row: (row.n_gpus, row.seq_len))
    low, high = _interval(family, rows[0])
    return Prediction(
        family=family,
        stack=stack,
        found=math.exp(_first(family)),
        expected=expected,
        errors=tuple(map(error, rows)),
        low=low,
        high=high,
    )


def _interval(family: Family, row: Row) -> tuple[float, float]:
    """Return both ends of a row's forecast by the laws of the others, over its published figure."""
    stack = stack_of(family)
    every = TRAINED[stack]()
    others = [other for other in every if other.name != family.name]
    misses = []
    for other in others:
        rest = [one for one in others if one.name != other.name]
        misses.append(_first(other) - law(rest, every).log_of(classes(other)))
    is_measured = {*classes(family)} <= {name for one in others for name in classes(one)}
    of_software = {
        "name": "lognormal",
        "median": math.exp(_expected(family)),
        "sigma": _scatter(misses) if is_measured else sigma_elsewhere(),
        "cap": 1.0,
    }
    table = to_table(job(row, stack))
    table["unknowns"]["pools.gpus.software_efficiency"] = of_software
    one = from_table(table, "validation")
    found = hm.forecast(one, seed=SEED, steps=STEPS)
    ends = [figure(one, family.unit, found.value("step_time_s", end)) for end in ("p5", "p95")]
    low, high = sorted(end / row.published for end in ends)
    return low, high


def sloped() -> list[Family]:
    """Return the families whose rows differ in scale alone, with three scales or more."""
    return [
        family
        for family in (*tuned(), by_name("eos"))
        if len({row.n_gpus for row in family.rows}) >= LEAST_FAMILIES
    ]


@cache
def _deviations(family: Family) -> tuple[float, ...]:
    """Return the squared deviations of a family's efficiencies over its rows, by cost of hiding.

    With the right cost a family has the same efficiency at all scales.
    """
    found = []
    for cost in COSTS:
        logs = np.log([efficiency(family, row, cost) for row in family.rows])
        found.append(float(np.sum((logs - logs.mean()) ** 2)))
    return tuple(found)


def curvature(family: Family) -> float:
    """Return how much a family's rows say of the cost of hiding."""
    return float(np.polyfit(COSTS, _deviations(family), 2)[0])


def cost_of_hiding(of: Sequence[Family]) -> float:
    """Return the cost with which the efficiencies of some families change least with scale."""
    together = np.sum([_deviations(family) for family in of], axis=0)
    square, slope, _ = np.polyfit(COSTS, together, 2)
    return float(-slope / (2 * square))


def range_of_costs() -> tuple[float, float]:
    """Return the least and the greatest cost among families that say what theirs is, 1 at most."""
    costs = [cost_of_hiding([one]) for one in sloped() if curvature(one) > SENSITIVE]
    return min(costs), min(1.0, max(costs))


def every_family() -> tuple[Family, ...]:
    """Return all families that have predicted rows."""
    return (*families(), *recipes())
