"""What is allowed in a scenario, and probably not meant."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from hindmost import catalog
from hindmost.errors import did_you_mean
from hindmost.scenario.basis import of_nothing
from hindmost.scenario.cubes import availability_of_failures, slice_gpus
from hindmost.scenario.ideal import MECHANISMS
from hindmost.scenario.models import Scenario
from hindmost.scenario.reliability import REPLICA_STALL_S
from hindmost.scenario.slices import REWIRE_S
from hindmost.strict import Strict

LEAST_BYTES_PER_S, MOST_BYTES_PER_S = 1e8, 1e13
"""Rates of a link outside of these are probably in other units."""
MOST_HBM_BYTES_PER_S = 1e14
"""That of a GPU's own memory, which is faster than any link."""
MOST_LATENCY_S = 1e-3
"""Latency of a hop above which it is probably in other units."""
MOST_LATENCY_BEYOND_S = 1.0
"""That of a hop between sites, which may lie on two continents."""
ALIKE = 0.1
"""Share of a cube's time down by which two figures of it may differ and count as one."""
LEAST_MEDIAN = 0.5
"""Median of a slowdown below which it is probably a stall, or a share."""


@dataclass(frozen=True, kw_only=True)
class ScenarioWarning:
    """One thing in a scenario that is probably not meant.

    Attributes
    ----------
    path : str
        Key path.
    warning : str
        What is suspect and why, as the rest of a sentence about it.
    """

    path: str
    warning: str

    def __str__(self) -> str:
        return f"{self.path} {self.warning}"


def scenario_warnings(scenario: Scenario) -> list[ScenarioWarning]:
    """Return what is allowed in a scenario, and probably not meant."""
    return [
        *_causes(scenario),
        *_units(scenario),
        *_ports(scenario),
        *_torus_links(scenario),
        *_tiers(scenario),
        *_memory_rates(scenario),
        *_tokens(scenario),
        *_models(scenario),
        *_without_effect(scenario),
        *_reliability(scenario),
        *_slices(scenario),
        *_power(scenario),
        *_ideals(scenario),
        *_bases_of_nothing(scenario),
    ]


def _memory_rates(scenario: Scenario) -> Iterator[ScenarioWarning]:
    """Yield a warning for each pool of which nobody has said how fast its memory is."""
    for name, pool in scenario.pools.items():
        path, needs = f"pools.{name}.memory_efficiency", pool.memory_efficiency is not None
        if not needs:
            path, needs = "workload.stack", scenario.workload.software.memory_efficiency is not None
        if needs and pool.accelerator.hbm_bytes_per_s is None:
            warning = (
                f"counts work that memory bounds, which takes no time in pool {name}: {pool.gpu} "
                "has no hbm_bytes_per_s"
            )
            yield ScenarioWarning(path=path, warning=warning)


def _without_effect(scenario: Scenario) -> Iterator[ScenarioWarning]:
    """Yield a warning for each word about training or context ranks that changes nothing."""
    workload, layout = scenario.workload, scenario.layout
    default = type(workload).model_fields["adapter_rank"].default
    if workload.trainable == "all" and workload.adapter_rank != default:
        warning = 'changes nothing where workload.trainable is not "lora"'
        yield ScenarioWarning(path="workload.adapter_rank", warning=warning)
    if layout.context_split == "contiguous" and layout.context == 1:
        warning = "changes nothing where layout.context is 1"
        yield ScenarioWarning(path="layout.context_split", warning=warning)


def _models(scenario: Scenario) -> Iterator[ScenarioWarning]:
    """Yield a warning where a model of the scenario differs from the catalogue's of its name."""
    for name, own in scenario.models.items():
        if name not in catalog.names("models"):
            continue
        known, table = catalog.model(name).model_dump(), own.model_dump()
        if any(value != known[key] for key, value in table.items()):
            warning = "differs from the catalogue's model of this name, and takes its place"
            yield ScenarioWarning(path=f"models.{name}", warning=warning)


def _causes(scenario: Scenario) -> Iterator[ScenarioWarning]:
    """Yield a warning where equal GPUs do not vary as measured ones do."""
    causes = scenario.enabled_causes
    if not _measured_causes().isdisjoint(causes):
        return
    preset = "measured" if scenario.layout.pipeline == 1 else "measured-pipeline"
    warning = (
        "has none of those that were measured of equal GPUs: if they are not your own "
        f'measurements, step time and MFU are no prediction; extends = ["{preset}"] adds them'
        if causes
        else "has none in use, so that nothing but the fabric varies: step time and MFU are of an "
        f'ideal cluster, and no prediction; extends = ["{preset}"] adds what was measured'
    )
    yield ScenarioWarning(path="causes", warning=warning)


