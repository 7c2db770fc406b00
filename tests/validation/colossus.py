"""Renders docs/colossus.md; `python -m tests.validation.colossus` writes it, in ten minutes."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

import hindmost as hm
from hindmost.report.explanation_content import NARROWER
from hindmost.scenario import Changes, from_table, to_table
from hindmost.scenario.ideal import in_words
from hindmost.whole_run.account import Account
from hindmost.whole_run.fleet import Fleet
from tests.docs.markdown import ROOT

PAGE = ROOT / "docs" / "colossus.md"

NAME = "colossus-1"
SEED = 0
REPORTED = 0.11
"""The reported figure."""
TOLERANCE = 0.005
"""What two digits leave open."""
QUIET: dict[str, Any] = {
    "causes.gpu-speed.enabled": False,
    "causes.residual.enabled": False,
    "causes.step-common.enabled": False,
    "causes.stall.enabled": False,
    "causes.pause.enabled": False,
    "fabric.noise.enabled": False,
}
"""No cause at all."""
STEPS: dict[str, Any] = {"seed": SEED, "runs": 8, "steps": 1000}
RESTARTS_S = (150.0, 300.0, 600.0, 900.0, 1440.0)
HALVINGS = 30
SLOWER = 1.001
"""Mean step time over that of the preset, from which a step counts as longer."""
TRANSITION = "pools.gb200.smoothing.seconds_per_transition"
TRANSITIONS_S = (0.0, 1.5, 3.0, 4.5, 6.0)
SHOWN_S = TRANSITIONS_S[2]
"""Seconds of a transition that are written of."""
WORK_EQUAL, WORK_TWICE = "equal work", "twice the sequences on GB200"
WORK: dict[str, Changes] = {
    WORK_EQUAL: {},
    WORK_TWICE: {"pools.gb200.microbatch_seqs": 4},
    "work in proportion to speed": {"ideal.mixed_generations": True},
}
WIDTH = 100
MOVED = 0.2
"""Standard deviations of a prior by which a posterior that says something has moved, at least."""


def render() -> str:
    """Return the page."""
    parts = (
        head(),
        reach(),
        mechanisms(),
        failures(),
        slack(),
        smoothing(),
        three_jobs(),
        assumed(),
    )
    return "\n\n".join(parts) + "\n"


@cache
def compiled() -> hm.Compiled:
    """Return the preset, compiled."""
    return hm.compile(NAME)


@cache
def whole() -> hm.Result:
    """Return a result of the preset with whole runs."""
    return compiled().simulate(**STEPS, days=30.0)


def head() -> str:
    """Return what is asked, and the answer in short."""
    account = whole().account
    assert account is not None
    assert account.P is not None
    mfu, fleet_mfu = whole().value("mfu"), account.fleet_mfu
    return _filled(f"""# Where are the other 89%?

In April 2026 the press reported, of a fleet of some 550,000 GPUs, an MFU of {REPORTED:.0%} (The
Information; not confirmed), where others publish 41% to 46% of their training. A broker blamed
the mix of chips at one of its sites, Colossus 1: an estimated 150,000 H100, 50,000 H200 and
20,000 GB200 (Mirae Asset, May 2026). This page asks how much of that `{NAME}` can explain: one
job on all of these GPUs, with variation and failures at published rates. `make colossus` renders
it, with seed {SEED}.

