"""What one collective costs by itself: seconds and bus bandwidth by algorithm, GPUs and bytes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from hindmost._core import __version__
from hindmost.analyses.collective_arguments import (
    HOSTS,
    MAX_ROWS,
    NAMES,
    OPERATIONS,
    Host,
    Kind,
    Latency,
    count_problems,
    either,
    given_algorithms,
    given_gpus,
    given_per_domain,
    given_sizes,
    once,
    siblings_of,
)
from hindmost.collective import Cost, Link
from hindmost.collective.algorithm import Operation
from hindmost.errors import Problem, ScenarioError, did_you_mean
from hindmost.physics.collectives import on_torus, over_ports, torus_of
from hindmost.physics.links import links
from hindmost.plots.lines import Point, lines
from hindmost.plots.plot import Plot
from hindmost.scenario.areas import tier_sizes
from hindmost.scenario.change import Changes
from hindmost.scenario.cluster import Cluster
from hindmost.scenario.counts import Counts
from hindmost.scenario.models import Layout
from hindmost.scenario.one_pool import POOL, one_pool
from hindmost.scenario.places import places
from hindmost.spread import Spread
from hindmost.units import shown_bytes

if TYPE_CHECKING:
    import polars as pl

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class CollectiveCost:
    """What one collective costs without any noise.

    Attributes
    ----------
    algorithm : str
        How the ranks do it.
    n_gpus : int
        Ranks that do it together.
    bytes : int
        Bytes of a rank: before an all-reduce or a reduce-scatter, after an all-gather, and in all
        that it sends in an all-to-all, its own share included; the size of nccl-tests.
    time_s : float
        Seconds, ``latency_s + bandwidth_s``.
    latency_s : float
        Seconds of hops, whatever the bytes.
    bandwidth_s : float
        Seconds of moving bytes.
    bus_bytes_per_s : float or None
        Bus bandwidth as nccl-tests defines it, in B/s; None for one rank, which sends nothing.
    """

    algorithm: str
    n_gpus: int
    bytes: int
    time_s: float
    latency_s: float
    bandwidth_s: float
    bus_bytes_per_s: float | None


@dataclass(frozen=True, kw_only=True)
class CollectiveCosts:
    """One operation by algorithm, GPUs and bytes.

    Attributes
    ----------
    inputs : mapping of str to object
        All that a repetition takes: the arguments, and the version of the package.
    links : mapping of str to Link
        Links of a rank: ``scale_up``, ``port`` and tiers above, or one link of a ``torus``.
    costs : tuple of CollectiveCost
        By number of GPUs, then bytes, then algorithm.
    """

    inputs: Mapping[str, Any]
    links: Mapping[str, Link]
    costs: tuple[CollectiveCost, ...]

    @property
    def rows(self) -> list[dict[str, Any]]:
        """`costs` as plain tables."""
        return [asdict(one) for one in self.costs]

    @property
    def frame(self) -> pl.DataFrame:
        """`costs` as a table, one row each."""
        import polars as pl

        return pl.DataFrame(self.rows, schema_overrides={"bus_bytes_per_s": pl.Float64})

    def plot(self) -> Plot:
        """Return seconds over GPUs by algorithm; over bytes where there is one number of GPUs."""
        over_gpus = len({one.n_gpus for one in self.costs}) > 1
        several = len({one.bytes if over_gpus else one.n_gpus for one in self.costs}) > 1
        rows = []
        for one in self.costs:
            size = shown_bytes(one.bytes)
            of = f", {size}" if over_gpus and several else ""
            x = one.n_gpus if over_gpus else one.bytes
            rows.append(Point(float(x), one.time_s, f"{one.algorithm}{of}"))
        operation = self.inputs["operation"]
        at = "" if several else f" of {shown_bytes(self.costs[0].bytes)}"
        return lines(
            rows,
            title=f"{operation}{at if over_gpus else f' over {self.costs[0].n_gpus:,} GPUs'}",
            subtitle="without noise, by algorithm",
            x="GPUs" if over_gpus else "bytes of a rank",
            y="seconds",
            legend="algorithm",
            is_log=(True, True),
        )

    def document(self) -> dict[str, Any]:
        """Return the costs as plain tables, as ``collective --format json`` prints them."""
        return {
            "inputs": {**self.inputs, "version": __version__},
            "links": {name: asdict(link) for name, link in self.links.items()},
            "collectives": self.rows,
        }


def collective_costs(
    operation: str,
    *,
    gpus: int | Sequence[int],
    n_bytes: int | str | Sequence[int | str],
    gpu: str,
    fabric: str,
    algorithms: str | Sequence[str] | None = None,
    gpus_per_domain: int | None = None,
    shape: Sequence[int] | None = None,
    latency: Latency = "hops",
    host: Host = "intel",
    changes: Changes | None = None,
    changes_from: str = "changes",
) -> CollectiveCosts:
    """Return what one collective costs, by algorithm, number of GPUs and bytes.

    Parameters
    ----------
    operation
        ``all-reduce``, ``reduce-scatter``, ``all-gather`` or ``all-to-all``.
    gpus
        Numbers of GPUs that do it together: at most those of a domain, or whole domains.
    n_bytes
        Bytes of a rank as nccl-tests count them, each a number or a text such as ``1GiB``: before
        an all-reduce or reduce-scatter, after an all-gather, sent in all in an all-to-all.
    gpu, fabric
        Names in the catalogue, or of what `changes` define.
    algorithms
        Names of algorithms; by default all that do the operation here.
    gpus_per_domain
        GPUs of each domain that take part, a divisor of the domain's; all by default. The others
        do as much among themselves at the same time, as the groups of data-parallel ranks do
        that tensor groups make.
    shape
        Ranks along each dimension of a torus.
    latency, host
        As ``collective.latency`` and ``collective.host`` of a scenario.
    changes
        Key paths and new values, as in a scenario whose only pool is ``job``:
        ``pools.job.nic_bytes_per_s``, ``pools.job.scale_up_latency_s``,
        ``pools.job.domain_gpus_used``, ``fabric.latency_s``, ``fabric.bandwidth_efficiency``, and
        keys of ``gpus`` and ``fabrics`` of one's own.
    changes_from
        Name of the changes in problems.

    Raises
    ------
    ScenarioError
        With every problem at once: names that are unknown, numbers of GPUs that are no whole
        domains, algorithms that do not do the operation there, figures that are missing.

    Notes
    -----
    Nothing is random: links are as fast, and hops take as long, as their figures say. Bus
    bandwidth is ``f n_bytes / time_s`` with f = 2 (n - 1) / n for an all-reduce and (n - 1) / n
    for the others, so that it can be held against a link whatever n is (nccl-tests,
    PERFORMANCE.md).

    Examples
    --------
    >>> found = collective_costs(
    ...     "all-reduce", gpus=1000, n_bytes="1GiB", gpu="h100-sxm", fabric="infiniband-ndr"
    ... )
    >>> {one.algorithm: round(one.bus_bytes_per_s / 1e9) for one in found.costs}
    {'hierarchical': 354, 'ring': 140, 'tree': 351}
    """
    found: list[Problem] = []
    counts = once(given_gpus(gpus, found))
    sizes = once(given_sizes(n_bytes, found))
    done = OPERATIONS.get(operation) if isinstance(operation, str) else None
    if done is None:
        hint = did_you_mean(str(operation), OPERATIONS)
        requirement = f"must be {either(OPERATIONS)}"
        found.append(Problem(path="operation", requirement=requirement, value=operation, hint=hint))
    asked = once(given_algorithms(algorithms, found))
    for path, value, known in (("latency", latency, ("hops", "nccl")), ("host", host, HOSTS)):
        if value not in known:
            requirement = f"must be {either(known)}"
            found.append(Problem(path=path, requirement=requirement, value=value))
    cluster = None
    try:
        cluster = one_pool(
            gpu=gpu,
            fabric=fabric,
            n_gpus=max(counts, default=1),
            shape=shape,
            changes=changes,
            changes_from=changes_from,
        )
    except ScenarioError as error:
        found += error.problems
    per_domain = None
    if cluster is not None:
        per_domain = given_per_domain(cluster, gpus_per_domain, found)
    if cluster is None or per_domain is None:
        raise ScenarioError(found)
    found += count_problems(cluster, counts, per_domain)
    chosen: list[str] = []
    if done is not None:
        of = Kind(operation=operation, done=done, cluster=cluster, latency=latency)
        chosen = asked or [name for name in NAMES if of.refusal(name, per_domain) is None]
        found += filter(None, (of.refusal(name, per_domain) for name in asked))
        if not chosen:
            found.append(of.nothing_does_it())
    if len(counts) * len(sizes) * len(chosen) > MAX_ROWS:
        requirement = f"must make at most {MAX_ROWS:,} collectives"
        found.append(Problem(path="gpus, bytes and algorithm", requirement=requirement))
    if found or done is None:
        raise ScenarioError(found)
    costs = []
    for n in counts:
        spread = _spread(cluster, n, per_domain)
        for size in sizes:
            for name in chosen:
                cost = _cost(cluster, done, size, spread, name, latency, host)
                costs.append(_row(name, done, n, size, cost))
    if not all(math.isfinite(one.time_s) for one in costs):
        requirement = "must be moved in a finite number of seconds"
        raise ScenarioError([Problem(path="bytes", requirement=requirement, value=max(sizes))])
    inputs = {
        "operation": operation,
        "gpu": gpu,
        "fabric": fabric,
        "gpus_per_domain": per_domain,
        "latency": latency,
        "host": host,
        "shape": None if shape is None else list(shape),
        "changes": dict(changes or {}),
    }
    return CollectiveCosts(inputs=inputs, links=_links(cluster), costs=tuple(costs))


def _spread(cluster: Cluster, n: int, per_domain: int) -> Spread:
    """Return how `n` ranks lie in domains and tiers: as data ranks of tensor groups do.

    A tensor group has one GPU of each of the communicators that share the domains.
    """
    pool = cluster.pools[POOL]
    tensor = siblings_of(pool, per_domain)
    layout = Layout(tensor=tensor)
    pools = {POOL: pool.model_copy(update={"n_gpus": n * tensor})}
    found = places(pools, layout, Counts.of(pools, layout), tier_sizes(cluster.fabric.network))
    return found[POOL].data


def _cost(
    cluster: Cluster,
    operation: Operation,
    n_bytes: int,
    spread: Spread,
    algorithm: str,
    latency: Latency,
    host: Host,
) -> Cost:
    if algorithm == "torus":
        return on_torus(operation, n_bytes, torus_of(cluster.fabric))
    return over_ports(
        operation,
        n_bytes,
        spread,
        algorithm=algorithm,
        links=links(cluster.pools[POOL], cluster.fabric),
        latency=latency,
        host=host,
    )


def _links(cluster: Cluster) -> dict[str, Link]:
    """Return the links of a rank by name."""
    if cluster.fabric.network.kind == "torus":
        return {"torus": torus_of(cluster.fabric).link}
    of_rank = links(cluster.pools[POOL], cluster.fabric)
    tiers = {f"tier_{number}": link for number, link in enumerate(of_rank.tiers, start=1)}
    return {"scale_up": of_rank.scale_up, "port": of_rank.port, **tiers}


def _row(
    algorithm: str, operation: Operation, n_gpus: int, n_bytes: int, cost: Cost
) -> CollectiveCost:
    bandwidth_s = cost.scale_up_s + cost.transfer_s
    # In this order, so that the two parts add up to the last byte.
    time_s = cost.latency_s + bandwidth_s
    return CollectiveCost(
        algorithm=algorithm,
        n_gpus=n_gpus,
        bytes=n_bytes,
        time_s=time_s,
        latency_s=cost.latency_s,
        bandwidth_s=bandwidth_s,
        bus_bytes_per_s=bus_bytes(operation, n_bytes, n_gpus) / time_s if time_s > 0 else None,
    )


def bus_bytes(operation: Operation, n_bytes: float, n: int) -> float:
    """Return the bytes that bus bandwidth counts, as nccl-tests do.

    ``2 (n - 1) / n`` of those of an all-reduce over n ranks, ``(n - 1) / n`` of those of others.
    """
    halves = 2 if operation == "all_reduce" else 1
    return halves * (n - 1) / n * n_bytes
