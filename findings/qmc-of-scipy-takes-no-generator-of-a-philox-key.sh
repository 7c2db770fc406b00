#!/usr/bin/env bash
# scipy 1.17.1 with numpy 2.4.6: the samplers of scipy.stats.qmc take no generator of Philox that was made
# with a key, and Latin hypercubes and Sobol sequences do so alike.
#
# Expected: rng may be any numpy.random.Generator (scipy.stats.qmc.Sobol, parameter rng), and
# Generator(Philox(key=7)) is one: it draws random numbers, and the manual of Philox recommends keys for
# independent streams.
# Seen: AttributeError: 'NoneType' object has no attribute 'spawn'. The samplers spawn a generator from
# the seed sequence of the one that they are given, and a bit generator with a key has none. The default
# generator of the same seed works, and so does Philox(7).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet "scipy==1.17.1" "numpy==2.4.6"
seen=$("$folder/env/bin/python" - <<'P'
import numpy as np
from scipy.stats import qmc

for name, bits in (("key", np.random.Philox(key=7)), ("seed", np.random.Philox(7))):
    for sampler in (qmc.Sobol, qmc.LatinHypercube):
        generator = np.random.Generator(bits)
        generator.random()
        try:
            shape = sampler(2, rng=generator).random(4).shape
            print(name, sampler.__name__, shape)
        except AttributeError as error:
            print(name, sampler.__name__, error)
P
)
expected="key Sobol 'NoneType' object has no attribute 'spawn'
key LatinHypercube 'NoneType' object has no attribute 'spawn'
seed Sobol (4, 2)
seed LatinHypercube (4, 2)"
if [ "$seen" != "$expected" ]; then
    echo "changed: $seen"
    exit 1
fi
echo "as found: $seen"
