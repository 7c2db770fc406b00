#!/usr/bin/env bash
# numpy 2.3.5 and randomgen 2.3.0: Philox never gives the block of the counter it is set to.
#
# Expected: the first words are the block of that counter, as Random123 (Salmon et al., SC11) defines
# it. Its known answers for Philox4x64-10 and Philox4x32-10 with key 0 and counter 0 begin with
# 16554d9eca36314c and 6627e8d5. The documentation calls `counter` the "counter to use in the Philox
# state", "which is incremented by 1 for every 4 64-bit randoms produced".
# Seen: the counter is incremented before a block is made, so the first words are those of counter + 1.
# The known answers come out at counter 2^256 - 1 (2^128 - 1 for words of 32 bits), which wraps to 0.
# Who addresses draws by counter, to replay them elsewhere, must set one less.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet "numpy==2.3.5" "randomgen==2.3.0"
seen=$("$folder/env/bin/python" -c '
import numpy.random
import randomgen

def first(generator):
    return f"{int(generator.random_raw()):x}"

print("numpy 4x64:", *(first(numpy.random.Philox(key=0, counter=c)) for c in (0, 2**256 - 1)))
for width, bits in ((64, 256), (32, 128)):
    words = (
        first(randomgen.Philox(key=0, counter=c, number=4, width=width)) for c in (0, 2**bits - 1)
    )
    print(f"randomgen 4x{width}:", *words)
')
expected='numpy 4x64: 2f4ba6408e4d89b 16554d9eca36314c
randomgen 4x64: 2f4ba6408e4d89b 16554d9eca36314c
randomgen 4x32: f8e4cca4 6627e8d5'
if [ "$seen" != "$expected" ]; then
    echo "changed: $seen"
    exit 1
fi
echo "as found: $seen"
