#!/usr/bin/env bash
# nvidia-resiliency-ext 0.4.1: a rank that takes 5.4 times as long as the best one scores 1.0.
#
# Ten steps of two ranks: one takes 1 s for each; the other takes 12 s for four of them, as when it
# waits for storage or is throttled now and then.
#
# Expected: a score of 1 / 5.4 = 0.19. Report in straggler/reporting.py: "if the relative performance
# score is 0.5, it means that the current rank is 2x slower than the best performing rank".
# Seen: 1.0, as scores compare the medians of steps (_compute_sections_perf_scores), which no minority of
# them can move. The averages are in the same report, as local_section_summaries.
#
# PyTorch is imported by the package, but no part of it runs here, so that an empty module stands for it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --no-deps "nvidia-resiliency-ext==0.4.1"
seen=$("$folder/env/bin/python" - "$folder" <<'PYTHON'
import importlib
import statistics
import sys
import types
from unittest import mock

sys.modules["torch"] = mock.MagicMock()
sys.modules["torch.distributed"] = mock.MagicMock()
root = importlib.util.find_spec("nvidia_resiliency_ext").submodule_search_locations[0]
# The package's own __init__ loads its library for CUDA.
package = types.ModuleType("nvidia_resiliency_ext.straggler")
package.__path__ = [f"{root}/straggler"]
sys.modules["nvidia_resiliency_ext.straggler"] = package
from nvidia_resiliency_ext.straggler.reporting import ReportGenerator
from nvidia_resiliency_ext.straggler.statistics import Statistic


def summary(times):
    return {
        Statistic.MED: statistics.median(times),
        Statistic.AVG: statistics.mean(times),
        Statistic.NUM: len(times),
    }


best, slow = summary(10 * [1.0]), summary(6 * [1.0] + 4 * [12.0])
score = ReportGenerator._compute_sections_perf_scores(
    None, {"step": slow}, reference={"step": best[Statistic.MED]}
)
print(f"{slow[Statistic.AVG] / best[Statistic.AVG]:.1f} times as long scores {score['step']}")
PYTHON
)
expected='5.4 times as long scores 1.0'
if [ "$seen" != "$expected" ]; then
    echo "changed: $seen"
    exit 1
fi
echo "as found: $seen"
