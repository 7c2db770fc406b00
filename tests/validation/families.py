"""Published measurements: families of jobs of one software at several scales.

The figures lie beside the project, not in it, but for a few in `typed`; what the files
leave out stands here, each with its source in `Family.layout`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

import polars as pl

from hindmost.catalog import Dtype
from tests.validation import typed

DATA = Path(__file__).parents[3] / "shared" / "data"
ABSENT = "the published data are not beside the project"

Figures = Iterable[tuple[Any, ...]]
"""Published figures, and the columns that tell where each was measured."""
Unit = Literal["s", "TFLOP/s", "hardware TFLOP/s", "MFU %"]

LIMIT_OF_TWO_NUMBERS = 0.03
"""Greatest error of a predicted row, where two numbers are fitted."""
LIMIT_OF_ONE_NUMBER = 0.05
"""Greatest error where one number is fitted."""
LIMIT_ACROSS_THE_JUMP = 0.12
"""Greatest error in the family whose published figures jump between two scales."""


@dataclass(frozen=True, kw_only=True)
class Gpt:
    """Dimensions of a GPT: products four times as wide, a tied output layer."""

    n_layers: int
    hidden: int
    n_heads: int
    vocabulary: int

    @property
    def table(self) -> dict[str, int | bool]:
        """The model as a scenario writes it."""
        return {
            "n_layers": self.n_layers,
            "hidden": self.hidden,
            "n_heads": self.n_heads,
            "n_kv_heads": self.n_heads,
            "head_dim": self.hidden // self.n_heads,
            "ffn_hidden": 4 * self.hidden,
            "vocabulary": self.vocabulary,
            "gated": False,
            "tied": True,
        }


@dataclass(frozen=True, kw_only=True)
class Dimensions:
    """Dimensions of a model that the catalogue does not have."""

    n_layers: int
    hidden: int
    n_heads: int
    n_kv_heads: int
    head_dim: int
    ffn_hidden: int
    vocabulary: int
    gated: bool = True
    experts: tuple[int, int] | None = None
    """Experts as wide as the feed-forward network, and how many of them a token meets."""

    @property
    def table(self) -> dict[str, Any]:
        """The model as a scenario writes it."""
        names = ("n_layers", "hidden", "n_heads", "n_kv_heads", "head_dim", "ffn_hidden")
        found: dict[str, Any] = {name: getattr(self, name) for name in names}
        found |= {"vocabulary": self.vocabulary, "gated": self.gated, "tied": False}
        if self.experts is not None:
            n_experts, per_token = self.experts
            width = {"ffn_hidden": self.ffn_hidden}
            found["experts"] = {"n_experts": n_experts, "per_token": per_token, **width}
        return found


@dataclass(frozen=True, kw_only=True)
class Row:
    """One published figure, and the job that it was measured on."""

    published: float = 0.0
    n_gpus: int = 0
    batch_seqs: int = 0
    seq_len: int = 2048
    microbatch_seqs: int = 1
    gpu: str
    fabric: str
    model: str | Gpt | Dimensions
    dtype: Dtype = "bf16"
    stack: str = "typical"
    attention: str = "full"
    recompute: str = "selective"
    tensor: int = 8
    pipeline: int = 1
    chunks: int = 1
    context: int = 1
    expert: int = 1
    sharding: str = "zero1"
    order: str = "tp-cp-ep-dp-pp"
    stage_layers: tuple[int, ...] | None = None
    slice_shape: tuple[int, int] | None = None
    """Chips along the dimensions of each slice of a torus; states are sharded within one."""

    @property
    def n_microbatches(self) -> int:
        """Microbatches of a replica in a step."""
        replicas = self.n_gpus // (self.tensor * self.pipeline * self.context)
        return self.batch_seqs // (replicas * self.microbatch_seqs)


@dataclass(frozen=True, kw_only=True)
class Family:
    """Rows of one software, by scale."""

    name: str
    title: str
    paper: str
    """Who published it; families of one paper are left out together."""
    source: str
    layout: str
    """Where the layout comes from, and what is assumed."""
    unit: Unit
    statistic: Literal["mean", "p50"] = "mean"
    rows: tuple[Row, ...]
    others: tuple[tuple[str, Row], ...] = ()
    """Rows of another system with the same software: shown with this family's numbers."""
    limit: float | None
    """Error that a predicted row may have; None where rows are shown only."""

    @property
    def fitted(self) -> tuple[Row, ...]:
        """Rows that numbers are fitted on: as many as there are numbers.

        The smallest; with four scales or more of one model, also the smallest
        with another count of microbatches, if there is one: where all steps are alike, seconds a
        step and seconds a microbatch cannot be told apart.
        """
        rows = sorted(self.rows, key=lambda row: row.n_gpus)
        first = rows[0]
        one_model = len({row.model for row in rows}) == 1
        others = [row for row in rows if row.n_microbatches != first.n_microbatches]
        if not one_model or not others or len({row.n_gpus for row in rows}) < 4:
            return (first,)
        return (first, others[0])

    @property
    def predicted(self) -> tuple[Row, ...]:
        """All other rows, by scale."""
        rest = [row for row in self.rows if row not in self.fitted]
        return tuple(sorted(rest, key=lambda row: row.n_gpus))


