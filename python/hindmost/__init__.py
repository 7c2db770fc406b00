"""Predict how a huge, mixed, imperfect GPU cluster really performs.

>>> import hindmost as hm
>>> result = hm.simulate(hm.load("h100-1k"), seed=0, runs=2, steps=100)
>>> result.summary.columns
['metric', 'statistic', 'value', 'std_error']
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hindmost._core import __version__
    from hindmost.analyses.attribute import attribute
    from hindmost.analyses.caps import caps
    from hindmost.analyses.collectives import CollectiveCost, CollectiveCosts, collective_costs
    from hindmost.analyses.compare import Comparison, compare
    from hindmost.analyses.convention import ConvertedMfu, convention
    from hindmost.analyses.economics import Worth, economics
    from hindmost.analyses.explain import Explanation, explain
    from hindmost.analyses.forecast import forecast
    from hindmost.analyses.model_summary import ModelSummary, model_summary
    from hindmost.analyses.placed_slices import PlacedSlices, placed_slices
    from hindmost.analyses.sensitivity import Sensitivity, sensitivity
    from hindmost.analyses.serve import Served, serve
    from hindmost.attributed import Attribution
    from hindmost.compiled import Compiled, compile
    from hindmost.energy import Energy
    from hindmost.errors import HindmostError, OutputError, Problem, ScenarioError
    from hindmost.fitting.against_log import LogComparison, compare_with_log
    from hindmost.fitting.estimate import Estimate
    from hindmost.fitting.fit import Fit, fit
    from hindmost.forecasted import Forecast
    from hindmost.logs.read import read_log
    from hindmost.queues.queue import Queue, queue
    from hindmost.queues.runs import QueueRuns
    from hindmost.reading import read
    from hindmost.renewal.job import Failures, GlobalLevel, Renewal
    from hindmost.renewal.runs import RenewalRuns
    from hindmost.result import Result
    from hindmost.scenario.load import load, with_changes
    from hindmost.scenario.models import Scenario
    from hindmost.serving.fit import ServingFit, fit_serving
    from hindmost.simulation import rank_times, simulate, slowest_replicas
    from hindmost.slices.moves import Moves
    from hindmost.slices.slices import Slices
    from hindmost.stragglers.recorded_step import RecordedStep
    from hindmost.stragglers.what_if import WhatIf, what_if
    from hindmost.sweeps.layouts import Layouts, layouts
    from hindmost.sweeps.run import ExecutorError
    from hindmost.sweeps.spaces import grid, sampled
    from hindmost.sweeps.sweep import sweep
    from hindmost.terms import Terms
    from hindmost.timelines.draw import timeline
    from hindmost.timelines.timeline import Timeline
    from hindmost.whole_run.account import Account

__all__ = [
    "Account",
    "Attribution",
    "CollectiveCost",
    "CollectiveCosts",
    "Comparison",
    "Compiled",
    "ConvertedMfu",
    "Energy",
    "Estimate",
    "ExecutorError",
    "Explanation",
    "Failures",
    "Fit",
    "Forecast",
    "GlobalLevel",
    "HindmostError",
    "Layouts",
    "LogComparison",
    "ModelSummary",
    "Moves",
    "OutputError",
    "PlacedSlices",
    "Problem",
    "Queue",
    "QueueRuns",
    "RecordedStep",
    "Renewal",
    "RenewalRuns",
    "Result",
    "Scenario",
    "ScenarioError",
    "Sensitivity",
    "Served",
    "ServingFit",
    "Slices",
    "Terms",
    "Timeline",
    "WhatIf",
    "Worth",
    "__version__",
    "attribute",
    "caps",
    "collective_costs",
    "compare",
    "compare_with_log",
    "compile",
    "convention",
    "economics",
    "explain",
    "fit",
    "fit_serving",
    "forecast",
    "grid",
    "layouts",
    "load",
    "model_summary",
    "placed_slices",
    "queue",
    "rank_times",
    "read",
    "read_log",
    "sampled",
    "sensitivity",
    "serve",
    "simulate",
    "slowest_replicas",
    "sweep",
    "timeline",
    "what_if",
    "with_changes",
]

_MODULES = {
    "Account": "whole_run.account",
    "Attribution": "attributed",
    "CollectiveCost": "analyses.collectives",
    "CollectiveCosts": "analyses.collectives",
    "Comparison": "analyses.compare",
    "Compiled": "compiled",
    "ConvertedMfu": "analyses.convention",
    "ExecutorError": "sweeps.run",
    "Energy": "energy",
    "Estimate": "fitting.estimate",
    "Explanation": "analyses.explain",
    "Failures": "renewal.job",
    "Fit": "fitting.fit",
    "Forecast": "forecasted",
    "GlobalLevel": "renewal.job",
    "HindmostError": "errors",
    "Layouts": "sweeps.layouts",
    "LogComparison": "fitting.against_log",
    "ModelSummary": "analyses.model_summary",
    "Moves": "slices.moves",
    "OutputError": "errors",
    "PlacedSlices": "analyses.placed_slices",
    "Problem": "errors",
    "Queue": "queues.queue",
    "QueueRuns": "queues.runs",
    "RecordedStep": "stragglers.recorded_step",
    "Renewal": "renewal.job",
    "RenewalRuns": "renewal.runs",
    "Result": "result",
    "Scenario": "scenario.models",
    "ScenarioError": "errors",
    "Sensitivity": "analyses.sensitivity",
    "Served": "analyses.serve",
    "ServingFit": "serving.fit",
    "Slices": "slices.slices",
    "Terms": "terms",
    "Timeline": "timelines.timeline",
    "WhatIf": "stragglers.what_if",
    "Worth": "analyses.economics",
    "__version__": "_core",
    "attribute": "analyses.attribute",
    "caps": "analyses.caps",
    "collective_costs": "analyses.collectives",
    "compare": "analyses.compare",
    "compare_with_log": "fitting.against_log",
    "compile": "compiled",
    "convention": "analyses.convention",
    "economics": "analyses.economics",
    "explain": "analyses.explain",
    "fit": "fitting.fit",
    "fit_serving": "serving.fit",
    "forecast": "analyses.forecast",
    "grid": "sweeps.spaces",
    "layouts": "sweeps.layouts",
    "load": "scenario.load",
    "model_summary": "analyses.model_summary",
    "placed_slices": "analyses.placed_slices",
    "queue": "queues.queue",
    "rank_times": "simulation",
    "read": "reading",
    "read_log": "logs.read",
    "sampled": "sweeps.spaces",
    "sensitivity": "analyses.sensitivity",
    "serve": "analyses.serve",
    "simulate": "simulation",
    "slowest_replicas": "simulation",
    "sweep": "sweeps.sweep",
    "timeline": "timelines.draw",
    "what_if": "stragglers.what_if",
    "with_changes": "scenario.load",
}
"""The module that defines each public name."""


def __getattr__(name: str) -> Any:
    # A name is imported when it is first used, which keeps `hindmost --help` quick.
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
