"""What a cluster is worth: let it, train on it, or serve, at several readings of each price."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hindmost import catalog
from hindmost.analyses.forecast import RUNS, forecast
from hindmost.analyses.serving_worth import ModelWorth, models_of, request_problems, serving_worth
from hindmost.arguments import refuse
from hindmost.catalog import Accelerator
from hindmost.compiled import compile
from hindmost.engines import Progress
from hindmost.errors import Problem, ScenarioError
from hindmost.forecasted import Forecast
from hindmost.money.break_even import HOURS_PER_YEAR, Sides
from hindmost.money.equivalents import HARDWARE, Part, by_hardware
from hindmost.money.market import PUBLISHED_MFU, Market, market
from hindmost.money.ownership import Owned, owned, ownership_assumed
from hindmost.money.prices import all_of_cluster
from hindmost.money.readings import Reading, Readings, percentiles
from hindmost.money.train_or_lease import Comparison, Flip
from hindmost.scenario import Changes, Scenario, to_table, with_changes
from hindmost.scenario.change import as_changes
from hindmost.scenario.economics import Economics
from hindmost.scenario.fields import gpu_hint
from hindmost.scenario.load import load
from hindmost.scenario.some_pools import with_pools

if TYPE_CHECKING:
    import polars as pl

Numbers = NDArray[np.float64]

UNIT = "h100-sxm"
"""Type of GPU in which clusters are counted."""
HOURS_PER_DAY = 24.0
PETA = 1e15
ACCOUNT_RUNS, ACCOUNT_STEPS = 8, 100
"""Runs and steps of the whole runs that show what failures leave."""


@dataclass(frozen=True, kw_only=True)
class Worth:
    """What a cluster is worth.

    Attributes
    ----------
    inputs : dict
        All that a repetition takes, with every reading of each price and its source.
    changes : tuple of Flip
        What would change the answer, first what would within its own readings.
    lease : dict
        What letting brings a year.
    train : dict
        MFU of training on it, a PFLOP/s of model FLOPs for a day and what it costs, and what
        failures leave.
    serve : list of dict
        What it would give of each model.
    break_even : dict
        MFU, and price of letting, at which training on it costs what letting it and renting costs.
    h100_equivalents : dict
        How many H100 it stands for, by convention.
    cluster : dict
        GPUs and peaks by pool, capital and power.
    prices : list of dict
        By source, what an hour of the cluster's GPUs costs or brings, blended, and what follows: a
        year, a PFLOP/s for a day, a million tokens.
    notes, assumed : tuple of str
        What is to be known, and what is assumed.
    """

    inputs: dict[str, Any]
    changes: tuple[Flip, ...]
    lease: dict[str, Any]
    train: dict[str, Any]
    serve: list[dict[str, Any]]
    break_even: dict[str, Any]
    h100_equivalents: dict[str, Any]
    cluster: dict[str, Any]
    prices: list[dict[str, Any]]
    notes: tuple[str, ...]
    assumed: tuple[str, ...]

    @property
    def frame(self) -> pl.DataFrame:
        """`prices` as a table, one row a source."""
        import polars as pl

        return pl.DataFrame(self.rows)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """`prices` as plain rows, without what tokens cost by model."""
        return [
            {key: value for key, value in row.items() if not isinstance(value, dict)}
            for row in self.prices
        ]

    def document(self) -> dict[str, Any]:
        """Return all of it as plain tables, as ``economics --format json`` prints it."""
        names = [name for name in self.__dataclass_fields__ if name != "changes"]
        table = {name: getattr(self, name) for name in names}
        return {
            **table,
            "changes": [asdict(one) for one in self.changes],
            "notes": list(self.notes),
            "assumed": list(self.assumed),
        }


def economics(
    scenario: Scenario | str | Path,
    *,
    lease_usd_per_gpu_hour: float | None = None,
    outside_usd_per_gpu_hour: float | None = None,
    outside_mfu: float | None = None,
    outside_gpu: str | None = None,
    models: Sequence[str] | None = None,
    seed: int | None = None,
    runs: int = RUNS,
    steps: int | None = None,
    threads: int | None = None,
    changes: Changes | None = None,
    changes_from: str = "changes",
    progress: Progress | None = None,
) -> Worth:
    """Return what a cluster is worth: let it, train on it, or serve.

    Training on a cluster pays where it costs less than to let the cluster and rent others' GPUs
    for the money. That depends on prices of which there are several readings each: all of them
    count, and the answer is an interval, with what would change it.

    Parameters
    ----------
    scenario
        A scenario with a job, or a name or path that `load` takes; its [economics] holds what is
        not given here.
    lease_usd_per_gpu_hour
        US dollars that an hour of one of its GPUs is let for, all types together.
    outside_usd_per_gpu_hour, outside_gpu, outside_mfu
        US dollars for an hour of a rented GPU, its type (``h100-sxm`` by default), and the MFU of
        training on it.
    models
        Models that the cluster would serve.
    seed, runs, steps, threads
        As in `forecast`, which gives the MFU of training.
    changes
        Key paths and their new values, laid over the scenario.
    changes_from
        Name of the changes in problems.
    progress
        Called with the runs that are done and all of them.

    Raises
    ------
    ScenarioError
        With every problem of the scenario or the call; among them prices that nobody has published
        and that are not given.

    Notes
    -----
    The MFU at which both cost the same is ``n p_lease m_out peak_out / (p_out peak_cluster)``,
    with the peaks of ``workload.mfu_dtype``. Each reading of a price is as good as any other, and
    a range is anywhere within itself; percentiles are over all combinations, with all draws of the
    forecast.

    Examples
    --------
    >>> import hindmost as hm
    >>> found = hm.economics(
    ...     "colossus-1",
    ...     lease_usd_per_gpu_hour=2.60,
    ...     outside_usd_per_gpu_hour=2.35,
    ...     outside_mfu=0.459,
    ...     models=[],
    ...     seed=1,
    ...     runs=8,
    ...     steps=20,
    ... )
    >>> round(found.break_even["mfu"]["at_values"], 3)
    0.446
    """
    given = {
        "lease_usd_per_gpu_hour": lease_usd_per_gpu_hour,
        "outside_usd_per_gpu_hour": outside_usd_per_gpu_hour,
        "outside_mfu": outside_mfu,
        "outside_gpu": outside_gpu,
        "models": None if models is None else list(models),
    }
    laid = {f"economics.{key}": value for key, value in given.items() if value is not None}
    laid = {**as_changes(changes, changes_from), **laid}
    if isinstance(scenario, Scenario):
        loaded = with_changes(scenario, laid, changes_from=changes_from)
    else:
        loaded = load(scenario, laid, changes_from=changes_from)
    size = {"seed": seed, "runs": runs, "steps": steps, "threads": threads}
    return worth(loaded, size=size, progress=progress)


def worth(scenario: Scenario, *, size: Mapping[str, Any], progress: Progress | None) -> Worth:
    """Return what the cluster of a scenario is worth.

    Parameters
    ----------
    scenario
        The scenario.
    size
        Arguments of `forecast`: seed, runs, steps and threads.
    progress
        Called with the runs that are done and all of them.
    """
    table = scenario.economics or Economics()
    found = list(_gpu_problems(scenario, table))
    refuse([replace(one, source=scenario.source) for one in found])
    rented = _rented(scenario, table)
    over_bf16 = _peak(rented, scenario) / rented.peak_bf16_flop_per_s
    prices, found = market(table, _by_type(scenario), peak_over_bf16=over_bf16)
    found += request_problems(scenario)
    refuse([replace(one, source=scenario.source) for one in found])
    assert prices is not None
    trained = forecast(scenario, progress=progress, **size)
    own = _Trained.of(scenario, trained)
    compared = Comparison(sides=_sides(scenario, table), market=prices, mfu=own.mfu)
    alone, of_alone = _alone(scenario, {**size, "seed": trained.inputs["seed"]})
    # What an H100 reaches says nothing of another type.
    own_software = _with(alone, compared) if table.outside_gpu == UNIT else None
    models, of_models = serving_worth(scenario, models_of(scenario, table.models), UNIT)
    owner = owned(_by_type(scenario), table)
    return Worth(
        inputs={
            "scenario": to_table(scenario),
            **{key: trained.inputs[key] for key in ("seed", "runs", "steps", "stack", "version")},
            "outside_gpu": table.outside_gpu,
            "lease_usd_per_gpu_hour": prices.lease.documents(),
            "outside_usd_per_gpu_hour": prices.outside.documents(),
            "outside_mfu": prices.outside_mfu.documents(),
        },
        changes=compared.flips(),
        lease=_lease(prices.lease, compared.sides),
        train=_train(scenario, own, compared, owner, size.get("threads")),
        serve=[one.document(prices.lease.at) for one in models],
        break_even={**compared.break_even(), "with_own_software": own_software},
        h100_equivalents=_equivalents(scenario, own, alone, models),
        cluster=_cluster(scenario, owner),
        prices=_by_source(scenario, table, compared, owner, models),
        notes=(*of_alone, *of_models, *_of_readings(prices)),
        assumed=tuple(_assumed(scenario, table, models)),
    )


def _of_readings(prices: Market) -> Iterator[str]:
    """Yield what is to be known of prices of which there is one reading, though none was given."""
    for words, readings in (("letting", prices.lease), ("renting", prices.outside)):
        (first, *others) = readings.readings
        if not others and first.whose != "given":
            yield f"One source has a price of {words}: {first.name}."


def _by_type(scenario: Scenario) -> dict[str, int]:
    found: dict[str, int] = {}
    for pool in scenario.pools.values():
        found[pool.gpu] = found.get(pool.gpu, 0) + pool.n_gpus
    return found


def _rented(scenario: Scenario, table: Economics) -> Accelerator:
    """Return the type of GPU that is rented: the scenario's own, or the catalogue's."""
    name = table.outside_gpu
    return scenario.gpus[name] if name in scenario.gpus else catalog.gpu(name)


def _gpu_problems(scenario: Scenario, table: Economics) -> Iterator[Problem]:
    dtype, name, path = scenario.workload.mfu_dtype, table.outside_gpu, "economics.outside_gpu"
    known = [*scenario.gpus, *catalog.names("gpus")]
    if name not in known:
        hint = gpu_hint(name, known)
        requirement = "must be one of the catalogue's gpus or the scenario's"
        yield Problem(path=path, requirement=requirement, value=name, hint=hint)
    elif _rented(scenario, table).peak_flop_per_s(dtype) is None:
        requirement = f"must have a peak in {dtype} (workload.mfu_dtype)"
        yield Problem(path=path, requirement=requirement, value=name)


def _peak(gpu: Accelerator, scenario: Scenario) -> float:
    peak = gpu.peak_flop_per_s(scenario.workload.mfu_dtype)
    assert peak is not None
    return peak


def _sides(scenario: Scenario, table: Economics) -> Sides:
    return Sides(
        n_gpus=sum(_by_type(scenario).values()),
        peak_flop_per_s=_peak_of_all(scenario),
        outside_peak_flop_per_s=_peak(_rented(scenario, table), scenario),
    )


def _peak_of_all(scenario: Scenario) -> float:
    pools = scenario.pools.values()
    return sum(pool.n_gpus * _peak(pool.accelerator, scenario) for pool in pools)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Trained:
    """What a job on a cluster comes to.

    Attributes
    ----------
    forecast : Forecast
        Its forecast.
    mfu : array
        MFU of all GPUs, by draws: those that are held back or fill no replica count, too.
    flop_per_s : array
        Model FLOPs a second, by draws.
    """

    forecast: Forecast
    mfu: Numbers
    flop_per_s: Numbers

    @classmethod
    def of(cls, scenario: Scenario, made: Forecast) -> _Trained:
        """Return what a forecast of a scenario comes to on all of its GPUs."""
        flop_per_s = np.array(made.mfu) * compile(scenario).plan.peak_flop_per_s
        return cls(forecast=made, mfu=flop_per_s / _peak_of_all(scenario), flop_per_s=flop_per_s)


@dataclass(frozen=True, kw_only=True)
class _Alone:
    """The job on the pools of one type of GPU alone.

    Attributes
    ----------
    n_gpus : int
        GPUs of these pools.
    trained : _Trained
        What it comes to there.
    """

    n_gpus: int
    trained: _Trained


def _alone(scenario: Scenario, size: Mapping[str, Any]) -> tuple[_Alone | None, list[str]]:
    """Return the job on the cluster's H100 alone, or why there is none."""
    names = [name for name, pool in scenario.pools.items() if pool.gpu == UNIT]
    if not names:
        return None, [f"No pool of {UNIT}: its equivalents in training are not known."]
    try:
        some = with_pools(scenario, names)
    except ScenarioError as error:
        why = f"{error.problems[0].path} {error.problems[0].requirement}"
        return None, [f"The job does not run on {UNIT} alone: {why}."]
    made = _Trained.of(some, forecast(some, **size))
    return _Alone(n_gpus=sum(_by_type(some).values()), trained=made), []


