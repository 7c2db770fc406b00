"""Causes of a job from its log: `fit`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hindmost.arguments import available_threads
from hindmost.compiled import Compiled, scenario_of
from hindmost.engines import Progress
from hindmost.errors import Problem, ScenarioError
from hindmost.files import check_writable
from hindmost.files import replace as write_file
from hindmost.fitting.against_log import LogComparison, held_against
from hindmost.fitting.base import as_written, lay_over
from hindmost.fitting.causes import causes_of
from hindmost.fitting.estimate import Estimate
from hindmost.fitting.few_steps import FEWEST_RANKS, check_steps, warnings_of
from hindmost.fitting.job_model import fit_job
from hindmost.fitting.laws import LawChoice
from hindmost.fitting.log_steps import LogSteps, log_steps
from hindmost.fitting.rank_model import fit_ranks
from hindmost.fitting.text import toml_text
from hindmost.notebook import Cells, shown
from hindmost.scenario import Scenario

if TYPE_CHECKING:
    import polars as pl

NODE_GPUS = 8
"""GPUs of a node where nothing says how many."""
SUFFIXES = (".toml",)


@dataclass(frozen=True, kw_only=True)
class Fit:
    """Causes of a job, fitted to its log.

    Attributes
    ----------
    origin : str
        What it was fitted to.
    table : dict
        A scenario, as `load` takes it from a file; without a base a layer of causes to be laid
        over one.
    scenario : Scenario or None
        The scenario; None without a base.
    estimates : tuple of Estimate
        Numbers that the log determines, with their errors.
    adjusted : tuple of Estimate
        Numbers of the base that were fitted, so that its median is that of the log.
    laws : tuple of LawChoice
        Laws that were compared, with how they did on what was held out.
    comparison : LogComparison or None
        The scenario beside the log; None without a base.
    notes : tuple of str
        What was left out, what cannot be told, and why.
    warnings : tuple of str
        Why errors are wide.
    n_steps, n_ranks, n_restarts : int
        Of the log; 0 ranks where it is of the whole job.
    seed : int
        Seed of draws and simulations.
    """

    origin: str
    table: dict[str, Any]
    scenario: Scenario | None
    estimates: tuple[Estimate, ...]
    adjusted: tuple[Estimate, ...]
    laws: tuple[LawChoice, ...]
    comparison: LogComparison | None
    notes: tuple[str, ...]
    warnings: tuple[str, ...]
    n_steps: int
    n_ranks: int
    n_restarts: int
    seed: int

    def _repr_html_(self) -> str:
        """Return what a notebook shows: numbers, and the scenario beside the log."""
        keys = ("name", "unit", "value", "std_error", "low", "high")
        rows = [[row[key] for key in keys] for row in self.rows]
        tables = [Cells(keys, rows)]
        if self.comparison is not None:
            held = self.comparison.rows
            tables.append(Cells(list(held[0]), [list(row.values()) for row in held]))
        return shown(f"Causes of {self.origin}", *tables)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """All numbers, one row each."""
        return [asdict(one) for one in (*self.estimates, *self.adjusted)]

    @property
    def frame(self) -> pl.DataFrame:
        """`rows` as a table."""
        import polars as pl

        return pl.DataFrame(self.rows)

    @property
    def toml(self) -> str:
        """The scenario, or the layer, as the text of a TOML file.

        Raises
        ------
        ScenarioError
            If tomli-w is not installed.
        """
        of = f"{self.n_steps:,} steps"
        if self.n_ranks:
            of += f" of {self.n_ranks:,} ranks"
        head = [f"Fitted to {self.origin}: {of}."]
        if self.scenario is None:
            head.append(
                'Causes to be laid over a scenario: extends = ["my-job.toml", "this.toml"].'
            )
        return toml_text(self.table, [*head, *self.notes])

    def estimate(self, name: str) -> Estimate:
        """Return one number; raises KeyError if there is none."""
        for one in (*self.estimates, *self.adjusted):
            if one.name == name:
                return one
        raise KeyError(name)

    def write(self, path: str | Path) -> None:
        """Write the scenario, or the layer, to a TOML file.

        Raises
        ------
        ScenarioError
            If there can be no such file, or tomli-w is not installed.
        OutputError
            If writing fails; an existing file stays as it was.
        """
        path = Path(path)
        check_writable(path, SUFFIXES)
        write_file(path, memoryview(self.toml.encode()))

    def document(self) -> dict[str, Any]:
        """Return the fit as plain tables, as ``fit --format json`` prints it."""
        return {
            "inputs": {"origin": self.origin, "seed": self.seed},
            "log": {
                "steps": self.n_steps,
                "ranks": self.n_ranks,
                "restarts": self.n_restarts,
            },
            "estimates": self.rows,
            "laws": [asdict(one) for one in self.laws],
            "comparison": None if self.comparison is None else self.comparison.document(),
            "notes": list(self.notes),
            "warnings": list(self.warnings),
            "scenario": self.table,
        }


def fit(
    log: pl.DataFrame,
    base: Scenario | str | Path | None = None,
    *,
    node_gpus: int | None = None,
    origin: str = "a log",
    seed: int = 0,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Fit:
    """Return the causes of a job from its log.

    Parameters
    ----------
    log
        What `read_log` returned: steps of the whole job, or times of each rank.
    base
        Scenario of the job, or a name or path that `load` takes: cluster, model and layout. Its
        causes are replaced by those of the log, as far as the log tells them, and its software
        efficiency is fitted. Without one the causes alone are a layer to be laid over scenarios.
    node_gpus
        Ranks of a node; by default those of the base's GPUs, and 8 without a base.
    origin
        What the log is of, for the basis of each number.
    seed
        Seed of draws from which intervals are read, and of simulations.
    threads
        Threads; by default as many as this process may use.
    progress
        With a base: called while the fitted scenario is simulated, as in `simulate`.

    Raises
    ------
    ScenarioError
        If the log has fewer than 100 steps or times of fewer than 8 ranks, or with every problem of
        the base.

    Notes
    -----
    Models, estimators and what cannot be told are in ``docs/logs.md``.

    Examples
    --------
    >>> import hindmost as hm, polars as pl
    >>> times = hm.rank_times("h100-1k", seed=5, run=0, steps=range(120))[:, :64]
    >>> log = pl.DataFrame({"seconds": times.ravel()}).with_columns(
    ...     rank=pl.int_range(pl.len()) % 64,
    ...     step=pl.int_range(pl.len()) // 64,
    ...     kind=pl.lit("step"),
    ...     steps=1,
    ... )
    >>> found = hm.fit(log).estimate("residual")
    >>> found.holds(0.0015)
    True
    """
    steps = log_steps(log)
    check_steps(steps, fewest_ranks=FEWEST_RANKS)
    scenario = None if base is None else scenario_of(base, None)
    size = _node_gpus(node_gpus, scenario)
    of_ranks = steps.ranks is not None
    parts = (
        fit_job(steps, seed=seed)
        if steps.ranks is None
        else fit_ranks(steps.ranks, node_gpus=size, seed=seed)
    )
    notes = (*steps.notes, *_restarts(steps), *parts.notes)
    common: dict[str, Any] = {
        "origin": origin,
        "estimates": parts.estimates,
        "laws": parts.law_choices,
        "warnings": tuple(warnings_of(steps)),
        "n_steps": sum(len(one.seconds) for one in steps.job),
        "n_ranks": parts.n_ranks,
        "n_restarts": steps.n_restarts,
        "seed": seed,
    }
    if scenario is None:
        tables = causes_of(parts, step_s=_step_s(steps), origin=origin)
        layer = {"causes": tables.causes, "basis": tables.basis}
        more = () if of_ranks else (OF_A_LAYER,)
        return Fit(
            table=layer,
            scenario=None,
            adjusted=(),
            comparison=None,
            notes=(*notes, *more),
            **common,
        )
    threads = available_threads() if threads is None else threads
    laid = lay_over(scenario, parts, steps, origin=origin, seed=seed, threads=threads)
    comparison = held_against(
        Compiled(laid.scenario), steps, seed=seed, threads=threads, progress=progress
    )
    return Fit(
        table=as_written(laid.scenario),
        scenario=laid.scenario,
        adjusted=laid.adjusted,
        comparison=comparison,
        notes=(*notes, *laid.notes, *(one for one in comparison.notes if one not in notes)),
        **common,
    )


OF_A_LAYER = (
    "step-common is all of the white noise: noise of ranks in what it is laid over comes on top of "
    "it, which --base would take off"
)
"""What has to be known of causes of a job's log without a base."""


def _node_gpus(given: int | None, base: Scenario | None) -> int:
    if given is not None:
        if given < 1:
            raise ScenarioError(
                [Problem(path="node_gpus", requirement="must be >= 1", value=given)]
            )
        return given
    if base is None:
        return NODE_GPUS
    return next(iter(base.pools.values())).accelerator.node_gpus


def _restarts(log: LogSteps) -> tuple[str, ...]:
    if not log.n_restarts:
        return ()
    times = "once" if log.n_restarts == 1 else f"{log.n_restarts} times"
    return (f"the job began anew {times}: each stretch has a drift of its own",)


def _step_s(log: LogSteps) -> float:
    import numpy as np

    return float(np.median(log.seconds))