**In short.** The mix does not explain it, and stragglers do not. While such a job computes it
reaches {mfu:.3f} of its peak (P, its *program* MFU), and nothing inside the ranges of variation
below comes near {REPORTED}. The job holds {account.S:.3f} of all GPUs and hours (S), and with
failures at published rates {account.R:.3f} of what it holds goes into steps whose result is kept
(R): together, S x R x P, the *fleet* MFU is {fleet_mfu:.3f}. A restart that takes some minutes more
brings that to {REPORTED}; so would other things that nobody has published. Against a peak in FP8
the same fleet would be at {fleet_mfu / 2:.3f}. It is not known which of these the reported figure
is: this evidence cannot tell.""")


def reach() -> str:
    """Return what the unknowns reach, of programs and of the fleet."""
    program = hm.explain(NAME, mfu=REPORTED, tolerance=TOLERANCE, seed=SEED)
    fleet = hm.explain(NAME, fleet_mfu=REPORTED, tolerance=TOLERANCE, seed=SEED)
    assert program.reachable is False
    assert fleet.reachable
    levers = [
        (
            f"`{lever.path}`",
            f"{_number(lever.low)} to {_number(lever.high)}",
            _ends(lever.at_low, lever.at_high),
            "nothing" if lever.would_do is None else _number(lever.would_do),
            {None: "", True: "inside", False: "outside"}[lever.is_inside],
        )
        for lever in fleet.levers
    ]
    beliefs = [
        (
            f"`{one.path}`",
            *(
                f"{_number(of.p50)} ({_number(of.p5)} to {_number(of.p95)})"
                for of in (one.prior, one.posterior)
            ),
        )
        for one in fleet.beliefs
        if one.posterior.sd < NARROWER * one.prior.sd
        or abs(one.posterior.mean - one.prior.mean) > MOVED * one.prior.sd
    ]
    (restart,) = (lever for lever in fleet.levers if lever.path == "recovery.restart_s")
    assert restart.would_do is not None
    mfu = whole().value("mfu")
    said = f"""## Is it a story of stragglers?

**If {REPORTED:.0%} is of the program**, the model FLOPs of its steps over the peak: not reached.
Over all ranges of variation below, with 1 to 16 microbatches, and with up to
{TRANSITIONS_S[-1]:g} s for each transition of GB200's power, it stays between
{program.lowest:.3f} and
{program.highest:.3f}, which is {program.lowest / REPORTED:.1f} times as much and more. A single GPU
of the 220,000 could do it, if it were {slow_gpu():.1f} times as slow as the others in every step,
because all others wait for it; but hosts that are some 10% slow are found and removed (MegaScale).

**If it is of the fleet**, the same over all GPUs and all hours: reached, from {fleet.lowest:.3f}
(a job that is interrupted after {work_minutes():.0f} minutes of work hardly ever reaches a
checkpoint that is due after three hours) to {fleet.highest:.3f}. A restart of
{restart.would_do / 60:.0f} minutes would do
alone. So would steps on {REPORTED / mfu:.0%} of the GPUs and hours at the program's {mfu:.3f},
with nothing of use in the others. What each unknown reaches alone, with all else as in the preset:

{_table(["unknown", "range", "fleet MFU", f"{REPORTED} at", "in its range"], levers, left=(0,))}

All unknowns together, of {fleet.n_points:,} points from their ranges with an effective sample
size of {fleet.ess or 0:.0f}: an observed {REPORTED} +- {TOLERANCE:g} moves the mean of these by
more than {MOVED} of their standard deviation, or narrows it by more than a fifth, and says next to
nothing of the others."""
    head = ["unknown", "median before (p5 to p95)", "after"]
    return _filled(f"{said}\n\n{_table(head, beliefs, left=(0,))}")


def mechanisms() -> str:
    """Return what each mechanism costs."""
    found = hm.attribute(NAME, seed=SEED)
    tables = []
    for metric, title in (("mfu", "MFU of the program"), ("fleet_mfu", "MFU of the fleet")):
        (value, _), (ideal, _) = found.ends(metric)
        shares = [
            share
            for share in found.shares
            if share.metric == metric and share.mechanism not in found.absent
        ]
        rows = [
            (
                in_words(one.mechanism),
                _signed(one.shapley),
                f"{_signed(100 * one.shapley / (ideal - value), 1)}%",
                _signed(one.alone),
                _signed(one.last),
            )
            for one in sorted(shares, key=lambda one: -one.shapley)
        ]
        columns = [f"{title}: {value:.3f}", "costs", "of the loss", "alone", "last"]
        tables.append(_table(columns, rows, left=(0,)))
    mix, bandwidth = found.share("mixed_generations"), found.share("collective_bandwidth")
    program, fleet = tables
    (mfu, _), (peak, _) = found.ends("mfu")
    return _filled(f"""## What costs what