def _with(alone: _Alone | None, compared: Comparison) -> dict[str, float] | None:
    """Return where both cost the same if rented H100 train with the cluster's own software."""
    if alone is None:
        return None
    lease, outside, _ = compared.at_prices
    outside_mfu = float(np.median(alone.trained.mfu))
    sides = compared.sides
    return {
        "outside_mfu": outside_mfu,
        "mfu": sides.mfu(lease, outside, outside_mfu),
        "lease_usd_per_gpu_hour": sides.lease(compared.at_mfu, outside, outside_mfu),
    }


def _lease(lease: Readings, sides: Sides) -> dict[str, Any]:
    hours = sides.n_gpus * HOURS_PER_YEAR
    return {
        "usd_per_gpu_hour": lease.at,
        "usd_per_year": lease.at * hours,
        "usd_per_year_over_readings": percentiles(lease.values() * hours),
    }


def _pflop_day(usd_per_gpu_hour: float, compared: Comparison) -> float:
    """Return what a PFLOP/s of model FLOPs for a day costs on the cluster."""
    sides = compared.sides
    usd_per_day = usd_per_gpu_hour * sides.n_gpus * HOURS_PER_DAY
    return usd_per_day / (sides.flop_per_s(compared.at_mfu) / PETA)


def _train(
    scenario: Scenario, own: _Trained, compared: Comparison, owner: Owned, threads: int | None
) -> dict[str, Any]:
    lease, outside, outside_mfu = compared.at_prices
    sides, document = compared.sides, own.forecast.document()
    rented_flop_per_s = outside_mfu * sides.outside_peak_flop_per_s
    of_owner = sum(owner.usd_per_gpu_hour.values())
    return {
        "mfu": document["mfu"],
        "mfu_std_error": document["std_error"]["mfu"],
        "mfu_of_all_gpus": percentiles(own.mfu),
        "pflop_per_s": sides.flop_per_s(compared.at_mfu) / PETA,
        "usd_per_pflop_day": {
            "at_lease": _pflop_day(lease, compared),
            "at_own_cost": _pflop_day(of_owner, compared) if of_owner else None,
            "outside": outside * HOURS_PER_DAY / (rented_flop_per_s / PETA),
        },
        "outside_usd_per_year": sides.rent_per_year(compared.at_mfu, outside, outside_mfu),
        "account": _account(scenario, document["mfu"]["p50"], own.forecast.inputs["seed"], threads),
    }


