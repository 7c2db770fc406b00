#!/usr/bin/env bash
# distributed 2026.8.0 with tblib 3.2.2: once distributed is imported, every exception class that is known
# by then pickles by tblib, in the whole process, and cannot be read where tblib is not installed.
#
# Expected: to import a library leaves the pickles of built-in exceptions as they are; the manual of
# tblib says that pickling support is installed by a call of tblib.pickling_support.install().
# Seen: distributed makes that call when it is imported. A ValueError that is pickled before names
# nothing but builtins, and one that is pickled after names tblib.pickling_support. A Python without
# tblib reads the first and not the second. Classes that are defined later pickle as before, so that it
# depends on the order of imports how an exception is sent.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for name in with without; do python3 -m venv "$folder/$name"; done
"$folder/with/bin/pip" install --quiet "distributed==2026.8.0" "dask==2026.8.0" "tblib==3.2.2"
"$folder/with/bin/python" - "$folder" <<'P'
import pathlib
import pickle
import sys

folder = pathlib.Path(sys.argv[1])
(folder / "before").write_bytes(pickle.dumps(ValueError("x")))
import distributed  # noqa: E402


class LaterError(ValueError):
    pass


(folder / "after").write_bytes(pickle.dumps(ValueError("x")))
(folder / "later").write_bytes(pickle.dumps(LaterError("x")))
P
seen=""
for name in before after later; do
    names_tblib=$(grep -qa tblib "$folder/$name" && echo "by tblib" || echo "plain")
    seen="$seen$name $names_tblib"$'\n'
done
for name in before after; do
    found=$("$folder/without/bin/python" -c "
import pickle, sys
try:
    print(repr(pickle.load(open(sys.argv[1], 'rb'))))
except ModuleNotFoundError as error:
    print(error)
" "$folder/$name")
    seen="$seen$name without tblib: $found"$'\n'
done
expected="before plain
after by tblib
later plain
before without tblib: ValueError('x')
after without tblib: No module named 'tblib'
"
if [ "$seen" != "$expected" ]; then
    echo "changed: $seen"
    exit 1
fi
echo "as found: $seen"