@cache
def families() -> tuple[Family, ...]:
    """Return all families, those with limits first."""
    table_2 = published_scales("MegaScale", "Table 2")
    megascale = {
        batch_seqs: table_2.filter(global_batch_seqs=batch_seqs)
        .select("n_accel", "iteration_time_s")
        .iter_rows()
        for batch_seqs in (768, 6144)
    }
    shape = ("n_accel", "global_batch_seqs")
    table_4 = published_scales("Llama 3", "Table 4")
    llama = table_4.select(*shape, "seq_len", "cp", "tflops_per_gpu").iter_rows()
    megascale_530b = published_scales("MegaScale", "Figure 9").select(*shape, "mfu_pct").iter_rows()
    return (
        _megascale(768, megascale[768]),
        _eos(_mlperf("eos"), others=_mlperf("ND_H100")),
        _later_eos("v4.0", _mlperf("eos", "v4.0")),
        _later_eos("v4.1", _mlperf("eos", "v4.1")),
        _megascale(6144, megascale[6144]),
        _llama(llama),
        _megascale_530b(megascale_530b),
        _megatron_shapes(),
        *_megatron_table_2("PTD-P"),
        *_megatron_table_2("ZeRO-3"),
    )


@cache
def typed_families() -> tuple[Family, ...]:
    """Return the families with limits, of the figures that are typed in the project."""
    seqs, seq_len = typed.LLAMA_BATCH_SEQS, typed.LLAMA_SEQ_LEN
    llama = [(n, seqs, seq_len, 1, rate) for n, rate in typed.LLAMA_TFLOP_PER_S.items()]
    megascale_530b = [(n, n, mfu) for n, mfu in typed.MEGASCALE_530B_MFU_PERCENT.items()]
    return (
        _megascale(768, typed.MEGASCALE_S[768].items()),
        _eos([(n, batch_seqs, step_s) for n, (batch_seqs, step_s) in typed.EOS.items()]),
        *(
            _later_eos(
                edition, [(n, batch_seqs, step_s) for n, (batch_seqs, step_s) in each.items()]
            )
            for edition, each in typed.EOS_LATER.items()
        ),
        _megascale(6144, typed.MEGASCALE_S[6144].items()),
        _llama(llama),
        _megascale_530b(megascale_530b),
    )