def _account(
    scenario: Scenario, mfu: float, seed: int, threads: int | None
) -> dict[str, float] | None:
    """Return what failures leave, if anything fails: S and R at the scenario's own values.

    Steps take longer in a forecast, so that slightly more of them are lost there. The fleet MFU is
    that of the forecast.
    """
    if not scenario.enabled_failures:
        return None
    size: dict[str, Any] = {"runs": ACCOUNT_RUNS, "steps": ACCOUNT_STEPS}
    found = compile(scenario).simulate(seed=seed, threads=threads, **size).account
    assert found is not None
    return {"S": found.S, "R": found.R, "fleet_mfu_at_forecast": found.S * found.R * mfu}


def _cluster(scenario: Scenario, owner: Owned) -> dict[str, Any]:
    return {
        "n_gpus": sum(_by_type(scenario).values()),
        "pools": [
            {
                "pool": name,
                "gpu": pool.gpu,
                "n_gpus": pool.n_gpus,
                "peak_flop_per_s": _peak(pool.accelerator, scenario),
            }
            for name, pool in scenario.pools.items()
        ],
        "capital_usd": owner.capital_usd,
        "power_w": owner.power_w,
    }


def _by_source(
    scenario: Scenario,
    table: Economics,
    compared: Comparison,
    owner: Owned,
    models: Sequence[ModelWorth],
) -> list[dict[str, Any]]:
    """Return what each source's price of the cluster's GPU-hours comes to."""
    readings = list(all_of_cluster(table.leases, _by_type(scenario)))
    if table.lease_usd_per_gpu_hour is not None:
        readings += compared.market.lease.readings
    if owner.usd_per_gpu_hour:
        usd, what = sum(owner.usd_per_gpu_hour.values()), ", ".join(owner.usd_per_gpu_hour)
        readings.append(
            Reading(name="parts", whose="own cost", date="", low=usd, high=usd, where=what)
        )
    hours = compared.sides.n_gpus * HOURS_PER_YEAR
    return [
        {
            **one.document(),
            "usd_per_gpu_hour": one.middle,
            "usd_per_year": one.middle * hours,
            "usd_per_pflop_day": _pflop_day(one.middle, compared),
            "usd_per_million_tokens": {each.model: each.cost(one.middle) for each in models},
        }
        for one in readings
    ]


