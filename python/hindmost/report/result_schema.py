"""JSON Schema of a result's document."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from typing import Any

from hindmost.analyses.caps import MovedCap
from hindmost.energy import PHASES
from hindmost.engines import METHODS
from hindmost.forecasted import FORECAST_METRICS, FORECAST_STATISTICS
from hindmost.metrics import METRICS, RUN_METRICS, STATISTICS
from hindmost.result import EPISODES_OF_POOLS, IN_EPISODE
from hindmost.scenario.models import Scenario
from hindmost.slices.slices import PLACEMENTS, QUANTILES
from hindmost.whole_run.hours import NAMES

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def result_schema() -> Schema:
    """Return the JSON Schema of what `run --format json` prints and `run -o FILE.json` writes.

    The scenario below ``inputs`` has the schema of a scenario with all its keys, extensions and
    changes laid over each other.
    """
    scenario = Scenario.model_json_schema()
    definitions = scenario.pop("$defs")
    document = _table(
        {
            "inputs": _table(
                {
                    "scenario": {"$ref": "#/$defs/Scenario"},
                    "seed": _integer("Seed of all random numbers."),
                    "runs": _integer("Runs."),
                    "steps": _integer("Steps of a run."),
                    "method": _name(*(name for name in METHODS if name != "auto")),
                    "version": _string("Version of the package that made the result."),
                    "days": _number("Days of a whole run; only with failures."),
                    "tokens": _or_null(_number("Tokens to be trained on; only with failures.")),
                    "asked": _table(
                        {
                            "method": _name(*METHODS),
                            "runs": _or_null(_integer("Runs.")),
                            "steps": _or_null(_integer("Steps of a run.")),
                            "terms": _truth("Whether what each step is made of is kept."),
                            "days": _or_null(_number("Days of a whole run.")),
                            "tokens": _or_null(_number("Tokens to be trained on.")),
                            "precision": _number("Relative error of the mean step time."),
                        },
                        "What the call asked for, null for a default; a repetition with changes "
                        "asks for it again. Absent in results of older versions.",
                        optional=("terms", "days", "tokens", "precision"),
                    ),
                },
                "All that a repetition takes.",
                optional=("asked", "days", "tokens"),
            ),
            "machine": _table(
                {
                    "threads": _integer("Threads."),
                    "instruction_set": _string("Instruction set of the kernels."),
                    "wall_time_s": _number("Seconds that the simulation took."),
                },
                "What made the result and does not change it.",
            ),
            "why": _string("Why the method was chosen, and how far off it is if approximate."),
            "forecast": _table(
                _forecast(),
                "What the scenario comes to with what is not known of it drawn anew in every run; "
                "absent with --at-values. Statistics are over runs of the runs' means.",
            ),
            "summary": _rows(
                {
                    "metric": _metric(),
                    "statistic": _statistic(),
                    "value": _number(
                        "Statistic of all steps of all runs; the mean of mfu is a ratio of sums."
                    ),
                    "std_error": _or_null(
                        _number("Standard error by delete-one-run jackknife; null for one run.")
                    ),
                },
                "One row a metric and statistic.",
            ),
            "pools": _rows(_pool(), "One row a pool.", optional=EPISODES_OF_POOLS),
            "power": _table(
                {
                    "phases": _rows(_phase(), "One row a pool and phase of a mean step."),
                    "cluster": _table(_energy(), "Energy and power of all pools together."),
                },
                "Power and energy; null where a power of a GPU is not known, or the number is "
                "beyond all others.",
            ),
            "account": {
                **_described(
                    "object",
                    "Where the time of the cluster goes in whole runs, with failures: all runs "
                    "together, so that fleet_mfu = S x R x P. With [slices] what these take, too.",
                ),
                "anyOf": [
                    _table({**_account(), "slices": _slices()}, optional=("slices", "episodes")),
                    _table({"slices": _slices()}, "Without failures."),
                ],
            },
            "caps": _rows(_moved_cap(), "One row a moved cap; only with --caps."),
            "assumed": _rows(
                {
                    "path": _string("Key path of a number."),
                    "where": _string("What is assumed, and why."),
                },
                "Numbers that rest on an assumption.",
            ),
            "unknowns": scenario["properties"]["unknowns"],
            "not_modelled": _list(_string(), "What is known to matter and is left out."),
            "warnings": _rows(
                {
                    "metric": _or_null(_metric()),
                    "statistic": _or_null(_statistic()),
                    "path": _or_null(_string("Key path; null where a statistic is named.")),
                    "warning": _string(
                        "Why the standard error is not to be trusted, or what is suspect about the "
                        "value at the key path."
                    ),
                },
                "Statistics whose standard errors are not to be trusted, with path null; and what "
                "in the scenario is probably not meant, with metric and statistic null.",
            ),
            "attribution": {
                **_described("object", "What `hindmost attribute --format json` prints of it."),
                "required": ["inputs", "from", "to", "mechanisms"],
            },
            "steps": _table(
                _steps(), "One list a column of the steps; only in files.", optional=(IN_EPISODE,)
            ),
            "terms": _table(
                _terms(),
                "What each step is made of, one list a column; only in files, and only with "
                "--terms. A step takes the longest compute_s + stall_s + exposed communication of "
                "all rows of replicas.",
            ),
        },
        "What `hindmost run` says of a scenario.",
        optional=("forecast", "account", "caps", "attribution", "steps", "terms"),
    )
    return {
        "$schema": DIALECT,
        "title": "Result",
        **document,
        "$defs": {**definitions, "Scenario": scenario},
    }


def _metric() -> Schema:
    meanings = {name: metric.meaning for name, metric in METRICS.items()}
    meanings |= {name: metric.meaning for name, metric in RUN_METRICS.items()}
    described = " ".join(f"{name}: {meaning}" for name, meaning in meanings.items())
    return {**_name(*meanings), "description": described}


def _statistic() -> Schema:
    return _name(*STATISTICS)


def _pool() -> Schema:
    return {
        "pool": _string("Name of the pool."),
        "n_gpus": _integer("GPUs of the pool."),
        "n_spares": _integer("GPUs that fill no replica or no domain."),
        "busy_frac": _number("Share of time in which a rank computes."),
        "wait_frac": _number("Share of time in which a rank waits for a slower one."),
        "slowest_frac": _number("Share of steps in which the barrier waited for the pool."),
        "mfu": _number("Model FLOPs of a rank over what its dense peak does in the step time."),
        "energy_j": _or_null(
            _number(
                "Joules of all GPUs of the pool in a step; null where a power is not known, or the "
                "energy is beyond all numbers."
            )
        ),
        "busy_for_episodes_frac": _number(
            "Part of busy_frac in which the average rank computes longer because of its own "
            "episodes; only where computing may be slow in episodes."
        ),
        "slowest_in_episode_frac": _number(
            "Part of slowest_frac in which the slowest replica was in an episode; only where "
            "computing may be slow in episodes."
        ),
        "wait_for_episodes_frac": _number(
            "Part of wait_frac in steps that waited for a replica in an episode; only where "
            "computing may be slow in episodes."
        ),
    }


def _phase() -> Schema:
    return {
        "pool": _string("Name of the pool."),
        "phase": _name(*PHASES),
        "seconds": _number("Seconds of the phase; they add up to the mean step time."),
        "watts": _or_null(_number("Mean power of all GPUs of the pool, spares included.")),
        "joules": _or_null(_number("Their energy; it adds up to energy_j of the pool.")),
    }


def _energy() -> Schema:
    meanings = {
        "step_j": "Joules of a mean step.",
        "token_j": "Joules of each of its tokens.",
        "run_j": "Joules of a whole run; null without failures.",
        "run_token_j": "Joules of a whole run for each token of its kept steps.",
        "mean_w": "Watts over a mean step, on average.",
        "peak_w": "The most watts at a time.",
        "trough_w": "The least watts at a time.",
        "swing_w": "What lies between both.",
        "up_w_per_s": "Watts a second by which it rises at most; null where it jumps.",
        "down_w_per_s": "Watts a second by which it falls at most; null where it jumps.",
    }
    numbers = {name: _or_null(_number(meaning)) for name, meaning in meanings.items()}
    return {**numbers, "hint": _or_null(_string("What is missing, and how it is given."))}


def _account() -> Schema:
    def by_name(description: str) -> Schema:
        return _table({name: _number() for name in NAMES}, description)

    return {
        "S": _number("Peak-weighted share of all time that the job holds GPUs."),
        "R": _number("Share of that in steps whose result was kept."),
        "P": _or_null(
            _number("Model FLOPs of these steps over peak x their time; null if there are none.")
        ),
        "fleet_mfu": _number(RUN_METRICS["fleet_mfu"].meaning),
        "days": _number("Days of a run."),
        "interval_s": _or_null(
            _number("Seconds of computing between checkpoints; null without checkpoints.")
        ),
        "hours": by_name("GPU-hours of the average run."),
        "shares": by_name("Peak-weighted shares of all time, which add up to 1."),
        "episodes": _table(
            {
                "waiting": _number("For replicas that are in one."),
                "computing": _number("Longer because of a rank's own."),
            },
            "Peak-weighted shares of all time that episodes take of kept steps; only where "
            "computing may be slow in episodes.",
        ),
        "interruptions_per_day": {
            **_described("object", "Failures a day that stop the job, by name."),
            "additionalProperties": _number(),
        },
        "warning": _or_null(_string("Why the job makes no progress, if it makes none.")),
        "budget": {
            "anyOf": [
                _table(
                    {
                        "tokens": _number("Tokens to be trained on."),
                        "n_runs": _integer("Runs."),
                        "n_done": _integer("Runs that get there."),
                        "days": _table(
                            {name: _or_null(_number()) for name in ("p5", "p50", "p95")},
                            "Days that they take; null where too few get there.",
                        ),
                    }
                ),
                {"type": "null"},
            ],
            "description": "How long the tokens take that were asked for.",
        },
    }


def _slices() -> Schema:
    def by_name(names: Iterable[str], description: str) -> Schema:
        return _table({name: _number() for name in names}, description)

    share = "share of the pod's cubes"
    return _table(
        {
            "placement": _name(*PLACEMENTS),
            "cubes": _integer("Cubes of the pod."),
            "cube_gpus": _integer("GPUs of a cube."),
            "slice_cubes": _integer("Cubes of a slice."),
            "host_availability": _number("Share of time in which a host is up."),
            "cube_availability": _number("Share of time in which a cube is up."),
            "share_placed": _number(f"The {share} that slices take on average."),
            "quantiles": by_name(QUANTILES, f"Percentiles of the {share} that slices take."),
            "share_placed_by_placement": by_name(
                PLACEMENTS, f"The {share} that slices take on average, with switches and without."
            ),
            "job_slices": _integer("Slices of the job."),
            "job_fits_by_placement": by_name(
                PLACEMENTS, "Share of time in which they fit, with switches and without."
            ),
            "by_size": _rows(
                {
                    "slice_cubes": _integer("Cubes of a slice."),
                    "n_gpus": _integer("GPUs of a slice."),
                    "placement": _name(*PLACEMENTS),
                    "share_placed": _number(f"The {share} placed on average."),
                    **{name: _number(f"Percentile of the {share} placed.") for name in QUANTILES},
                    "fits": _number("Share of time in which one slice fits."),
                    "kept": _or_null(
                        _number("Share of its time that a slice keeps; null without closed form.")
                    ),
                    "goodput": _number("Share of all of the pod's time that slices keep."),
                },
                "One row a size and placement.",
            ),
        },
        "What slices of the scenario's pod take; only with [slices].",
    )


def _forecast() -> Schema:
    def by_statistic(description: str, value: Schema) -> Schema:
        return _table(dict.fromkeys(FORECAST_STATISTICS, value), description)

    paths = _string("Key path.")
    return {
        **{name: by_statistic(METRICS[name].meaning, _number()) for name in FORECAST_METRICS},
        "std_error": _table(
            {name: by_statistic("", _or_null(_number())) for name in FORECAST_METRICS},
            "Standard errors, as if runs were independent; null for one run.",
        ),
        "stack": _string("Software stack of the forecast, which may leave more unknown."),
        "seed": _integer("Seed of all draws."),
        "runs": _integer("Runs, each with its own draws."),
        "steps": _integer("Steps of a run."),
        "method": _name(*(name for name in METHODS if name != "auto")),
        "unknowns": {
            **_described("object", "Law of what is drawn, by key path."),
            "additionalProperties": {"type": "object"},
        },
        "held": _list(paths, "Unknowns that stay as they are: they change the tokens of a step."),
        "idle": _list(paths, "Unknowns that do not act on steps, but on whole runs."),
        "n_redrawn": _integer("Draws that the scenario refuses, which were made again."),
    }


def _moved_cap() -> Schema:
    kinds = {"str": _string(), "float": _number(), "float | None": _or_null(_number())}
    return {field.name: kinds[str(field.type)] for field in fields(MovedCap)}


def _steps() -> Schema:
    numbers = {name: _list(_number(), metric.meaning) for name, metric in METRICS.items()}
    return {
        **_run_and_step(),
        **numbers,
        "slowest_pool": _list(_string(), "Pool of the slowest replica."),
        IN_EPISODE: _list(
            {"type": "boolean"},
            "Whether the slowest replica is in an episode; only where computing may be slow in "
            "episodes.",
        ),
    }


def _terms() -> Schema:
    pool = _list(_string(), "Name of the pool.")
    return {
        "replicas": _table(
            {
                **_run_and_step(),
                "pool": pool,
                "compute_s": _list(_number(), "Seconds that a replica computes, without stalls."),
                "stall_s": _list(_number(), "Seconds that its stalls cost."),
            },
            "By pool, the replicas of which no other computes and is stalled at least as long.",
        ),
        "transfers": _table(
            {
                **_run_and_step(),
                "term": _list(_string(), "Phase of the step that can hide the transfers."),
                "pool": _list(_string(), "Pool that completes them last."),
                "transfer_factor": _list(_number(), "Factor on that pool's transfers."),
                "latency_factor": _list(_number(), "Factor on its latency."),
                "stall_s": _list(_number(), "Longest stall of a port; 0 but for the last term."),
                "time_s": _list(_number(), "Seconds that they come to."),
            },
            "Communication terms.",
        ),
        "ports": _table(
            {
                **_run_and_step(),
                "pool": pool,
                "slowdown": _list(_number(), "Greatest factor on transfers of its ports."),
                "stall_s": _list(_number(), "Longest stall of its ports."),
            },
            "Worst ports of each pool; they may be of different ports.",
        ),
    }


def _run_and_step() -> Schema:
    return {
        "run": _list(_integer(), "Run, counted from 0."),
        "step": _list(_integer(), "Step of the run, counted from 0."),
    }


def _table(properties: Schema, description: str = "", *, optional: tuple[str, ...] = ()) -> Schema:
    """Return the schema of a table whose keys are all known."""
    return {
        **_described("object", description),
        "properties": properties,
        "required": [key for key in properties if key not in optional],
        "additionalProperties": False,
    }


def _rows(columns: Schema, description: str, *, optional: tuple[str, ...] = ()) -> Schema:
    return _list(_table(columns, optional=optional), description)


def _list(items: Schema, description: str) -> Schema:
    return {**_described("array", description), "items": items}


def _name(*known: str) -> Schema:
    return {"type": "string", "enum": list(known)}


def _string(description: str = "") -> Schema:
    return _described("string", description)


def _integer(description: str = "") -> Schema:
    return _described("integer", description)


def _truth(description: str) -> Schema:
    return _described("boolean", description)


def _number(description: str = "") -> Schema:
    return _described("number", description)


def _or_null(schema: Schema) -> Schema:
    """Return the schema of a value that may be null; the description goes with both."""
    description = {"description": schema["description"]} if "description" in schema else {}
    if "enum" in schema:
        return {"type": [schema["type"], "null"], "enum": [*schema["enum"], None], **description}
    return {"anyOf": [{"type": schema["type"]}, {"type": "null"}], **description}


def _described(kind: str, description: str) -> Schema:
    return {"type": kind, "description": description} if description else {"type": kind}