@cache
def bloom() -> Family:
    """Return the healthy step of BLOOM. Either embedding counts as a layer of its stages."""
    return Family(
        name="bloom",
        title="BLOOM 176B, Megatron-DeepSpeed on A100",
        paper="BLOOM",
        source="BLOOM chronicles, 2022-04-28 (bigscience-workshop/bigscience)",
        layout="the training's script: tensor 4, pipeline 12, microbatches of two sequences",
        unit="s",
        rows=(
            replace(
                _SELENE,
                published=typed.BLOOM_STEP_S[0],
                n_gpus=384,
                batch_seqs=2048,
                microbatch_seqs=2,
                model=Gpt(n_layers=70, hidden=14336, n_heads=112, vocabulary=250880),
                tensor=4,
                pipeline=12,
                stage_layers=(5, *[6] * 10, 5),
                sharding="zero1",
            ),
        ),
        limit=None,
    )


def gated() -> list[Family]:
    """Return the families whose predicted rows have a limit."""
    return [family for family in families() if family.limit is not None]


def by_name(name: str) -> Family:
    """Return the family called `name`."""
    return next(family for family in families() if family.name == name)


def published_scales(source: str, section: str) -> pl.DataFrame:
    """Return rows of the table of MFU against scale, in order."""
    table = pl.read_csv(DATA / "mfu_vs_scale.csv")
    begins = pl.col("source").str.starts_with(source)
    return table.filter(begins & pl.col("table_or_section").str.starts_with(section))


MEGASCALE = "MegaScale (NSDI 2024, arXiv 2402.15627)"
MEGATRON = "Narayanan et al., Megatron-LM (SC 2021, arXiv 2104.04473)"

_SELENE = Row(
    gpu="a100-sxm", fabric="infiniband-ndr", model="gpt3-175b", recompute="full", sharding="none"
)


LIMITS_OF_MEGASCALE = {768: LIMIT_OF_TWO_NUMBERS, 6144: LIMIT_ACROSS_THE_JUMP}


def _megascale(batch_seqs: int, figures: Figures) -> Family:
    """Return the family of GPUs and seconds of a step."""
    base = Row(
        gpu="a100-sxm",
        fabric="roce-400g",
        model=Gpt(n_layers=96, hidden=12288, n_heads=128, vocabulary=64000),
        pipeline=8,
        chunks=6,
    )
    return Family(
        name=f"megascale-{batch_seqs}",
        title=f"GPT 175B, Megatron-LM on A100, batch {batch_seqs:,}",
        paper="MegaScale",
        source=f"{MEGASCALE}, table 2, rows of Megatron-LM",
        layout=(
            "tensor 8, pipeline 8, 6 chunks, vocabulary 64,000 are the paper's; microbatches "
            "of one sequence, selective recomputation and optimizer states in shards are assumed"
        ),
        unit="s",
        rows=tuple(
            replace(base, n_gpus=n_gpus, batch_seqs=batch_seqs, published=step_s)
            for n_gpus, step_s in figures
        ),
        limit=LIMITS_OF_MEGASCALE[batch_seqs],
    )


def _mlperf(system: str, edition: str = "v3.1") -> Figures:
    """Return GPUs, sequences and median seconds of GPT-3's steps on a system of a round."""
    table = pl.read_csv(DATA / "mlperf_gpt3_h100_summary.csv").filter(round=edition)
    found = table.filter(pl.col("system").str.starts_with(system)).sort("n_accel")
    return found.select("n_accel", "global_batch", "step_median_s").iter_rows()


_EOS = Row(
    gpu="h100-sxm",
    fabric="infiniband-ndr",
    model="gpt3-175b",
    dtype="fp8",
    stack="tuned",
    tensor=4,
)