def _ideals(scenario: Scenario) -> Iterator[ScenarioWarning]:
    """Yield a warning where something is ideal, which no cluster is."""
    ideal = scenario.ideals
    names = [one.words for one in MECHANISMS if getattr(ideal, one.name)]
    names += [f"the cause {name}" for name in ideal.causes]
    if names:
        warning = f"takes away {', '.join(names)}: what would be, and no prediction of what is"
        yield ScenarioWarning(path="ideal", warning=warning)


def _units(scenario: Scenario) -> Iterator[ScenarioWarning]:
    """Yield a warning for each number of the scenario's own that looks like one of another unit."""
    tables: dict[str, Strict] = {f"pools.{name}": pool for name, pool in scenario.pools.items()}
    tables |= {f"gpus.{name}": gpu for name, gpu in scenario.gpus.items()}
    tables |= {f"fabrics.{name}": fabric for name, fabric in scenario.fabrics.items()}
    tables |= {
        f"fabrics.{name}.beyond": fabric.beyond
        for name, fabric in scenario.fabrics.items()
        if fabric.beyond is not None
    }
    for where, table in {**tables, "fabric": scenario.fabric}.items():
        for key, value in table:
            if value is None:
                continue
            most = MOST_HBM_BYTES_PER_S if key == "hbm_bytes_per_s" else MOST_BYTES_PER_S
            longest_s = MOST_LATENCY_BEYOND_S if where.endswith(".beyond") else MOST_LATENCY_S
            if key.endswith("bytes_per_s") and not LEAST_BYTES_PER_S <= value <= most:
                yield _suspect(
                    f"{where}.{key}",
                    value,
                    f"is outside of {LEAST_BYTES_PER_S:g} to {most:g} B/s: "
                    "rates are in bytes a second, so 400 Gbit/s are 50e9",
                )
            elif key.endswith("latency_s") and value > longest_s:
                yield _suspect(
                    f"{where}.{key}",
                    value,
                    f"is more than {longest_s:g} s: latencies are in seconds, so 5 us are 5e-6",
                )
    yield from _slowdowns(scenario)


def _ports(scenario: Scenario) -> Iterator[ScenarioWarning]:
    """Yield a warning for each pool whose GPUs come with faster ports than the fabric has."""
    most = scenario.fabric.network.port_bytes_per_s
    if most is None:
        return
    for name, pool in scenario.pools.items():
        rate = pool.figure("nic_bytes_per_s")
        if rate is not None and rate > most:
            yield ScenarioWarning(
                path=f"pools.{name}.gpu",
                warning=f"comes with ports of {rate:g} B/s, and {scenario.fabric.name} has "
                f"{most:g}: the fabric's rate counts",
            )


def _torus_links(scenario: Scenario) -> Iterator[ScenarioWarning]:
    """Yield a warning for each pool whose chips have links of other rates than the torus."""
    fabric = scenario.fabric
    links, each = fabric.network.links, fabric.network.link_bytes_per_s
    if links is None or each is None:
        return
    n_used = 2 * sum(size > 1 for size in fabric.shape or ())
    for name, pool in scenario.pools.items():
        rate = pool.accelerator.scale_up_bytes_per_s
        path = f"pools.{name}.gpu"
        if rate > links * each:
            warning = (
                f"comes with links that carry {rate:g} B/s together, and those of {fabric.name} "
                f"carry {links * each:g}: the fabric's rate counts"
            )
            yield ScenarioWarning(path=path, warning=warning)
        elif rate < n_used * each:
            warning = (
                f"comes with links that carry {rate:g} B/s together, and fabric.shape takes "
                f"{n_used} links of {each:g}: the fabric's rate counts"
            )
            yield ScenarioWarning(path=path, warning=warning)


