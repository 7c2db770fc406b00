"""The page on collectives is that of the code, and its claims are those of its figures."""

from tests.docs import collectives
from tests.docs.collectives import ALGORITHMS, H100, JOBS, half_bytes, one, step_s


def test_the_page_is_rendered_from_the_code() -> None:
    page = collectives.PAGE.read_text(encoding="utf-8")
    assert page == collectives.render(), "docs/collectives.md is out of date: make references"


def test_half_of_a_collective_of_half_its_bytes_is_latency() -> None:
    for name in ALGORITHMS:
        whole = one("all-reduce", gpus=10_000, n_bytes="1GiB", algorithms=name, **H100)
        n_bytes = round(half_bytes(whole))
        half = one("all-reduce", gpus=10_000, n_bytes=n_bytes, algorithms=name, **H100)
        assert abs(half.latency_s / half.time_s - 0.5) < 1e-6


def test_flat_rings_break_and_no_other_way_does() -> None:
    few, _, many = JOBS
    assert step_s(many, "zero3", "ring") > 15 * step_s(few, "zero3", "ring")
    assert step_s(many, "hybrid", "ring") < 1.5 * step_s(few, "hybrid", "ring")
    for algorithm in ("pat", "hierarchical"):
        assert step_s(many, "zero3", algorithm) < 1.01 * step_s(few, "zero3", algorithm)
