"""Published layouts fit into the memory of the GPUs that they ran on.

The data lie beside the project, not in it; without them these tests are skipped.
"""

from __future__ import annotations

import re
from typing import Any

import polars as pl
import pytest

import hindmost as hm
from hindmost import catalog
from hindmost.physics.flops import parameters
from hindmost.plan import make_plan
from tests.plans import counts, pool_plan
from tests.validation.families import ABSENT, DATA

TABLE = DATA / "mfu_vs_scale.csv"

pytestmark = pytest.mark.skipif(not TABLE.is_file(), reason=ABSENT)

Row = dict[str, Any]

GPUS = {"H100 80GB": "h100-sxm", "A100 80GB": "a100-sxm", "A100 (paper: Ampere GPUs)": "a100-sxm"}

HEADS = {2304: 24, 3072: 32, 4096: 32, 6144: 48, 8192: 64, 10_240: 80, 12_288: 96, 16_384: 128}
HEADS |= {20_480: 128, 25_600: 160, 14_336: 112}

# Layers, width and vocabulary of GPTs whose shape stands elsewhere in their papers.
SHAPES = {"175B GPT": (96, 12_288, 64_000), "530B GPT": (105, 20_480, 64_000)}
SHAPES |= {"174.6B GPT": (96, 12_288, 51_200), "529.6B GPT": (105, 20_480, 51_200)}
SHAPES |= {"BLOOM 176B": (70, 14_336, 250_880)}

ZERO3_MICROBATCHES = {384: 4, 640: 4, 768: 2, 1120: 2, 1536: 1, 2240: 1}
"""Sequences of a microbatch by GPUs (Narayanan et al., SC 2021, table 2)."""


def rows() -> list[Row]:
    if not TABLE.is_file():
        return []
    table = pl.read_csv(TABLE, infer_schema_length=None)
    return table.drop_nulls(["tp", "pp", "cp", "dp"]).to_dicts()


def label(row: Row) -> str:
    return f"{row['model']}-{row['n_accel']}-{row['tp']}-{row['pp']}-{row['cp']}"


def shape_of(name: str) -> tuple[int, int, int]:
    """Return layers, width and vocabulary: those that a name tells, or the paper's."""
    found = re.search(r"\(h=(\d+),l=(\d+)\)", name)
    if found:
        return int(found[2]), int(found[1]), 51_200
    return SHAPES[next(key for key in SHAPES if name.startswith(key))]


def model_of(row: Row) -> Row:
    """Return the changes that make the model of a row."""
    if row["model"].startswith("Llama"):
        return {"workload.model": "llama3-405b"}
    n_layers, hidden, vocabulary = shape_of(row["model"])
    heads = HEADS[hidden]
    gpt = {"n_layers": n_layers, "hidden": hidden, "n_heads": heads, "n_kv_heads": heads}
    gpt |= {"head_dim": hidden // heads, "ffn_hidden": 4 * hidden, "vocabulary": vocabulary}
    return {"models.gpt": {**gpt, "gated": False, "tied": True}, "workload.model": "gpt"}


def recompute_of(row: Row) -> str:
    """Full on Selene and Jean Zay, as their FLOPs count it; selective elsewhere."""
    full = row["system"] == "Selene" or row["model"].startswith("BLOOM")
    return "full" if full else "selective"


def layout_of(row: Row) -> Row:
    """Return the changes that make the layout of a row."""
    layout: Row = {"layout.tensor": row["tp"], "layout.pipeline": row["pp"]}
    layout |= {"layout.context": row["cp"], "layout.sharding": "zero1"}
    if "ZeRO-3" in row["table_or_section"]:
        layout["layout.sharding"] = "zero3"
    if row["system"] == "Megatron-LM":
        chunks = 6 if row["pp"] == 8 else 3
        layout |= {"layout.schedule": "interleaved", "layout.chunks": chunks}
    if row["system"] == "Selene":
        # Neither optimizer states nor gradients were sharded then.
        zero3 = "ZeRO-3" in row["table_or_section"]
        layout["layout.sharding"] = "zero3" if zero3 else "none"
    return layout


def scenario_of(row: Row) -> hm.Scenario:
    zero3 = "ZeRO-3" in row["table_or_section"]
    changes: Row = {
        "pools.h100.gpu": GPUS[row["accelerator"]],
        "pools.h100.n_gpus": row["n_accel"],
        "workload.seq_len": row["seq_len"],
        "workload.microbatch_seqs": ZERO3_MICROBATCHES[row["n_accel"]] if zero3 else 1,
        "workload.n_microbatches": max(1, row["global_batch_seqs"] // row["dp"]),
        "workload.recompute": recompute_of(row),
    }
    if zero3:
        changes["workload.n_microbatches"] = 1
    return hm.load("h100-1k", {**changes, **model_of(row), **layout_of(row)})


def test_the_table_has_the_layouts() -> None:
    assert len(rows()) >= 30


@pytest.mark.parametrize("row", rows(), ids=label)
def test_a_published_layout_has_its_replicas_and_fits(row: Row) -> None:
    scenario = scenario_of(row)
    assert counts(scenario).n_replicas == row["dp"]
    make_plan(scenario)
    needed = pool_plan(scenario, "h100").memory.total_bytes
    # A real GPU needs room for logits, buffers and its allocator, too.
    assert needed < 0.95 * catalog.gpu(scenario.pools["h100"].gpu).memory_bytes


@pytest.mark.parametrize("row", rows(), ids=label)
def test_a_published_model_is_of_the_size_in_its_name(row: Row) -> None:
    found = re.search(r"([\d.]+)B", row["model"])
    assert found
    within = 0.005 if row["system"] == "Selene" else 0.02
    size = parameters(scenario_of(row).model)
    assert size == pytest.approx(1e9 * float(found[1]), rel=within + 0.05 / float(found[1]))
