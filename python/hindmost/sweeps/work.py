"""What a worker of a sweep does: simulate one point, from the text of its inputs to that of a row.

A worker may be a thread, a process or another machine. It needs what is installed there, and
nothing of the caller.
"""

from __future__ import annotations

import json
import math
from typing import Any

from hindmost import _core
from hindmost.compiled import Compiled, compile
from hindmost.errors import HindmostError, ScenarioError
from hindmost.memo import Memo
from hindmost.result import Result
from hindmost.scenario import from_table

_compiled: Memo[Compiled] = Memo(4)
"""Bases that this process has compiled, by their texts."""


class OtherVersionError(HindmostError):
    """A worker has another version than the caller, and would come to other numbers."""

    exit_code = 3


def row_of(text: str, *, progress: Any = None) -> str:
    """Return the row of a point, or why the scenario refuses it, as JSON.

    Parameters
    ----------
    text
        The inputs of the point, as JSON.
    progress
        Called now and then; what it raises ends the simulation.

    Raises
    ------
    OtherVersionError
        If the inputs are of another version.
    """
    inputs = json.loads(text)
    version = inputs.pop("version")
    if version != _core.__version__:
        raise OtherVersionError(
            f"a worker has version {_core.__version__} of hindmost, and the sweep is of {version}"
        )
    try:
        result = _simulated(inputs, progress)
    except ScenarioError as error:
        return json.dumps({"error": str(error)})
    values = {
        f"{row['metric']}_{row['statistic']}": _number(row["value"]) for row in result.summary_rows
    }
    return json.dumps({"method": result.inputs["method"], "values": values})


def _simulated(inputs: dict[str, Any], progress: Any) -> Result:
    size = {name: inputs[name] for name in ("seed", "runs", "steps", "method")}
    if "base" in inputs:
        text = inputs["base"]
        base = _compiled.get(text, lambda: compile(from_table(json.loads(text))))
        compiled = base.with_changes(inputs["changes"])
    else:
        compiled = compile(from_table(inputs["scenario"]))
    return compiled.simulate(**size, threads=1, progress=progress)


def _number(value: float | None) -> float | None:
    """Return a number as JSON has it, or null for one beyond all numbers."""
    return value if value is not None and math.isfinite(value) else None