def _tiers(scenario: Scenario) -> Iterator[ScenarioWarning]:
    """Yield a warning where a second tier promises more than the ports below it carry."""
    network, name = scenario.fabric.network, scenario.fabric.name
    port, beyond = network.port_bytes_per_s, network.beyond
    if port is None or beyond is None or beyond.bytes_per_s <= port:
        return
    yield ScenarioWarning(
        path=f"fabrics.{name}.beyond.bytes_per_s",
        warning=f"is more than a port of {name} has, {port:g} B/s: the port's rate counts",
    )


def _tokens(scenario: Scenario) -> Iterator[ScenarioWarning]:
    """Yield a warning for each word about the exchange of tokens that changes nothing."""
    workload = scenario.workload
    if scenario.model.experts is None:
        return
    for key, field in type(workload).model_fields.items():
        if not key.startswith("expert_") or getattr(workload, key) == field.default:
            continue
        path = f"workload.{key}"
        if scenario.layout.expert == 1:
            warning = "changes nothing where layout.expert is 1: each rank has all experts"
            yield ScenarioWarning(path=path, warning=warning)
        elif key == "expert_bandwidth_share" and workload.expert_overlap_fraction == 0:
            warning = "changes nothing where workload.expert_overlap_fraction is 0"
            yield ScenarioWarning(path=path, warning=warning)


def _slowdowns(scenario: Scenario) -> Iterator[ScenarioWarning]:
    """Yield a warning for each slowdown that makes more than half of what it hits much faster."""
    causes = {f"causes.{name}": cause for name, cause in scenario.enabled_causes.items()}
    if scenario.noise is not None:
        causes["fabric.noise"] = scenario.noise
    laws = {
        f"{path}.law": cause.law for path, cause in causes.items() if cause.effect == "slowdown"
    }
    if scenario.hop_noise is not None:
        laws["fabric.hop_noise"] = scenario.hop_noise
    for path, law in laws.items():
        median = law.ppf(0.5)
        if median < LEAST_MEDIAN:
            yield _suspect(
                path,
                median,
                f"has a median below {LEAST_MEDIAN:g}: a slowdown is a factor on time, and 1 is "
                "neutral",
            )


def _reliability(scenario: Scenario) -> Iterator[ScenarioWarning]:
    """Yield a warning for each word about failures and what follows them that changes nothing."""
    recovery, checkpoint = scenario.recovery, scenario.enabled_checkpoint
    failures = scenario.enabled_failures.values()
    if not failures:
        warning = "changes nothing without [failures]"
        # Spares are held back all the same.
        if recovery is not None and recovery.spares == 0:
            yield ScenarioWarning(path="recovery", warning=warning)
        if checkpoint is not None:
            yield ScenarioWarning(path="checkpoint", warning=warning)
        return
    if checkpoint is None:
        warning = "is missing: each failure takes all that was computed since the run began"
        yield ScenarioWarning(path="checkpoint", warning=warning)
    if recovery is None:
        return
    for key, default in (("exhausted", "wait"), ("regrow", "restart")):
        if recovery.replica_level and getattr(recovery, key) != default:
            warning = "changes nothing where recovery.replica_level is true"
            yield ScenarioWarning(path=f"recovery.{key}", warning=warning)
    if recovery.regrow != "restart" and recovery.exhausted == "wait" and not recovery.replica_level:
        warning = 'changes nothing where recovery.exhausted is "wait": no replica leaves'
        yield ScenarioWarning(path="recovery.regrow", warning=warning)
    if recovery.replica_stall_s != REPLICA_STALL_S and not recovery.replica_level:
        warning = "changes nothing where recovery.replica_level is false"
        yield ScenarioWarning(path="recovery.replica_stall_s", warning=warning)
    spans = {cause.span for cause in scenario.enabled_causes.values()}
    noise = scenario.noise
    if recovery.evict_after_s is not None and "episode" not in spans | {noise and noise.span}:
        warning = "changes nothing where no cause has span episode"
        yield ScenarioWarning(path="recovery.evict_after_s", warning=warning)
    yield from _ages(scenario)
    yield from _levels(scenario)
    if any(each.are_repaired for each in failures):
        return
    given_spares = {f"pools.{name}.spares": pool.spares for name, pool in scenario.pools.items()}
    for path, spares in {"recovery.spares": recovery.spares, **given_spares}.items():
        if spares:
            warning = "is never used: repair_hours is 0 everywhere, and units are back at once"
            yield ScenarioWarning(path=path, warning=warning)


