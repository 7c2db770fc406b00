#!/usr/bin/env bash
# torch 2.15.0: in dumps of the Flight Recorder, collectives of Gloo stay "scheduled" when they have completed.
#
# Expected: of the three states of an entry, "scheduled", "started" and "completed"
# (FlightRecorderDetail.hpp), a collective that has returned on all ranks has the last.
# Seen: after three all-reduces that have returned, all entries are "scheduled" and have no time of
# completion, as if no rank had come out of any of them. They are "retired", and the state of their
# group says that the last completed collective is the third. In the format (version 2.10) the state is
# set by two events, which Gloo does not have.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet "torch==2.15.0" "numpy==2.3.5"
cat > "$folder/run.py" <<'P'
import pickle

import torch
import torch.distributed as dist
from torch._C._distributed_c10d import _dump_fr_trace

store = dist.HashStore()
dist.init_process_group("gloo", store=store, rank=0, world_size=1)
for _ in range(3):
    dist.all_reduce(torch.ones(8))
dump = pickle.loads(_dump_fr_trace())
print("version", dump["version"])
for entry in dump["entries"]:
    number, state, retired = (entry[key] for key in ("collective_seq_id", "state", "retired"))
    print(number, state, entry["time_discovered_completed_ns"], "retired" if retired else "")
print("completed", dump["pg_status"]["0"]["last_completed_collective"])
P
seen=$(TORCH_FR_BUFFER_SIZE=100 "$folder/env/bin/python" "$folder/run.py" 2>/dev/null)
expected='version 2.10
1 scheduled None retired
2 scheduled None retired
3 scheduled None retired
completed 3'
if [ "$seen" != "$expected" ]; then
    echo "changed: $seen"
    exit 1
fi
echo "as found: $seen"