def _eos(figures: Figures, others: Figures = ()) -> Family:
    """Return the family of GPUs, sequences and median seconds of a step."""
    base = replace(_EOS, pipeline=8, chunks=6)

    def rows(figures: Figures) -> tuple[Row, ...]:
        return tuple(
            replace(base, n_gpus=n_gpus, batch_seqs=int(batch), published=step_s)
            for n_gpus, batch, step_s in figures
        )

    return Family(
        name="eos",
        title="GPT-3 175B in FP8, NeMo on H100",
        paper="MLPerf",
        source=(
            "MLPerf Training v3.1, closed, GPT-3, NVIDIA Eos: median of train_step_time records. "
            "Result not verified by MLCommons Association"
        ),
        layout=(
            "tensor times pipeline is 32 by the published batches; tensor 4, pipeline 8, 6 chunks, "
            "a microbatch of 1 and optimizer states in shards are assumed"
        ),
        unit="s",
        statistic="p50",
        rows=rows(figures),
        others=tuple(("Azure ND H100 v5", row) for row in rows(others)),
        limit=LIMIT_OF_TWO_NUMBERS,
    )


LATER_LAYOUTS = {
    "v4.0": {512: (4, 6), 10752: (6, 4), 11616: (6, 4)},
    "v4.1": {256: (4, 6), 512: (4, 6)},
}
"""Stages and chunks of GPT-3 on Eos in later rounds, by GPUs: with tensor 4 they make replicas of
the GPUs that published batches and microbatches need, and chunks of four layers, which is assumed.
"""


def _later_eos(edition: str, figures: Figures) -> Family:
    """Return the family of GPT-3 on Eos in a later round of MLPerf, with newer software."""
    rows = []
    for n_gpus, batch, step_s in figures:
        pipeline, chunks = LATER_LAYOUTS[edition][n_gpus]
        of_row = {"n_gpus": n_gpus, "batch_seqs": int(batch), "published": step_s}
        rows.append(replace(_EOS, **of_row, pipeline=pipeline, chunks=chunks))
    return Family(
        name=f"eos-{edition}",
        title=f"GPT-3 175B in FP8, NeMo on H100, {edition}",
        paper="MLPerf",
        source=(
            f"MLPerf Training {edition}, closed, GPT-3, NVIDIA Eos: median step. "
            "Result not verified by MLCommons Association"
        ),
        layout=(
            "tensor times pipeline is 16 and 24 by the published batches; tensor 4, chunks of four "
            "layers, a microbatch of 1 and optimizer states in shards are assumed"
        ),
        unit="s",
        statistic="p50",
        rows=tuple(rows),
        limit=LIMIT_OF_ONE_NUMBER,
    )


def _llama(figures: Figures) -> Family:
    """Return the family of GPUs, sequences, their tokens, context ranks and TFLOP/s a GPU."""
    base = Row(
        gpu="h100-sxm",
        fabric="roce-400g",
        order="tp-cp-pp-dp",
        model="llama3-405b",
        attention="causal",
        pipeline=16,
        chunks=8,
    )
    return Family(
        name="llama",
        title="Llama 3 405B on H100",
        paper="Llama 3",
        source="Llama 3 Herd of Models (arXiv 2407.21783), table 4",
        layout=(
            "tensor 8, pipeline 16, context 1 and 16 are the paper's, one layer fewer on the first "
            "and the last stage too; 8 chunks of one layer, microbatches of one sequence, "
            "selective recomputation, optimizer states in shards and causal FLOPs are assumed"
        ),
        unit="TFLOP/s",
        rows=tuple(
            replace(
                base, n_gpus=n, batch_seqs=batch, seq_len=seq_len, context=cp, published=tflop_per_s
            )
            for n, batch, seq_len, cp, tflop_per_s in figures
        ),
        limit=LIMIT_OF_ONE_NUMBER,
    )


