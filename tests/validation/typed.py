"""A few published figures, so that a clone without the data predicts a row of each family.

Where the data are beside the project, a test holds that these figures are theirs.
"""

from __future__ import annotations

# MegaScale (NSDI 2024, arXiv 2402.15627), table 2, rows of Megatron-LM: seconds of a step, by
# sequences of a step and by GPUs.
MEGASCALE_S = {
    768: {256: 40.0, 512: 21.2, 768: 15.2, 1024: 11.9},
    6144: {3072: 29.02, 6144: 14.78, 8192: 12.24, 12288: 8.57},
}

# MegaScale, figure 9, labels of Megatron-LM: MFU in percent by GPUs; as many sequences as GPUs.
MEGASCALE_530B_MFU_PERCENT = {2240: 49.2, 11200: 48.2}

# MLPerf Training v3.1, closed, GPT-3, NVIDIA Eos (eos_n64, eos_n96, eos-dfw_n512 and
# eos-dfw_n1344, ngc23.09_nemo): sequences of a step and median of its train_step_time records in
# seconds, by GPUs. Result not verified by MLCommons Association.
EOS = {512: (2048, 11.0539), 768: (3072, 11.0755), 4096: (2048, 1.6084), 10752: (2688, 0.9296)}

# MLPerf Training v4.0 and v4.1, closed, GPT-3, NVIDIA Eos (ngc24.04 and ngc24.09): sequences of a
# step and median step in seconds, by round and GPUs. Result not verified by MLCommons Association.
EOS_LATER = {
    "v4.0": {512: (2304, 10.9822), 10752: (2688, 0.9207), 11616: (2904, 0.9214)},
    "v4.1": {256: (2048, 18.3739), 512: (2048, 9.4962)},
}

# Llama 3 Herd of Models (arXiv 2407.21783), table 4, 2,048 sequences of 8,192 tokens: TFLOP/s a
# GPU by GPUs.
LLAMA_TFLOP_PER_S = {8192: 430.0, 16384: 400.0}
LLAMA_BATCH_SEQS, LLAMA_SEQ_LEN = 2048, 8192

# BLOOM chronicles, 2022-04-28 (bigscience-workshop/bigscience, train/tr11-176B-ml/chronicles.md):
# seconds of a step without and with one slow GPU of 384.
BLOOM_STEP_S = (105.16, 111.14)
