"""Problems of a pool's hardware, whatever runs on it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from hindmost import catalog
from hindmost.errors import Problem
from hindmost.scenario.models import Pool

MAX_RANKS = 2**31
"""Number that the GPUs of all pools together stay below."""


def domain_problems(path: str, pool: Pool) -> Iterator[Problem]:
    """Yield the problems of how many GPUs of a domain a pool has."""
    whole = pool.accelerator.domain_gpus
    used = pool.domain_gpus_used
    if used is None:
        return
    if used > whole:
        requirement = f"must be <= {whole}, the domain of {pool.gpu}"
        yield Problem(path=f"{path}.domain_gpus_used", requirement=requirement, value=used)
    elif pool.n_gpus // used * whole >= MAX_RANKS:
        requirement = f"must make domains of fewer than {MAX_RANKS:,} GPUs together"
        yield Problem(path=f"{path}.domain_gpus_used", requirement=requirement, value=used)


def port_problems(path: str, pool: Pool, network: catalog.Network) -> Iterator[Problem]:
    """Yield a problem where it is not known how fast a port is that the network needs."""
    # What leaves a torus may go over the second tier alone.
    needs_port = network.kind == "switched" or network.beyond is None
    if needs_port and pool.figure("nic_bytes_per_s") is None:
        hint = "" if network.kind == "switched" else "or [fabrics.NAME.beyond] joins the slices"
        yield replace(missing(f"{path}.nic_bytes_per_s", pool.gpu), hint=hint)


def own_name_problems(**own: Iterable[str]) -> Iterator[Problem]:
    """Yield a problem for each own entry, by kind, that has a name of the catalogue.

    Own models may: what a model consists of stands in its table, and the catalogue grows.
    """
    for kind in catalog.KINDS:
        for name in own.get(kind, ()):
            if name in catalog.names(kind):
                requirement = "must not be a name of the catalogue"
                yield Problem(path=f"{kind}.{name}", requirement=requirement)


def missing(path: str, of: str) -> Problem:
    """Return the problem of a figure that the catalogue does not have for a GPU."""
    requirement = f"is missing: the catalogue has none for {of}"
    return Problem(path=path, requirement=requirement, hint="give what yours has")
