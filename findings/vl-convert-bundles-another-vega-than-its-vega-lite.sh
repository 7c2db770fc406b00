#!/usr/bin/env bash
# vl-convert-python 1.9.0.post1: the bundle of Vega-Lite 5.21 holds Vega 6, for which that version
# does not compile.
#
# Expected: javascript_bundle(vl_version="5.21") holds the Vega that Vega-Lite 5.21 compiles for, so
# that a page with a chart of that version draws it without a word.
# Seen: specifications compile for Vega 5 and are drawn by Vega 6.2.0, whichever version is asked for;
# in a browser each chart logs "The compiled spec uses Vega v5, but current version is v6.2.0".
# Version 6.4 compiles for Vega 6. Pages whose console has to be silent take that one, also for
# charts that are written for the fifth version.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet "vl-convert-python==1.9.0.post1"
cat >"$folder/versions.py" <<'PY'
import re

import vl_convert

for version in ("5.21", "6.4"):
    compiled = vl_convert.vegalite_to_vega({"mark": "bar"}, vl_version=version)["$schema"]
    bundle = vl_convert.javascript_bundle(vl_version=version)
    drawn = "6.2.0" if re.search(r'"6\.2\.0"', bundle) else "another one"
    print(f"Vega-Lite {version}: compiled for {compiled.rpartition('/')[2]}, drawn by Vega {drawn}")
PY
seen=$("$folder/env/bin/python" "$folder/versions.py")
expected='Vega-Lite 5.21: compiled for v5.json, drawn by Vega 6.2.0
Vega-Lite 6.4: compiled for v6.json, drawn by Vega 6.2.0'
if [ "$seen" != "$expected" ]; then
    echo "changed: $seen"
    exit 1
fi
echo "as found: $seen"
