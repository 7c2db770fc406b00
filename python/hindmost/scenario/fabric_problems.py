"""Problems of the fabric: rates that it does not carry, shapes and tiers that it cannot have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from hindmost import catalog
from hindmost.errors import Problem
from hindmost.scenario.areas import tier_sizes
from hindmost.scenario.counts import domain_gpus
from hindmost.scenario.models import Pool, Scenario

if TYPE_CHECKING:
    from hindmost.scenario.cluster import Cluster


def fabric_problems(scenario: Scenario | Cluster) -> Iterator[Problem]:
    """Yield the problems of the fabric."""
    yield from _ports(scenario)
    yield from _torus(scenario)
    yield from _tiers(scenario)


def _ports(scenario: Scenario | Cluster) -> Iterator[Problem]:
    """Yield a problem for each rate of a port that the fabric does not carry.

    Those of the catalogue's GPUs are warned of.
    """
    fabric = scenario.fabric
    most = fabric.network.port_bytes_per_s
    if most is None:
        return
    paths = {f"pools.{name}": pool.nic_bytes_per_s for name, pool in scenario.pools.items()}
    for pool in scenario.pools.values():
        if pool.nic_bytes_per_s is None:
            paths[f"gpus.{pool.gpu}"] = _own_rate(scenario, pool, "nic_bytes_per_s")
    for path, rate in paths.items():
        if rate is not None and rate > most:
            requirement = f"must be <= {most:g}, the line rate of {fabric.name}"
            hint = "[fabrics.NAME] with extends and port_bytes_per_s is a faster fabric"
            yield Problem(
                path=f"{path}.nic_bytes_per_s", requirement=requirement, value=rate, hint=hint
            )


def _own_rate(
    scenario: Scenario | Cluster,
    pool: Pool,
    key: Literal["nic_bytes_per_s", "scale_up_bytes_per_s"],
) -> float | None:
    """Return a rate that the scenario itself sets for the GPU of a pool."""
    gpu = scenario.gpus.get(pool.gpu)
    if gpu is None:
        return None
    rate: float | None = getattr(gpu, key)
    base = None if gpu.extends is None else getattr(catalog.gpu(gpu.extends), key)
    return None if rate == base else rate


def _torus(scenario: Scenario | Cluster) -> Iterator[Problem]:
    """Yield the problems of a torus that does not fit its chips.

    Where both are of the catalogue, they are warned of.
    """
    name, network = scenario.fabric.name, scenario.fabric.network
    if network.links is None or network.link_bytes_per_s is None:
        return
    shape = [size for size in scenario.fabric.shape or [] if size > 1]
    if 2 * len(shape) > network.links:
        most = network.links // 2
        dimensions = "dimension" if most == 1 else "dimensions"
        requirement = f"must have at most {most} {dimensions} of more than 1 rank"
        hint = f"a chip of {name} has {network.links} links, two for each dimension"
        yield Problem(
            path="fabric.shape", requirement=requirement, value=scenario.fabric.shape, hint=hint
        )
    own = scenario.fabrics.get(name)
    base = None if own is None or own.extends is None else catalog.fabric(own.extends)
    links = network.links, network.link_bytes_per_s
    is_own = own is not None and (base is None or links != (base.links, base.link_bytes_per_s))
    in_all = network.links * network.link_bytes_per_s
    for pool_name, pool in scenario.pools.items():
        rate = pool.accelerator.scale_up_bytes_per_s
        if rate <= in_all:
            continue
        if is_own:
            requirement = (
                f"must be >= {rate / network.links:g}: the {network.links} links of the chips of "
                f"pool {pool_name} carry {rate:g} B/s"
            )
            path = f"fabrics.{name}.link_bytes_per_s"
            yield Problem(path=path, requirement=requirement, value=network.link_bytes_per_s)
        elif _own_rate(scenario, pool, "scale_up_bytes_per_s") is not None:
            requirement = f"must be <= {in_all:g}, what the {network.links} links of {name} carry"
            hint = "[fabrics.NAME] with extends and link_bytes_per_s is a faster torus"
            path = f"gpus.{pool.gpu}.scale_up_bytes_per_s"
            yield Problem(path=path, requirement=requirement, value=rate, hint=hint)


def _tiers(scenario: Scenario | Cluster) -> Iterator[Problem]:
    """Yield the problems of tiers above the domains."""
    name, network = scenario.fabric.name, scenario.fabric.network
    if network.beyond is not None:
        largest = max((domain_gpus(pool) for pool in scenario.pools.values()), default=1)
        if network.beyond.gpus < largest:
            requirement = f"must be >= {largest}, the GPUs of a domain"
            path = f"fabrics.{name}.beyond.gpus"
            yield Problem(path=path, requirement=requirement, value=network.beyond.gpus)
        if network.tier_domains is not None:
            yield from _nested(scenario, network.tier_domains, network.beyond.gpus)
    if tier_sizes(network) and scenario.hop_noise is not None:
        requirement = f"must be absent: {name} has tiers, whose hops are not alike"
        yield Problem(path="fabric.hop_noise", requirement=requirement)


def _nested(scenario: Scenario | Cluster, tier_domains: int, gpus: int) -> Iterator[Problem]:
    """Yield the problem of two tiers of which the lower one does not lie within the upper one."""
    name = scenario.fabric.name
    sizes = sorted({domain_gpus(pool) for pool in scenario.pools.values()})
    if len(sizes) > 1:
        shown = " and ".join(map(str, sizes))
        requirement = (
            f"must be absent where {name} has a second tier and domains have {shown} GPUs: groups "
            "of domains and of GPUs would not lie within each other"
        )
        path = f"fabrics.{name}.tier_domains"
        yield Problem(path=path, requirement=requirement, value=tier_domains)
    elif sizes and gpus % (tier_domains * sizes[0]):
        requirement = (
            f"must be a multiple of {tier_domains * sizes[0]:,}, the GPUs of a lower group"
        )
        yield Problem(path=f"fabrics.{name}.beyond.gpus", requirement=requirement, value=gpus)
