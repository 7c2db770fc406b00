#!/usr/bin/env bash
# hypothesis 6.170.17: derandomized tests get other examples where another module is imported.
#
# Expected: the same examples. The documentation of `derandomize` says that it seeds the random
# numbers "using a hash of the test function, so that every run will test the same set of test cases
# until you update Hypothesis, Python, or the test function".
# Seen: numbers and texts in the source of all local modules that are imported are among the values
# that strategies draw. So a test draws other examples in a run of a whole suite than alone, and other
# ones once a number in any module of the project changes, although its own function is the same.
# Who fixes examples to have a test fail or pass for ever must give them by `example`.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet "hypothesis==6.170.17"
cat >"$folder/elsewhere.py" <<'PY'
LIMIT = 123456.789
PY
cat >"$folder/drawn.py" <<'PY'
import sys

from hypothesis import given, settings, strategies as st

if sys.argv[1] == "with":
    import elsewhere

drawn = []


@settings(derandomize=True, database=None, max_examples=200)
@given(st.floats(allow_nan=False, allow_infinity=False))
def collect(x):
    drawn.append(x)


collect()
print(drawn)
PY
cd "$folder"
alone=$(env/bin/python drawn.py alone)
again=$(env/bin/python drawn.py alone)
beside=$(env/bin/python drawn.py with)
seen="alone twice: $([ "$alone" = "$again" ] && echo equal || echo different)
alone and beside another module: $([ "$alone" = "$beside" ] && echo equal || echo different)
the other module's number: $(grep -c 123456.789 <<<"$alone" || true) and $(grep -c 123456.789 <<<"$beside" || true)"
expected='alone twice: equal
alone and beside another module: different
the other module'"'"'s number: 0 and 1'
if [ "$seen" != "$expected" ]; then
    echo "changed: $seen"
    exit 1
fi
echo "as found: $seen"
