"""What each step is made of, as lists beside the steps in the file of a result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hindmost.plan import Plan
from hindmost.terms import names

if TYPE_CHECKING:
    import polars as pl

    from hindmost import _core

_OF_TIMES = ("frontier_pool", "frontier_compute_s", "frontier_stall_s")
"""Columns with `frontier_times` numbers a step."""
_OF_PORTS = ("port_slowdown", "port_stall_s")
"""Columns with one number a step and pool, empty where nothing goes through the network."""
_OF_HOPS = "hop_factor"
"""Column with one number a step and communication term."""


def with_terms(steps: pl.DataFrame, columns: _core.Columns, pools: list[str]) -> pl.DataFrame:
    """Return a table of steps with a list for each step and each column of what it is made of."""
    import polars as pl

    n_rows = len(columns["frontier_times"])
    flat = pl.DataFrame(
        {
            "row": np.repeat(np.arange(n_rows), columns["frontier_times"]),
            "frontier_pool": names(pools).gather(columns["frontier_pool"]),
            "frontier_compute_s": columns["frontier_compute_s"],
            "frontier_stall_s": columns["frontier_stall_s"],
        }
    )
    lists = flat.group_by("row", maintain_order=True).agg(_OF_TIMES).drop("row")
    others = {
        name: columns[name].reshape(n_rows, -1)  # type: ignore[literal-required]
        for name in (*_OF_PORTS, _OF_HOPS)
        if len(columns[name])  # type: ignore[literal-required]
    }
    arrays = (pl.Series(name, numbers).arr.to_list() for name, numbers in others.items())
    return steps.hstack([*lists, *arrays])


def without_terms(table: pl.DataFrame) -> pl.DataFrame:
    """Return the steps of a table that `with_terms` may have made."""
    return table.drop(*_OF_TIMES, *_OF_PORTS, _OF_HOPS, strict=False)


def list_types(plan: Plan) -> dict[str, Any]:
    """Return the types of the columns that `with_terms` adds to those of steps."""
    import polars as pl

    names = [pool.name for pool in plan.pools]
    numbers = (*_OF_TIMES[1:], *((*_OF_PORTS, _OF_HOPS) if plan.pools[0].terms else ()))
    return {
        "frontier_pool": pl.List(pl.Enum(names)),
        **dict.fromkeys(numbers, pl.List(pl.Float64)),
    }


def lists_fit(table: pl.DataFrame, plan: Plan) -> bool:
    """Return whether the lists of a table fit a plan in length, and hold only finite numbers."""
    n_times = table["frontier_pool"].list.len()
    by_name = {name: table[name] for name in list_types(plan)}
    has_numbers = all(
        _is_whole(lists) and (lists.explode().is_finite() & (lists.explode() >= 0)).all()
        for name, lists in by_name.items()
        if name != "frontier_pool"
    )
    wanted = {
        **dict.fromkeys(_OF_TIMES[1:], n_times),
        **dict.fromkeys(_OF_PORTS, len(plan.pools)),
        _OF_HOPS: len(plan.pools[0].terms),
    }
    return (
        has_numbers
        and _is_whole(by_name["frontier_pool"])
        and bool((n_times > 0).all())
        and all(
            bool((lists.list.len() == wanted[name]).all())
            for name, lists in by_name.items()
            if name in wanted
        )
    )


def _is_whole(lists: pl.Series) -> bool:
    """Return whether neither a list nor a number in one is missing."""
    return not (lists.null_count() or lists.explode().null_count())


def columns_of_lists(table: pl.DataFrame) -> dict[str, NDArray[Any]]:
    """Return the core's columns of a table that `with_terms` has made."""
    pools = table["frontier_pool"]

    def flat(name: str) -> NDArray[np.float64]:
        if name not in table.columns:
            return np.zeros(0)
        numbers: NDArray[np.float64] = table[name].explode().to_numpy()
        return numbers

    return {
        "frontier_times": pools.list.len().to_numpy().astype(np.uint32),
        "frontier_pool": pools.explode().to_physical().to_numpy().astype(np.uint32),
        **{name: flat(name) for name in (*_OF_TIMES[1:], *_OF_PORTS, _OF_HOPS)},
    }
