"""Straggler reports of nvidia-resiliency-ext, as Python prints them.

A ``Report`` (straggler/reporting.py in 0.4.1, attribution/straggler/reporting.py in 0.7.0) holds
scores of ranks. Of the rank that prints it, it holds the times of kernels, in microseconds, and of
sections of its program, in milliseconds of the host. Their averages are read. Scores are not: they
compare medians, so that a rank that takes 5.4 times as long as the best one can score 1.0.

Kernels of NCCL are no part of a report, so that the sum of the others is the time that the rank
computes. It is told for an entry of the section where there is one section.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from hindmost.logs.reader import Reader
from hindmost.logs.records import Records
from hindmost.logs.source import Source

REPORT = "local_section_summaries={"
KERNELS = ", local_kernel_summaries={"
END = ", generate_report_elapsed_time="
WORDS = (REPORT.encode(), b" Score=")
"""Of which a line that counts holds one."""

SUMMARY = re.compile(
    r"""(?:'([^']*)'|"([^"]*)"): \{[^{}]*Statistic\.AVG: ([^,{}]+),"""
    r"""[^{}]*Statistic\.NUM: (\d{1,9})\}"""
)
RANK = re.compile(r", rank=(\d{1,9})\)")
ONLY_RANK = re.compile(r"\bgpu_(?:relative|individual)_perf_scores=\{(\d{1,9}): [^,{}]*\}")
SCORE = re.compile(r"\bRank=\d+ Node=\S+ Score=")


@dataclass(frozen=True)
class _Mean:
    """Mean time of a section or of a kernel."""

    name: str
    mean: float
    n: int


def _take_report(text: str, records: Records) -> bool:
    """Record what a report says of its rank, and return whether it could be read."""
    _, _, text_of_times = text.partition(REPORT)
    of_sections, has_kernels, rest = text_of_times.partition(KERNELS)
    of_kernels, is_whole, _ = rest.partition(END)
    sections = _means(of_sections)
    # A line may be too long to be read to its end.
    kernels = _means(of_kernels) if is_whole else []
    found = RANK.search(text) or ONLY_RANK.search(text)
    rank = int(found[1]) if found else None
    if kernels and len(sections) == 1 and sections[0].n > 0:
        n = sections[0].n
        seconds = math.fsum(each.mean * each.n for each in kernels) / 1e6 / n
        note = f"kernels of the GPU in section {sections[0].name}"
        _add(records, seconds, n, rank, note)
    else:
        for each in sections:
            _add(records, each.mean / 1e3, each.n, rank, f"host in section {each.name}")
    return bool(has_kernels)


def _means(text: str) -> list[_Mean]:
    means = []
    for single, double, mean, n in SUMMARY.findall(text):
        try:
            means.append(_Mean(single or double, float(mean), int(n)))
        except ValueError:
            continue
    return means


def _add(records: Records, seconds: float, n: int, rank: int | None, note: str) -> None:
    kind = "compute"
    if not (math.isfinite(seconds) and seconds > 0 and n > 0):
        kind, note = "masked", "no positive number of seconds"
    records.add(kind, seconds=seconds, steps=max(n, 1), rank=rank, note=note)


def _is_resiliency(source: Source) -> bool:
    text = source.text
    return REPORT in text or SCORE.search(text) is not None


def _read_resiliency(sources: Sequence[Source], records: Records) -> None:
    for source in sources:
        n_scores = n_damaged = 0
        for line in source.lines(*WORDS):
            if REPORT in line:
                n_damaged += not _take_report(line, records)
            elif SCORE.search(line):
                n_scores += 1
        if n_damaged:
            source.unread.append(f"{n_damaged} lines of {source.path.name} are damaged")
        if n_scores:
            name = source.path.name
            source.unread.append(f"{n_scores} scores in {name} compare medians, and are no times")


READER = Reader(name="resiliency", recognises=_is_resiliency, read=_read_resiliency)
"""The reader of straggler reports."""
