"""What is asked of collectives by themselves: arguments that are judged all at once."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from hindmost.arguments import as_int
from hindmost.collective import ALGORITHMS, pat
from hindmost.collective.algorithm import Operation
from hindmost.errors import Problem, Verbatim, did_you_mean
from hindmost.scenario.cluster import Cluster
from hindmost.scenario.models import Pool
from hindmost.scenario.one_pool import POOL
from hindmost.scenario.pool_problems import MAX_RANKS, missing
from hindmost.spread import Spread
from hindmost.units import parsed_bytes

T = TypeVar("T")

OPERATIONS: dict[str, Operation] = {
    "all-reduce": "all_reduce",
    "reduce-scatter": "reduce_scatter",
    "all-gather": "all_gather",
    "all-to-all": "all_to_all",
}
"""Operations by the names that they have outside of code."""
NAMES = (*ALGORITHMS, "torus")
"""Names of the algorithms."""
NCCL = ("ring", "tree", "pat")
"""Algorithms of whose latency NCCL's tuner has a rule."""
MAX_BYTES = 2**60
"""Bytes of a collective, at most."""
MAX_ROWS = 100_000
"""Collectives of a call, at most."""

Latency = Literal["hops", "nccl"]
Host = Literal["intel", "amd"]
HOSTS: tuple[Host, ...] = ("intel", "amd")
"""Processors of hosts for which NCCL's tuner has constants."""


def given_gpus(given: Any, found: list[Problem]) -> Iterator[int]:
    """Yield the numbers of GPUs."""
    for value in _listed(given):
        n = as_int(value)
        if isinstance(n, int) and not isinstance(n, bool) and 1 <= n < MAX_RANKS:
            yield n
        else:
            requirement = f"must be integers from 1 to {MAX_RANKS - 1:,}"
            found.append(Problem(path="gpus", requirement=requirement, value=value))
    if not _listed(given):
        found.append(Problem(path="gpus", requirement="must name at least one number"))


def given_sizes(given: Any, found: list[Problem]) -> Iterator[int]:
    """Yield the numbers of bytes."""
    for value in _listed(given):
        size: Any = parsed_bytes(value) if isinstance(value, str) else as_int(value)
        is_whole = isinstance(size, int) and not isinstance(size, bool)
        if is_whole and 1 <= size <= MAX_BYTES:
            yield int(size)
        else:
            requirement = "must be whole numbers of bytes from 1 B to 1 EiB"
            hint = "such as 4096, 1MiB (2^20) or 1MB (10^6)"
            found.append(Problem(path="bytes", requirement=requirement, value=value, hint=hint))
    if not _listed(given):
        found.append(Problem(path="bytes", requirement="must name at least one number"))


def given_algorithms(given: Any, found: list[Problem]) -> Iterator[str]:
    """Yield the algorithms that are asked for."""
    for name in () if given is None else _listed(given):
        if name in NAMES:
            yield str(name)
        else:
            hint = did_you_mean(str(name), NAMES)
            requirement = "must be names of algorithms"
            found.append(Problem(path="algorithm", requirement=requirement, value=name, hint=hint))


def _listed(given: Any) -> list[Any]:
    """Return what is given as a list."""
    is_one = isinstance(given, str) or not isinstance(given, Iterable)
    return [given] if is_one else list(given)


def once(values: Iterable[T]) -> list[T]:
    """Return values in order, without repetitions."""
    return list(dict.fromkeys(values))


def given_per_domain(cluster: Cluster, given: int | None, found: list[Problem]) -> int | None:
    """Return the GPUs of a domain that take part."""
    pool = cluster.pools[POOL]
    whole = pool.domain_gpus_used or pool.accelerator.domain_gpus
    if given is None:
        return whole
    given = as_int(given)
    if isinstance(given, int) and not isinstance(given, bool) and given >= 1 and whole % given == 0:
        return given
    divisors = [str(size) for size in range(1, whole + 1) if whole % size == 0]
    requirement = f"must divide the {whole} GPUs of a domain of {pool.gpu}"
    hint = f"{either(divisors)} would do"
    found.append(Problem(path="gpus_per_domain", requirement=requirement, value=given, hint=hint))
    return None


