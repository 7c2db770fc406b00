#!/usr/bin/env bash
# HolisticTraceAnalysis 0.5.0: a GPU that computes for 1.9 us of every 2 us is busy for half of the time.
#
# Expected: get_temporal_breakdown says for how long a GPU computes, "in microseconds"; traces of Kineto
# have times to the nanosecond, as "ts": 2.000, "dur": 1.900.
# Seen: begins and durations are cut to whole microseconds when a trace is read. Of 1,000 kernels of
# 1.9 us, begun every 2 us, 1,000 us of computing are left and 900 us are lost; the rest is idle.
# facebookresearch/HolisticTraceAnalysis#317 reports negative times that the same rounding makes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet "HolisticTraceAnalysis==0.5.0"
cat > "$folder/run.py" <<'P'
import json
import logging
import pathlib
import sys

logging.disable(logging.CRITICAL)
from hta.trace_analysis import TraceAnalysis  # noqa: E402

args = {"device": 0, "stream": 7}
kernels = [
    {"ph": "X", "cat": "kernel", "name": "gemm", "pid": 0, "tid": 7, "ts": 2.0 * at, "dur": 1.9}
    | {"args": args | {"correlation": at + 1}}
    for at in range(1000)
]
launches = [
    {"ph": "X", "cat": "cuda_runtime", "name": "cudaLaunchKernel", "pid": 9, "tid": 9}
    | {"ts": 2.0 * at, "dur": 1.0, "args": {"correlation": at + 1}}
    for at in range(1000)
]
trace = {"schemaVersion": 1, "distributedInfo": {"rank": 0, "world_size": 1}}
folder = pathlib.Path(sys.argv[1], "traces")
folder.mkdir()
(folder / "rank0.json").write_text(json.dumps(trace | {"traceEvents": launches + kernels}))
found = TraceAnalysis(trace_dir=str(folder)).get_temporal_breakdown(visualize=False)
for name in ("compute_time(us)", "idle_time(us)", "kernel_time(us)"):
    print(name, round(float(found[name][0]), 1))
P
seen=$("$folder/env/bin/python" "$folder/run.py" "$folder" 2>/dev/null)
expected='compute_time(us) 1000.0
idle_time(us) 999.0
kernel_time(us) 1999.0'
if [ "$seen" != "$expected" ]; then
    echo "changed: $seen"
    exit 1
fi
echo "as found: $seen"
