"""Predict how a huge, mixed, imperfect GPU cluster really performs.

>>> import hindmost as hm
>>> result = hm.simulate(hm.load("h100-1k"), seed=0, runs=2, steps=100)
>>> result.summary.columns
['metric', 'statistic', 'value', 'std_error']
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hindmost._core import __version__
    from hindmost.errors import HindmostError, OutputError, Problem, ScenarioError
    from hindmost.result import Result
    from hindmost.scenario.load import load, with_changes
    from hindmost.scenario.models import Scenario
    from hindmost.simulate import rank_times, simulate, slowest_replicas

__all__ = [
    "HindmostError",
    "OutputError",
    "Problem",
    "Result",
    "Scenario",
    "ScenarioError",
    "__version__",
    "load",
    "rank_times",
    "simulate",
    "slowest_replicas",
    "with_changes",
]

_HOMES = {
    "HindmostError": "errors",
    "OutputError": "errors",
    "Problem": "errors",
    "Result": "result",
    "Scenario": "scenario",
    "ScenarioError": "errors",
    "__version__": "_core",
    "load": "scenario",
    "rank_times": "simulate",
    "simulate": "simulate",
    "slowest_replicas": "simulate",
    "with_changes": "scenario",
}


def __getattr__(name: str) -> Any:
    # Importing waits until something is used, so that `hindmost --help` is quick.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__


class _Package(ModuleType):
    """A package in which `simulate` is the function, though a module has its name."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "simulate" and isinstance(value, ModuleType):
            value = value.simulate
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