def count_problems(cluster: Cluster, counts: Sequence[int], per_domain: int) -> Iterator[Problem]:
    """Yield the problems of numbers of GPUs that do not lie in the cluster as they should."""
    pool, shape = cluster.pools[POOL], cluster.fabric.shape
    siblings = siblings_of(pool, per_domain)
    for n in counts:
        value = Verbatim(f"{n:,}")
        if shape is not None:
            if math.prod(shape) != n:
                requirement = f"must be {math.prod(shape):,}, the ranks of the torus"
                yield Problem(path="gpus", requirement=requirement, value=value)
        elif n > per_domain and n % per_domain:
            below = n // per_domain * per_domain
            of = f"{per_domain} GPUs" if siblings == 1 else f"{per_domain} GPUs each"
            requirement = f"must be whole domains of {of}, or at most one of them"
            hint = f"{below:,} or {below + per_domain:,} would do"
            yield Problem(path="gpus", requirement=requirement, value=value, hint=hint)
        elif n * siblings >= MAX_RANKS:
            requirement = f"must lie in domains of fewer than {MAX_RANKS:,} GPUs together"
            yield Problem(path="gpus", requirement=requirement, value=value)
    crosses = shape is None and per_domain > 1 and any(n > 1 for n in counts)
    if crosses and pool.figure("scale_up_latency_s") is None:
        yield missing(f"pools.{POOL}.scale_up_latency_s", pool.gpu)


def siblings_of(pool: Pool, per_domain: int) -> int:
    """Return how many communicators have ranks in each domain."""
    return (pool.domain_gpus_used or pool.accelerator.domain_gpus) // per_domain


@dataclass(frozen=True, kw_only=True)
class Kind:
    """An operation on a cluster, and which algorithms do it."""

    operation: str
    done: Operation
    cluster: Cluster
    latency: Latency

    def refusal(self, name: str, per_domain: int) -> Problem | None:
        """Return why an algorithm cannot be had, if it cannot."""
        fabric = self.cluster.fabric
        is_torus = fabric.network.kind == "torus"
        if is_torus != (name == "torus"):
            requirement = (
                f"must be torus on {fabric.name}, which is one"
                if is_torus
                else f"must not be torus: {fabric.name} has switches"
            )
            return self._problem(name, requirement)
        if is_torus and self.done == "all_to_all":
            requirement = "must not be torus for all-to-all: what its links carry is not modelled"
            return self._problem(name, requirement)
        if not is_torus and ALGORITHMS[name].collective(self.done) is None:
            able = [key for key, one in ALGORITHMS.items() if one.collective(self.done)]
            does = [key for key, done in OPERATIONS.items() if ALGORITHMS[name].collective(done)]
            requirement = f"must not be {name} for {self.operation}: it does {_all(does)} only"
            return self._problem(name, requirement, hint=f"{either(able)} would do")
        if name == "pat" and not pat.applies(Spread.of(per_domain, per_domain)):
            requirement = f"must not be pat with {per_domain} GPUs in a domain: NCCL's takes one"
            return self._problem(name, requirement, hint="gpus_per_domain = 1 would do")
        if self.latency == "nccl" and name not in NCCL:
            requirement = f'must be {either(NCCL)} where latency is "nccl"'
            return self._problem(name, requirement)
        return None

    def nothing_does_it(self) -> Problem:
        """Return the problem of an operation that no algorithm does here."""
        why = f' with the latency of "{self.latency}"' if self.latency != "hops" else ""
        requirement = f"must be one that is modelled on {self.cluster.fabric.name}{why}"
        return Problem(path="operation", requirement=requirement, value=self.operation)

    def _problem(self, name: str, requirement: str, hint: str = "") -> Problem:
        return Problem(path="algorithm", requirement=requirement, value=name, hint=hint)


def either(names: Iterable[str]) -> str:
    """Return names with "or" before the last one."""
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last


def _all(names: Iterable[str]) -> str:
    """Return names with "and" before the last one."""
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last
