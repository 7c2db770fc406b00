#!/usr/bin/env bash
# torch 2.15.0: dumps of the Flight Recorder hold the ranks of one group of Gloo only, under no name.
#
# Expected: pg_config has each process group by the name that its entries have, with its ranks: the
# recorder keeps them by the name of the group (record_pg_ranks in FlightRecorderDetail.hpp), and the
# analyser of the package (torch/distributed/flight_recorder) looks the group of each entry up there.
# Seen: groups of Gloo are recorded with an empty name, so that each one replaces that before. Of the
# group of both ranks and a group of the first one, rank 0 keeps the latter, and its entries are of
# groups "0" and "1", which are not there.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet "torch==2.15.0" "numpy==2.3.5"
cat > "$folder/run.py" <<'P'
import pickle
import sys

import torch
import torch.distributed as dist
from torch._C._distributed_c10d import _dump_fr_trace

rank = int(sys.argv[1])
store = dist.FileStore(sys.argv[2], 2)
dist.init_process_group("gloo", store=store, rank=rank, world_size=2)
group = dist.new_group([0])
dist.all_reduce(torch.ones(8))
if rank == 0:
    dist.all_reduce(torch.ones(8), group=group)
    dump = pickle.loads(_dump_fr_trace())
    print(dump["pg_config"])
    print([entry["process_group"][0] for entry in dump["entries"]])
dist.barrier()
dist.destroy_process_group()
P
export TORCH_FR_BUFFER_SIZE=100
"$folder/env/bin/python" "$folder/run.py" 1 "$folder/store" > "$folder/second" 2>&1 &
seen=$("$folder/env/bin/python" "$folder/run.py" 0 "$folder/store" 2>/dev/null)
wait
expected="{'': {'name': '', 'desc': '', 'ranks': '[0]'}}
['0', '1']"
if [ "$seen" != "$expected" ]; then
    echo "changed: $seen"
    exit 1
fi
echo "as found: $seen"
