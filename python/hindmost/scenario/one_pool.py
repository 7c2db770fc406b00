"""A cluster of one pool, from names of the catalogue and changes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from pydantic import ValidationError

from hindmost.errors import Problem, ScenarioError, did_you_mean
from hindmost.scenario.change import Changes, apply_changes, as_changes
from hindmost.scenario.cluster import Cluster
from hindmost.scenario.fabric_problems import fabric_problems
from hindmost.scenario.fields import field_problems
from hindmost.scenario.merge import Document, Table
from hindmost.scenario.pool_problems import domain_problems, own_name_problems, port_problems

POOL = "job"
"""Name of the pool in key paths."""

_ARGUMENTS = {
    f"pools.{POOL}.gpu": "gpu",
    f"pools.{POOL}.n_gpus": "gpus",
    "fabric.name": "fabric",
    "fabric.shape": "shape",
}
"""Arguments that values come from, by key path."""

_FIGURES = {
    "pools": [
        f"{POOL}.{key}" for key in ("nic_bytes_per_s", "scale_up_latency_s", "domain_gpus_used")
    ],
    "fabric": ["latency_s", "bandwidth_efficiency"],
}
"""Keys that collectives depend on, by table."""


def one_pool(
    *,
    gpu: str,
    fabric: str,
    n_gpus: int,
    shape: Sequence[int] | None = None,
    changes: Changes | None = None,
    changes_from: str = "changes",
) -> Cluster:
    """Return the cluster of one pool, which is named `POOL` in key paths.

    Parameters
    ----------
    gpu, fabric
        Names in the catalogue, or of what `changes` define under ``gpus`` and ``fabrics``.
    n_gpus
        GPUs of the pool.
    shape
        Ranks along each dimension of a torus.
    changes
        Key paths of ``pools``, ``fabric``, ``gpus`` and ``fabrics`` with their new values.
    changes_from
        Name of the changes in problems.

    Raises
    ------
    ScenarioError
        With every problem at once.
    """
    changes = as_changes(changes, changes_from)
    table: Table = {"pools": {POOL: {"gpu": gpu, "n_gpus": n_gpus}}, "fabric": {"name": fabric}}
    if shape is not None:
        table["fabric"]["shape"] = list(shape)
    document = Document("")
    document.lay(table, "")
    wrong = {problem.path: problem for problem in _foreign(changes, changes_from)}
    found = list(wrong.values())
    apply_changes(document, {k: v for k, v in changes.items() if str(k) not in wrong}, changes_from)
    try:
        cluster = Cluster.of(document.table)
        judged = list(_problems(cluster))
    except ValidationError as error:
        judged = field_problems(error)
    found += (
        replace(one, path=_argument(one.path), source=document.origin(one.path)) for one in judged
    )
    if found:
        raise ScenarioError(found)
    return cluster


def _argument(path: str) -> str:
    """Return the argument that a value at a key path comes from, if it comes from one."""
    for start, name in _ARGUMENTS.items():
        if f"{path}.".startswith(f"{start}."):
            return name
    return path


def _foreign(changes: Changes, source: str) -> Iterator[Problem]:
    """Yield a problem for each change that no collective depends on."""
    for path in map(str, changes):
        first, _, rest = path.partition(".")
        requirement, hint = "is not a known key", ""
        if first in ("gpus", "fabrics") and rest:
            continue
        if first not in Cluster.model_fields:
            hint = did_you_mean(first, Cluster.model_fields)
        elif rest not in _FIGURES.get(first, ()):
            known = [f"{first}.{key}" for key in _FIGURES.get(first, ("NAME.KEY",))]
            requirement = "is no figure of a collective"
            hint = did_you_mean(path, known)
        else:
            continue
        yield Problem(path=path, requirement=requirement, hint=hint, source=source)


def _problems(cluster: Cluster) -> Iterator[Problem]:
    """Yield the problems that take two fields."""
    path, pool = f"pools.{POOL}", cluster.pools[POOL]
    yield from domain_problems(path, pool)
    if cluster.fabric.network.kind == "switched":
        # A collective that fills a torus uses no port.
        yield from port_problems(path, pool, cluster.fabric.network)
    yield from own_name_problems(gpus=cluster.gpus, fabrics=cluster.fabrics)
    yield from fabric_problems(cluster)
    fabric = cluster.fabric
    kind = fabric.network.kind
    if kind == "torus" and fabric.shape is None:
        hint = "the ranks along each dimension, such as 4x4x8"
        yield Problem(path="shape", requirement=f"is missing: {fabric.name} is a torus", hint=hint)
    elif kind != "torus" and fabric.shape is not None:
        requirement = f"must be absent: {fabric.name} is no torus"
        yield Problem(path="shape", requirement=requirement, value=fabric.shape)
