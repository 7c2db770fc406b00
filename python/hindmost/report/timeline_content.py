"""What a report of one step in detail says."""

from __future__ import annotations

from hindmost.report.content import Content, Listing, Table
from hindmost.report.numbers import count
from hindmost.timelines.timeline import Exchange, ReplicaTimeline, Timeline


def timeline_content(found: Timeline) -> Content:
    """Return the content of a report of a step: its parts, and three replicas."""
    n_drawn = sum(len(times) for times in found.computing.values())
    whose = "replica" if found.replicas_of_time == 1 else "group of replicas"
    lead = (
        f"It takes {_seconds(found.step_time_s)}: the slowest {whose} computes for "
        f"{_seconds(found.compute_s)} ({_seconds(found.stall_s)} of these are stalls), and "
        f"{_seconds(found.exposed_comm_s)} of exchange are not hidden.",
        f"The average {whose} of {count(n_drawn)} waits {_seconds(found.mean_wait_s)} for it.",
    )
    rows = tuple(
        _cells(found, one, row) for one, row in zip(found.replicas, found.rows, strict=True)
    )
    listings = [Listing("What slows them", tuple(map(_why, found.replicas)))]
    if found.exchanges:
        listings.append(
            Listing("Exchange between replicas", tuple(map(_exchange, found.exchanges)))
        )
    notes = ["GPU is that of the slowest rank of the stage that works longest."]
    if found.port:
        notes.append(f"Exchange goes at the pace of the worst ports: {found.port}.")
    return Content(
        headline=(
            f"{found.scenario.name}: step {found.step:,} of run {found.run:,}, seed {found.seed}"
        ),
        lead=lead,
        tables=(
            Table(
                ("", "pool", whose, "compute s", "waits s", "stage", "GPU", "slowdown"),
                rows,
            ),
        ),
        notes=tuple(notes),
        listings=tuple(listings),
    )


def _cells(found: Timeline, one: ReplicaTimeline, row: dict[str, object]) -> tuple[str, ...]:
    stage = one.stages[one.busiest]
    who = f"{one.first:,}" if one.first == one.last else f"{one.first:,}-{one.last:,}"
    return (
        one.role,
        one.pool,
        who,
        f"{one.compute_s:.4f}",
        f"{found.compute_s - one.compute_s:.4f}",
        str(one.busiest),
        f"{stage.pool} {stage.gpu:,}" if stage.pool != one.pool else f"{stage.gpu:,}",
        f"{stage.slowdown:.4f}",
    )


def _why(one: ReplicaTimeline) -> str:
    stage = one.stages[one.busiest]
    whole = ", ".join(f"{each} (all stages)" for each in one.whole_stalls)
    why = ", ".join(filter(None, (whole, stage.why))) or "nothing that lasts for a whole step"
    return f"{one.role}: {why}"


def _exchange(one: Exchange) -> str:
    parts = [f"{_seconds(one.waiting_s)} exposed, {_seconds(one.hidden_s)} hidden"]
    if one.cost_s:
        parts.append(f"which makes compute {_seconds(one.cost_s)} longer")
    return f"{one.name}: {', '.join(parts)}"


def _seconds(seconds: float) -> str:
    return f"{seconds:.4g} s"
