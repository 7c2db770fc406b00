#!/usr/bin/env bash
# transformers 5.24.0: a config.json that is read and saved again has other keys than the released one.
#
# Expected: the keys that were read, with their values, beside defaults: the documentation of
# `save_pretrained` promises a file that can be loaded again, and that of `Qwen3MoeConfig` names the
# argument `num_experts`.
# Seen: of Qwen3-MoE `num_experts` is gone, and its value stands under `num_local_experts`. Of
# DeepSeek-V3 a new key `head_dim` appears with the value of `qk_rope_head_dim`, 64, while a head of
# its queries and keys is `qk_nope_head_dim + qk_rope_head_dim`, 192 wide. Whoever counts parameters
# or FLOPs from such a file by the key that the released file has finds no experts, and whoever takes
# `head_dim` for the width of a head counts a third of its attention scores.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet "transformers==5.24.0"
cat >"$folder/saved.py" <<'PY'
import json
import sys
from pathlib import Path

from transformers import AutoConfig

EXPERTS = {"model_type": "qwen3_moe", "hidden_size": 2048, "num_experts": 128, "num_hidden_layers": 48}
LATENT = {
    "model_type": "deepseek_v3",
    "hidden_size": 7168,
    "num_attention_heads": 128,
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64,
    "v_head_dim": 128,
}
folder = Path(sys.argv[1])
for config, keys in (
    (EXPERTS, ("num_experts", "num_local_experts")),
    (LATENT, ("qk_nope_head_dim", "qk_rope_head_dim", "head_dim")),
):
    (folder / "config.json").write_text(json.dumps(config))
    AutoConfig.from_pretrained(folder).save_pretrained(folder)
    saved = json.loads((folder / "config.json").read_text())
    print(config["model_type"], {key: saved.get(key) for key in keys})
PY
mkdir "$folder/model"
seen=$(HF_HUB_OFFLINE=1 "$folder/env/bin/python" "$folder/saved.py" "$folder/model" 2>/dev/null)
expected="qwen3_moe {'num_experts': None, 'num_local_experts': 128}
deepseek_v3 {'qk_nope_head_dim': 128, 'qk_rope_head_dim': 64, 'head_dim': 64}"
if [ "$seen" != "$expected" ]; then
    echo "changed: $seen"
    exit 1
fi
echo "as found: $seen"