def _equivalents(
    scenario: Scenario, own: _Trained, alone: _Alone | None, models: Sequence[ModelWorth]
) -> dict[str, Any]:
    parts = [Part(gpu=pool.accelerator, n_gpus=pool.n_gpus) for pool in scenario.pools.values()]
    training = None
    if alone is not None:
        # Draws of both have the same numbers, so that they are paired.
        one = alone.trained.flop_per_s / alone.n_gpus
        training = percentiles(own.flop_per_s / one)
    return {
        **by_hardware(parts, catalog.gpu(UNIT)),
        "training": None if training is None else training["p50"],
        "training_over_draws": training,
        "serving": {one.model: one.equivalents for one in models},
        "serving_fp4": {one.model: one.equivalents_fp4 for one in models},
        "conventions": {
            **{name: f"by {words}" for name, (_, words) in HARDWARE.items()},
            "training": "by model FLOPs a second of the one job on all GPUs, over those of an H100 "
            "in the same job on the cluster's H100 alone",
            "serving": "by tokens of answers a second, with weights in one format on all GPUs",
            "serving_fp4": "by tokens of answers a second, with weights in FP4 on GPUs that "
            "compute in it",
        },
    }


def _assumed(scenario: Scenario, table: Economics, models: Sequence[ModelWorth]) -> Iterator[str]:
    for path, basis in scenario.basis.items():
        if basis.kind == "assumed":
            yield f"{path}: {basis.where}"
    if table.outside_mfu is None:
        (one,) = PUBLISHED_MFU.readings
        of = "" if table.outside_gpu == UNIT else f", on {table.outside_gpu} as on H100"
        yield f"MFU on rented GPUs: that of {one.where}, whatever they train{of}"
    yield from ownership_assumed(_by_type(scenario))
    yield from dict.fromkeys(what for one in models for what in one.served.assumed)
