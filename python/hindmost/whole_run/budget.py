"""How long a job takes for its tokens."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hindmost.arguments import DAYS
from hindmost.whole_run.account import Account, Floats
from hindmost.whole_run.fleet import SECONDS_PER_DAY, Fleet
from hindmost.whole_run.hours import RunHours

MOST_DAYS = DAYS[1]
"""Days after which a run is given up."""
MOST_TIMES = 20.0
"""Factor on the expected days after which runs are cut off, and simulated again for longer."""
BUDGET_RUNS = 256
"""Runs from which percentiles are taken, unless that takes too long."""
MOST_FAILURES = 4_000_000
"""Failures of all these runs together, about."""


def with_budget(
    hours: RunHours,
    fleet: Fleet,
    mean_step_s: Floats,
    *,
    tokens: float,
    seed: int,
    threads: int,
) -> RunHours:
    """Return simulated runs with the days of further ones until they have some tokens.

    A run that takes a century has no days.

    Parameters
    ----------
    hours
        Runs of some days each, which say how long it takes about.
    fleet
        The job on its cluster.
    mean_step_s
        Seconds of a step of each run, which further runs take in turn.
    tokens
        Tokens to be trained on.
    seed, threads
        As in `simulate`; run r is the same as there.

    Notes
    -----
    A run ends when the last token has been trained on, before that is in any checkpoint.
    """
    account = Account.of(hours, fleet.plan, mean_step_s)
    tokens_per_day = float(account.by_run["tokens_per_day"].mean())
    n_runs = len(mean_step_s)
    # Runs of few days may have kept nothing yet, or more than they will.
    days = hours.days if tokens_per_day <= 0 else min(MOST_DAYS, tokens / tokens_per_day)
    failures = fleet.failures_per_hour * 24 * days
    n_runs = max(n_runs, min(BUDGET_RUNS, int(MOST_FAILURES / max(1.0, failures))))
    steps_s = np.resize(mean_step_s, n_runs)
    while True:
        days = min(MOST_DAYS, MOST_TIMES * days)
        found = fleet.walk(
            seed=seed,
            runs=(0, n_runs),
            seconds=days * SECONDS_PER_DAY,
            threads=threads,
            work=(tokens / fleet.plan.tokens * steps_s).tolist(),
        )
        if found["is_done"].all() or days == MOST_DAYS:
            break
    ends = (found["end_s"] / SECONDS_PER_DAY).tolist()
    is_done = found["is_done"].tolist()
    of_runs = [day if done else None for day, done in zip(ends, is_done, strict=True)]
    return replace(hours, budget_tokens=tokens, budget_days=of_runs)
