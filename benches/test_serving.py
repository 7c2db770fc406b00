"""The search of serving configurations, and predictions of measured points."""

from __future__ import annotations

from typing import Any

import hindmost as hm
from benches.gate import gate_of_a_count
from hindmost import catalog
from hindmost.serving.cycle import Load
from hindmost.serving.job import Limits, ServingJob, ServingPool
from hindmost.serving.search import best_of, frontier, searched
from hindmost.serving.split import best_split
from hindmost.serving.stream import stream_of

POOLS = {"h100-sxm": 64, "h200-sxm": 64, "gb200-nvl72": 72}


def test_a_model_on_three_pools_is_searched_in_half_a_second(benchmark: Any) -> None:
    """Every layout, every batch, aggregated and split, of the model with most layouts."""
    pools = [
        ServingPool(name=name, gpu=name, accelerator=catalog.gpu(name), n_gpus=n_gpus)
        for name, n_gpus in POOLS.items()
    ]
    job = ServingJob(
        model_name="deepseek-v3",
        model=catalog.model("deepseek-v3"),
        dtype="fp8",
        engine="sglang",
        pools=tuple(pools),
        load=Load(input_tokens=4000, output_tokens=1000),
        stream=stream_of(4000, 1000),
        limits=Limits(ttft_s=2.0, tpot_s=0.05),
    )

    def search() -> None:
        found = [one for pool in pools for one in searched(job, pool)]
        assert best_of(found, job)
        assert frontier(found, job)
        assert best_split(found, job)

    gate_of_a_count(benchmark, ours=search, count=1, at_least_per_s=2)


def test_predictions_take_a_millisecond_each(benchmark: Any) -> None:
    row = {"model": "llama3-70b", "precision": "fp8", "gpu": "h200-sxm", "engine": "vllm"}
    row |= {"tensor": "4", "attention_dp": "1", "expert": "", "n_gpus": "4", "isl": "1024"}
    rows = [
        {**row, "osl": "1024", "concurrency": str(n), "output_tokens_per_s_per_gpu": "500"}
        for n in range(1, 257)
    ]
    fit = hm.fit_serving(rows, gpu="h200-sxm")
    gate_of_a_count(benchmark, ours=lambda: fit.predict(rows), count=256, at_least_per_s=1000)