def _megascale_530b(figures: Figures) -> Family:
    """Return the family of GPUs, sequences and MFU in percent."""
    base = Row(
        gpu="a100-sxm",
        fabric="roce-400g",
        model=Gpt(n_layers=105, hidden=20480, n_heads=160, vocabulary=64000),
        pipeline=35,
        chunks=3,
    )
    return Family(
        name="megascale-530b",
        title="GPT 530B, Megatron-LM on A100",
        paper="MegaScale",
        source=f"{MEGASCALE}, figure 9, labels of Megatron-LM",
        layout=(
            "tensor 8, pipeline 35 and a batch of one sequence a GPU are the paper's; 3 chunks of "
            "one layer, microbatches of one sequence, selective recomputation and optimizer "
            "states in shards are assumed"
        ),
        unit="MFU %",
        rows=tuple(
            replace(base, n_gpus=n_gpus, batch_seqs=batch, published=mfu)
            for n_gpus, batch, mfu in figures
        ),
        limit=LIMIT_OF_ONE_NUMBER,
    )


# Layers and hidden width stand in the rows; attention heads are the table's.
_HEADS_OF_TABLE_1 = {
    2304: 24,
    3072: 32,
    4096: 32,
    6144: 48,
    8192: 64,
    10240: 80,
    12288: 96,
    16384: 128,
    20480: 128,
    25600: 160,
}


def _megatron_shapes() -> Family:
    table = published_scales("Narayanan", "Table 1").with_columns(
        hidden=pl.col("model").str.extract(r"h=(\d+)").cast(pl.Int64),
        n_layers=pl.col("model").str.extract(r"l=(\d+)").cast(pl.Int64),
    )
    rows = [
        replace(
            _SELENE,
            model=Gpt(
                n_layers=row["n_layers"],
                hidden=row["hidden"],
                n_heads=_HEADS_OF_TABLE_1[row["hidden"]],
                vocabulary=51200,
            ),
            n_gpus=row["n_accel"],
            batch_seqs=row["global_batch_seqs"],
            tensor=row["tp"],
            pipeline=row["pp"],
            published=row["tflops_per_gpu"],
        )
        for row in table.iter_rows(named=True)
    ]
    return Family(
        name="megatron-shapes",
        title="Ten GPTs, Megatron-LM on A100",
        paper="Megatron-LM",
        source=f"{MEGATRON}, table 1",
        layout=(
            "tensor and pipeline are the table's; microbatches of one sequence and one chunk a "
            "stage are assumed"
        ),
        unit="hardware TFLOP/s",
        rows=tuple(rows),
        limit=None,
    )


def _megatron_table_2(software: Literal["PTD-P", "ZeRO-3"]) -> list[Family]:
    """Return its two models; pipelines are those of model-parallel sizes 96 and 280."""
    zero = software == "ZeRO-3"
    sizes = "microbatches of 4, 2 and 1 sequences, one a step"
    table = published_scales("Narayanan", f"Table 2 ({software}")
    found = []
    for label, model, pipeline in (("174.6B", "gpt3-175b", 12), ("529.6B", "gpt-530b", 35)):
        rows = []
        for row in table.filter(model=f"{label} GPT").iter_rows(named=True):
            n_gpus, batch_seqs = row["n_accel"], row["global_batch_seqs"]
            # The file's note: this row alone had a larger batch.
            batch_seqs = 2560 if zero and n_gpus == 640 else batch_seqs
            rows.append(
                replace(
                    _SELENE,
                    model=model,
                    n_gpus=n_gpus,
                    batch_seqs=batch_seqs,
                    microbatch_seqs=batch_seqs // n_gpus if zero else 1,
                    tensor=1 if zero else 8,
                    pipeline=1 if zero else pipeline,
                    sharding="zero3" if zero else "none",
                    published=row["tflops_per_gpu"],
                )
            )
        found.append(
            Family(
                name=f"{software.lower()}-{label.lower()}",
                title=f"GPT {label}, {software} on A100",
                paper="Megatron-LM",
                source=f"{MEGATRON}, table 2, {software}",
                layout=f"neither tensor groups nor stages; {sizes}"
                if zero
                else f"tensor 8, pipeline {pipeline}, microbatch 1; one chunk a stage is assumed",
                unit="hardware TFLOP/s",
                rows=tuple(rows),
                limit=None,
            )
        )
    return found