Exact Shapley values ([how](engines.md#what-each-mechanism-costs)): the MFU that making each
mechanism ideal gains, as a mean over all orders; beside it what it gains *alone*, with all others
as they are, and *last*, with all others ideal.

{program}

{fleet}

The mix costs {mix.shapley:.3f} of the program's MFU, {mix.shapley / (peak - mfu):.0%} of what is
lost. The bandwidth of collectives costs {bandwidth.alone:.3f} removed first and
{bandwidth.last:.3f} removed last: one number for it is a choice of an order.""")


def failures() -> str:
    """Return what failures at published rates add."""
    account = whole().account
    assert account is not None

    def accounts(points: Sequence[Changes]) -> list[Account]:
        found = compiled().many(
            points,
            keep=lambda result: result.account,
            seed=SEED,
            runs=8,
            steps=100,
            days=30.0,
        )
        assert None not in found
        return [one for one in found if one is not None]

    alone: dict[str, Any] = {"recovery.replica_level": True}
    *by_restart, by_replica = accounts(
        [*({"recovery.restart_s": seconds} for seconds in RESTARTS_S), alone]
    )
    labels = [
        *(f"{seconds / 60:g} minutes" for seconds in RESTARTS_S),
        "10 minutes, of the replica alone",
    ]
    rows = [
        (label, f"{one.S:.3f}", f"{one.R:.3f}", f"{one.fleet_mfu:.3f}")
        for label, one in zip(labels, [*by_restart, by_replica], strict=True)
    ]
    days = account.interruptions_per_day
    per_day = sum(days.values())
    kinds = ", ".join(f"{name} {per_day:.1f}" for name, per_day in days.items())
    return _filled(f"""## What failures add

At the rates of Llama 3's 54 days on 16,384 H100 something stops such a job after every
{work_minutes():.0f} minutes of work, {per_day:.0f} times a day with restarts of ten minutes
({kinds}), and it goes back to its last checkpoint. What a restart of 220,000 GPUs takes is not
published: ten minutes of stall a failure are, of some 100,000 GPUs (FT-HSDP). The
interval between checkpoints is the best one for each row.

{_table(["restart", "S", "R", "fleet MFU"], rows, left=(0,))}

In the last row the other replicas go on without the one that failed, as FT-HSDP does
(`recovery.replica_level`): inside these ranges such a job does not come to
{REPORTED} by failures.""")


def slack() -> str:
    """Return what the slack of GB200 hides."""
    pools = {pool.name: pool for pool in compiled().plan.pools}
    h100_s, gb200_s = (pools[name].compute.step_s for name in ("h100", "gb200"))
    found = hm.attribute(NAME, changes={"pools.gb200.software_efficiency": 0.5}, **STEPS)
    share = found.share("software_mismatch")
    quiet_s, noisy_s = stall_of_gb200(QUIET, 1.0), stall_of_gb200({}, SLOWER)
    software = software_of_gb200()
    return _filled(f"""## What the slack of GB200 hides

Without variation a GB200 replica computes {gb200_s:.1f} s of a step and an H100 replica
{h100_s:.1f} s, {h100_s - gb200_s:.1f} s more. But a replica that computes less hides less of its
communication: without variation all GB200 can stop for {_down(quiet_s):.1f} s in each step before
any step gets longer, and for {_down(noisy_s):.1f} s with it, because the slowest of 200,000 Hopper
GPUs is waited for anyway (until the mean step is 0.1% longer).

So no step shows slow software on GB200, down to {_up(software):.2f} of
what the kernel benchmark reaches (`software_efficiency`): slower computing, other than a stop, also
hides more communication. Software of 0.5 on GB200 costs
{share.alone:.3f} alone and {share.shapley:.3f} by Shapley
value: it would show once the mix is balanced.""")


def smoothing() -> str:
    """Return what smoothing of the power of GB200 costs."""
    found = {
        label: [_smoothed(changes, seconds) for seconds in TRANSITIONS_S]
        for label, changes in WORK.items()
    }
    rows = [
        (f"{seconds:g} s", *(f"{one[place][0]:.3f}, {one[place][1]:.3f}" for one in found.values()))
        for place, seconds in enumerate(TRANSITIONS_S)
    ]
    share = hm.attribute(NAME, changes={TRANSITION: SHOWN_S}, **STEPS).share("power_smoothing")
    gb200_s = next(pool.compute.step_s for pool in compiled().plan.pools if pool.name == "gb200")
    return _filled(f"""## What smoothing of GB200's power costs

All GPUs compute and wait together, so the power of the site swings once a step. Blackwell GPUs
smooth theirs in hardware: a floor, ramps, a hysteresis. What going from waiting to work takes then
is not published. A slide says 5% of another way, in software, which is {0.05 * gb200_s:.1f} s of
what GB200 compute here; the preset takes nothing at its own values, and leaves open 0 to
{TRANSITIONS_S[-1]:g} s. MFU of the program and of the fleet, by the seconds of one transition:

{_table(["a transition", *WORK], rows)}

With equal work the slack of GB200 hides smoothing: no step is longer with {SHOWN_S:g} s. Only
restarts and checkpoints are, each by one transition, which is all that the fleet loses there. What
gives up equal work, so that GB200 wait less, gives up what hides it: with twice the sequences on
GB200 the program gains {found[WORK_TWICE][0][0] - found[WORK_EQUAL][0][0]:.3f} of MFU without
smoothing, and with {SHOWN_S:g} s loses
{found[WORK_EQUAL][2][0] - found[WORK_TWICE][2][0]:.3f} against equal work. So the same
{SHOWN_S:g} s cost {share.alone:.3f} alone and {share.shapley:.3f} by Shapley value: what else is
removed takes the slack away. Software that is aware of power (`pools.gb200.power_aware`) pays none
of it.

A forecast takes software that is not at its best, with which all GPUs compute for longer and GB200
wait for longer: over 64 draws MFU is {_forecast({})} with transitions of 0 to {TRANSITIONS_S[-1]:g}
s, and {_forecast({"pools.gb200.power_aware": True})} without any.""")


def _forecast(changes: Changes) -> str:
    """Return the interval of a forecast of MFU."""
    found = hm.forecast(NAME, changes=changes, seed=SEED)
    values = {
        row["statistic"]: row["value"] for row in found.summary_rows if row["metric"] == "mfu"
    }
    return f"{values['p5']:.4f} to {values['p95']:.4f}"


def _smoothed(changes: Changes, seconds: float) -> tuple[float, float]:
    """Return MFU and fleet MFU with so many seconds a transition of GB200."""
    changed = compiled().with_changes({**changes, TRANSITION: seconds})
    result = changed.simulate(**STEPS, days=30.0)
    return result.value("mfu"), result.value("fleet_mfu")


def three_jobs() -> str:
    """Return what three jobs instead of one keep."""
    table = to_table(compiled().scenario)
    rows, flops, peak = [], 0.0, 0.0
    gb200: dict[str, float] = {}
    for name in table["pools"]:
        result = hm.simulate(from_table(_of_one_pool(table, name), name), **STEPS, days=30.0)
        account, (pool,) = result.account, result.plan.pools
        assert account is not None
        of_pool = pool.n_gpus * pool.peak_flop_per_s
        flops, peak = flops + account.fleet_mfu * of_pool, peak + of_pool
        rows.append(_job_row(name, result))
        if name == "gb200":
            gb200 = {key: result.value(key) for key in ("step_time_s", "exposed_comm_s")}
    together = _job_row("one job", whole())
    rows += [("all three", together[1], "", "", f"{flops / peak:.3f}"), together]
    return _filled(f"""## Three jobs instead of one

The same model, layout, batch of a replica and rates, but a job for each type of GPU: no pool waits
for another one, and a failure stops only a part of the fleet.

{_table(["job", "GPUs", "program", "R", "fleet MFU"], rows, left=(0,))}

GB200 keeps least of its peak in the layout of the others: of a step of {gb200["step_time_s"]:.1f} s
{gb200["exposed_comm_s"]:.1f} s are transfers that do not hide behind so little computing, over
ports no faster than theirs.""")


def assumed() -> str:
    """Return what rests on an assumption."""
    lines = [
        textwrap.fill(f"- `{one['path']}`: {one['where']}", WIDTH, subsequent_indent="  ")
        for one in whole().assumed
    ]
    return "\n\n".join(
        (
            "## What of this is assumed",
            _filled(
                "The counts of GPUs are a broker's estimate. Model, layout and batch of the job "
                "are not known: they are those of a large public model. Rates of failures are "
                "those of another cluster, multiplied by its size. And where the scenario names "
                "an assumption:"
            ),
            "\n".join(lines),
            _filled(
                f"Not known at all: whether {REPORTED:.0%} is of programs or of the fleet, in "
                "which number format its peak counts (in FP8 the same work is half the MFU), "
                "whether it is of training only, and what the other 330,000 GPUs did."
            ),
        )
    )


def _least(does: Any, low: float, high: float) -> float:
    """Return the least number that does something, between one that does not and one that does."""
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if does(middle) else (middle, high)
    return high


def mean_step_s(changes: Changes) -> float:
    """Return the mean step time of the preset with changes."""
    changed = compiled().with_changes(changes)
    return float(changed.simulate_steps(seed=SEED, runs=8, steps=250).mean_step_s.mean())


def stall_of_gb200(quiet: Changes, longer: float) -> float:
    """Return the seconds for which all GB200 can stop in each step before steps get longer."""
    base_s = mean_step_s(quiet)

    def is_longer(seconds: float) -> bool:
        stop: dict[str, Any] = {
            "law": {"name": "constant", "value": seconds},
            "affects": "compute",
            "effect": "stall",
            "scope": "pool",
            "span": "step",
            "pools": ["gb200"],
        }
        return mean_step_s({**quiet, "causes.stop": stop}) > longer * base_s

    return _least(is_longer, 0.0, 10.0)


def software_of_gb200() -> float:
    """Return the software efficiency of GB200 below which a step gets longer."""
    base_s = mean_step_s(QUIET)

    def is_longer(lost: float) -> bool:
        return mean_step_s({**QUIET, "pools.gb200.software_efficiency": 1 - lost}) > base_s

    return 1 - _least(is_longer, 0.0, 0.9)


def slow_gpu() -> float:
    """Return how many times as slow one GPU is with which the program comes to the report."""

    def is_enough(slowdown: float) -> bool:
        one: dict[str, Any] = {
            "law": {"name": "constant", "value": slowdown},
            "affects": "compute",
            "effect": "slowdown",
            "scope": "gpu",
            "span": "run",
            "pools": ["h100"],
            "units": [0],
        }
        slowed = compiled().with_changes({"causes.slow": one})
        result = slowed.simulate_steps(seed=SEED, runs=1, steps=4)
        return result.value("mfu") < REPORTED

    return _least(is_enough, 1.0, 16.0)


def work_minutes() -> float:
    """Return the minutes of computing after which something stops the job, on average."""
    fleet = Fleet(scenario=compiled().scenario, plan=compiled().plan)
    return 60 / fleet.rollbacks_per_hour


def _down(number: float) -> float:
    """Return a number with one decimal that is not more."""
    return math.floor(10 * number) / 10


def _up(number: float) -> float:
    """Return a number with two decimals that is not less."""
    return math.ceil(100 * number) / 100


def _of_one_pool(table: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a scenario's table with one of its pools only."""
    kept: dict[str, Any] = {
        key: {
            path: one
            for path, one in table[key].items()
            if not path.startswith("pools.") or path.startswith(f"pools.{name}.")
        }
        for key in ("basis", "unknowns")
    }
    return {**table, "name": name, "pools": {name: table["pools"][name]}, **kept}


def _job_row(label: str, result: hm.Result) -> tuple[str, ...]:
    account = result.account
    assert account is not None
    return (
        label,
        f"{sum(pool.n_gpus for pool in result.plan.pools):,}",
        f"{result.value('mfu'):.3f}",
        f"{account.R:.3f}",
        f"{account.fleet_mfu:.3f}",
    )


def _signed(number: float, digits: int = 4) -> str:
    """Return a number without the sign of what rounds to 0."""
    return f"{round(number, digits) + 0.0:.{digits}f}"


def _number(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def _ends(low: float | None, high: float | None) -> str:
    return " to ".join("refused" if end is None else f"{end:.3f}" for end in (low, high))


def _table(head: Sequence[str], lines: Iterable[Sequence[str]], left: Sequence[int] = ()) -> str:
    rule = [":---" if column in left else "---:" for column in range(len(head))]
    return "\n".join("| " + " | ".join(line) + " |" for line in [head, rule, *lines])


def _filled(text: str) -> str:
    """Return a text with its paragraphs, but not its tables and headings, in lines of one width."""
    return "\n\n".join(
        part if part.startswith(("|", "#")) else textwrap.fill(part, WIDTH, break_on_hyphens=False)
        for part in text.split("\n\n")
    )


QUICK_PARTS = (head, mechanisms, failures, slack, smoothing, three_jobs, assumed)
"""Parts that take seconds: they move with whatever moves the others."""

if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
