"""Families of benchmark recipes, each at many scales, as vendors publish them.

The figures lie beside the project, not in it; how they were run is in their file.
"""

from __future__ import annotations

from functools import cache
from typing import Any, cast

import polars as pl

from tests.validation.families import (
    DATA,
    LIMIT_OF_ONE_NUMBER,
    Dimensions,
    Family,
    Row,
    Unit,
)

LIMIT_ON_A_TORUS = 0.08
"""Greatest error of a predicted row on a torus."""

TITLES = {
    "eos-405b-fp8": "Llama 3.1 405B in FP8, NeMo on H100",
    "eos-70b-fp8": "Llama 3.1 70B in FP8, NeMo on H100",
    "eos-gpt3-bf16": "GPT-3 175B, NeMo on H100",
    "eos-gpt3-fp8": "GPT-3 175B in FP8, NeMo on H100 (recipe)",
    "eos-nemotron340b-bf16": "Nemotron 340B, NeMo on H100",
    "eos-nemotron340b-fp8": "Nemotron 340B in FP8, NeMo on H100",
    "eos-nemotron15b-bf16": "Nemotron 15B, NeMo on H100",
    "eos-nemotron15b-fp8": "Nemotron 15B in FP8, NeMo on H100",
    "eos-8b-bf16": "Llama 3.1 8B, NeMo on H100",
    "eos-8b-fp8": "Llama 3.1 8B in FP8, NeMo on H100",
    "eos-grok1-bf16": "Grok-1 314B, NeMo on H100",
    "eos-grok1-fp8": "Grok-1 314B in FP8, NeMo on H100",
    "eos-maxtext70b-bf16": "Llama 3.1 70B, MaxText on H100",
    "eos-maxtext70b-fp8": "Llama 3.1 70B in FP8, MaxText on H100",
    "dgxc-dsv3-h100": "DeepSeek-V3, NeMo on H100",
    "maxtext-v5e-16b": "A model of 16B, MaxText on TPU v5e",
}
"""What the families are called here, by their names in the file."""

HEAD_DIM = {"maxtext-v5e-16b": 128}
"""Width of a head where it is not the residual width over the heads: with 64 heads of 128 the
model has its 16B parameters."""

SLICE = (16, 16)
"""Chips of a slice of TPU v5e."""


@cache
def recipes() -> tuple[Family, ...]:
    """Return the families of benchmark recipes, in the order of their file."""
    table = pl.read_csv(DATA / "scaling_families.csv", infer_schema_length=0)
    return tuple(_family(row) for row in table.iter_rows(named=True))


def recipe(name: str) -> Family:
    """Return the family called `name`."""
    return next(family for family in recipes() if family.name == name)


def _family(row: dict[str, str]) -> Family:
    scales = [scale.split(":") for scale in row["gpus:microbatches:published"].split()]
    is_torus = row["gpu"].startswith("tpu")
    rows = tuple(
        _row(row, index, int(n_gpus), int(microbatches), float(published))
        for index, (n_gpus, microbatches, published) in enumerate(scales)
    )
    return Family(
        name=row["family"],
        title=TITLES[row["family"]],
        paper=row["family"].partition("-")[0],
        source=row["source"],
        layout=(
            "the recipe's; slices of 16 x 16 chips, states in shards within one"
            if is_torus
            else "the recipe's; interleaved chunks where it has several"
        ),
        unit=cast(Unit, row["unit"]),
        rows=rows,
        limit=LIMIT_ON_A_TORUS if is_torus else LIMIT_OF_ONE_NUMBER,
    )


def _row(row: dict[str, str], index: int, n_gpus: int, microbatches: int, published: float) -> Row:
    is_torus = row["gpu"].startswith("tpu")

    def of_scale(key: str) -> int:
        """Return a number that may differ from one scale to the next."""
        found = row[key].split("/")
        return int(found[min(index, len(found) - 1)])

    tensor, pipeline, context = of_scale("tp"), of_scale("pp"), of_scale("cp")
    replicas = n_gpus // (tensor * pipeline * context)
    microbatch_seqs = int(row["microbatch_seqs"])
    shape: dict[str, Any] = {"slice_shape": SLICE} if is_torus else {}
    return Row(
        published=published,
        n_gpus=n_gpus,
        batch_seqs=replicas * microbatches * microbatch_seqs,
        seq_len=int(row["seq_len"]),
        microbatch_seqs=microbatch_seqs,
        gpu=row["gpu"],
        fabric="tpu-ici-v5e" if is_torus else "infiniband-ndr",
        model=_model(row),
        dtype="fp8" if row["dtype"] == "fp8" else "bf16",
        # On a TPU, tiles leave the chip while the next ones are computed: with the time of its
        # memory beside that of its products no kernel efficiency would be enough.
        stack="best" if is_torus else "tuned",
        attention="causal",
        recompute=row["recompute"],
        tensor=tensor,
        pipeline=pipeline,
        chunks=of_scale("chunks"),
        context=context,
        expert=of_scale("ep"),
        sharding=row["sharding"],
        **shape,
    )


def _model(row: dict[str, str]) -> str | Dimensions:
    """Return a model of the catalogue, or the one whose dimensions the file gives."""
    kind, _, dimensions = row["model"].partition(" ")
    if kind != "own":
        return kind
    n_layers, hidden, n_heads, n_kv_heads, ffn_hidden, vocabulary = map(int, dimensions.split("/"))
    return Dimensions(
        n_layers=n_layers,
        hidden=hidden,
        n_heads=n_heads,
        n_kv_heads=n_kv_heads,
        head_dim=HEAD_DIM.get(row["family"], hidden // n_heads),
        ffn_hidden=ffn_hidden,
        vocabulary=vocabulary,
        # Nemotron's activation is a squared ReLU, without a gate.
        gated="nemotron" not in row["family"],
        experts=(8, 2) if "grok" in row["family"] else None,
    )
