"""What each step is made of, as tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hindmost.plan import Plan

if TYPE_CHECKING:
    import polars as pl

    from hindmost import _core


@dataclass(frozen=True, kw_only=True, eq=False)
class Terms:
    """What each step is made of, from which its length under another network follows exactly.

    A step takes the longest ``compute_s + stall_s + exposed`` of all `replicas`, where exposed is
    the sum over `transfers` of ``max(time_s / n_buckets, time_s - window)``.

    Attributes
    ----------
    replicas : DataFrame
        Columns run, step, pool, compute_s and stall_s: of each pool, the replicas of which no
        other computes and is stalled at least as long, each pair once, from the longest compute on.
        Here compute_s leaves stalls out. With stages, stall_s is what stalls cost the replica.
    transfers : DataFrame
        Columns run, step, term, pool, transfer_factor, latency_factor, stall_s and time_s: of each
        communication term, named by the phase of the step that can hide it, the pool that completes
        it last, the factor on that pool's transfers and the one on its latency, the longest stall
        of a port (of the last term, 0 of all others), and the seconds that they come to. No rows
        where nothing goes through the network.
    ports : DataFrame
        Columns run, step, pool, slowdown and stall_s: of each pool, the greatest factor on
        transfers and the longest stall of its ports, which may be of different ports.
    """

    replicas: pl.DataFrame
    transfers: pl.DataFrame
    ports: pl.DataFrame

    def lists(self) -> dict[str, dict[str, list[Any]]]:
        """Return the tables as lists, by table and column."""
        return {
            name: getattr(self, name).to_dict(as_series=False)
            for name in ("replicas", "transfers", "ports")
        }


def has_terms(columns: _core.Columns) -> bool:
    """Return whether the columns of a simulation say what its steps are made of."""
    return "frontier_times" in columns


def terms_of(columns: _core.Columns, plan: Plan, *, steps: int) -> Terms:
    """Return the tables of what each step is made of.

    Parameters
    ----------
    columns
        Columns that have it.
    plan
        The plan that they are of.
    steps
        Steps of a run.
    """
    import polars as pl

    n_rows = len(columns["frontier_times"])

    def of_steps(row: NDArray[np.intp], **others: pl.Series | NDArray[Any]) -> pl.DataFrame:
        run, step = (part.astype(np.uint32) for part in np.divmod(row, steps))
        return pl.DataFrame({"run": run, "step": step, **others})

    pools = names([pool.name for pool in plan.pools])
    phases = names([term.phase for term in plan.pools[0].terms])
    rows = np.arange(n_rows)
    n_pools, n_terms = len(pools), len(phases)
    transfers = _transfers(columns, plan, n_rows)
    return Terms(
        replicas=of_steps(
            np.repeat(rows, columns["frontier_times"]),
            pool=pools.gather(columns["frontier_pool"]),
            compute_s=columns["frontier_compute_s"],
            stall_s=columns["frontier_stall_s"],
        ),
        transfers=of_steps(
            np.repeat(rows, n_terms),
            term=phases.gather(np.tile(np.arange(n_terms), n_rows)),
            pool=pools.gather(transfers.pop("pool").ravel()),
            **{name: numbers.ravel() for name, numbers in transfers.items()},
        ),
        ports=of_steps(
            np.repeat(rows, n_pools if n_terms else 0),
            pool=pools.gather(np.tile(np.arange(n_pools if n_terms else 0), n_rows)),
            slowdown=columns["port_slowdown"],
            stall_s=columns["port_stall_s"],
        ),
    )


def names(all_names: list[str]) -> pl.Series:
    """Return different names as values of an enumeration, to gather them by index."""
    import polars as pl

    return pl.Series(all_names, dtype=pl.Enum(all_names))


def _transfers(columns: _core.Columns, plan: Plan, n_rows: int) -> dict[str, NDArray[Any]]:
    """Return the columns of the table of transfers, each of shape (steps, terms)."""
    terms = plan.arguments["terms"]
    shape = (n_rows, len(terms))
    hops = columns["hop_factor"].reshape(shape)
    found: dict[str, NDArray[Any]] = {
        "pool": np.zeros(shape, dtype=np.uint32),
        "transfer_factor": np.zeros(shape),
        "latency_factor": hops,
        "stall_s": np.zeros(shape),
        "time_s": np.zeros(shape),
    }
    if not terms:
        return found
    by_pool = (n_rows, len(plan.pools))
    slowdowns = columns["port_slowdown"].reshape(by_pool)
    found["stall_s"][:, -1] = columns["port_stall_s"].reshape(by_pool).max(axis=1)
    time_s = np.full(shape, -np.inf)
    for pool in range(len(plan.pools)):
        latency_s, transfer_s = (
            np.array([term[name][pool] for term in terms]) for name in ("latency_s", "transfer_s")
        )
        slowdown = slowdowns[:, pool, np.newaxis]
        of_pool_s = latency_s * hops + transfer_s * slowdown
        is_last = of_pool_s > time_s
        found["pool"][is_last] = pool
        found["transfer_factor"] = np.where(is_last, slowdown, found["transfer_factor"])
        time_s = np.maximum(time_s, of_pool_s)
    found["time_s"] = time_s + found["stall_s"]
    return found
