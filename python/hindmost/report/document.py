"""A result as a document, which JSON and the metadata of files hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from hindmost.analyses.caps import MovedCap
from hindmost.result import Result
from hindmost.scenario import not_modelled


def result_document(result: Result, *, caps: Sequence[MovedCap] | None = None) -> dict[str, Any]:
    """Return a result without its steps, as plain tables, lists and numbers.

    Parameters
    ----------
    result
        The result.
    caps
        What the analysis of caps found; without it the document has no key ``caps``.
    """
    moved = {} if caps is None else {"caps": [asdict(row) for row in caps]}
    return {
        "inputs": result.inputs,
        "machine": result.machine,
        "why": result.why,
        "summary": result.summary_rows,
        "pools": result.pool_rows,
        **moved,
        "assumed": result.assumed,
        "unknowns": result.inputs["scenario"]["unknowns"],
        "not_modelled": not_modelled(result.scenario),
        "warnings": [
            {"metric": metric, "statistic": statistic, "warning": warning}
            for (metric, statistic), warning in result.warnings.items()
        ],
    }