def _slices(scenario: Scenario) -> Iterator[ScenarioWarning]:
    """Yield a warning for each word about slices that changes nothing, or that is said twice."""
    slices = scenario.slices
    if slices is None:
        return
    if slices.placement == "aligned" and slices.rewire_s != REWIRE_S:
        # The default says nothing of its own.
        warning = 'changes nothing where slices.placement is "aligned"'
        yield ScenarioWarning(path="slices.rewire_s", warning=warning)
    ((pool_name, pool),) = scenario.pools.items()
    of_slice, shape = slice_gpus(slices, pool), scenario.fabric.shape
    of_torus = math.prod(shape or ()) * scenario.layout.tensor
    if of_torus > of_slice:
        warning = (
            f"makes a torus of {of_torus:,} chips of pool {pool_name}, and a slice has "
            f"{of_slice:,}: what slices exchange is priced as if links of the torus joined them; "
            "hybrid sharding within a slice, and [fabrics.NAME.beyond], take their network"
        )
        yield ScenarioWarning(path="fabric.shape", warning=warning)
    by_failures = availability_of_failures(scenario)
    if slices.host_availability is None or by_failures is None:
        return
    given = slices.host_availability**slices.hosts_per_cube
    if abs(given - by_failures) > ALIKE * (1 - by_failures):
        warning = (
            f"makes a cube be up for {given:.2%} of the time, and [failures] with their repairs "
            f"for {by_failures:.2%}: whole runs go by these"
        )
        yield _suspect("slices.host_availability", slices.host_availability, warning)


def _power(scenario: Scenario) -> Iterator[ScenarioWarning]:
    """Yield a warning for each word about smoothing of power that changes nothing."""
    for name, pool in scenario.pools.items():
        if pool.power_aware and pool.smoothing is None:
            warning = "changes nothing: no smoothing of the pool's power is given"
            yield ScenarioWarning(path=f"pools.{name}.power_aware", warning=warning)
        fails = pool.smoothing is not None and pool.smoothing.failures_per_transition > 0
        if fails and not scenario.enabled_failures:
            path = f"pools.{name}.smoothing.failures_per_transition"
            yield ScenarioWarning(path=path, warning="changes nothing without [failures]")


def _ages(scenario: Scenario) -> Iterator[ScenarioWarning]:
    """Yield a warning for each kind of failures whose ages make no difference."""
    for name, failures in scenario.enabled_failures.items():
        has_memory = failures.shape != 1 or failures.are_repaired
        if failures.ages == "new" and not has_memory:
            warning = "changes nothing: a constant rate has no memory of ages"
            yield ScenarioWarning(path=f"failures.{name}.ages", warning=warning)


def _levels(scenario: Scenario) -> Iterator[ScenarioWarning]:
    """Yield a warning for checkpoints that cost more than they keep, or that nothing needs."""
    checkpoint = scenario.enabled_checkpoint
    if checkpoint is None:
        return
    if checkpoint.interval_s != "best" and checkpoint.interval_s < checkpoint.blocking_s:
        warning = "is shorter than checkpoint.blocking_s: the job writes most of the time"
        yield ScenarioWarning(path="checkpoint.interval_s", warning=warning)
    level = checkpoint.global_level
    scopes = {failures.scope for failures in scenario.enabled_failures.values()}
    if level is not None and scopes.isdisjoint(level.scopes):
        warning = "names no scope of the scenario's failures, so nothing needs this level"
        yield ScenarioWarning(path="checkpoint.global.scopes", warning=warning)


def _bases_of_nothing(scenario: Scenario) -> Iterator[ScenarioWarning]:
    for path in scenario.basis:
        if of_nothing(scenario, path):
            section, name, *_ = path.split(".")
            known = scenario.causes if section == "causes" else scenario.failures
            hint = did_you_mean(name, known, or_list=False)
            what = "a cause that there is" if section == "causes" else "failures that there are"
            warning = f"is the basis of {what} not" + (f"; {hint}" if hint else "")
            yield ScenarioWarning(path=f"basis.{path}", warning=warning)


def _suspect(path: str, value: float, why: str) -> ScenarioWarning:
    return ScenarioWarning(path=path, warning=f"{why}; got {value:g}")


@cache
def _measured_causes() -> frozenset[str]:
    """Return the names of the causes in the presets of measured variation."""
    return frozenset(tomllib.loads(catalog.text("presets", "measured"))["causes"])
