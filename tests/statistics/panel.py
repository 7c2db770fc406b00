"""Scenarios on which two engines must agree.

Each is a table laid over one small job whose steps take some seconds and nothing
else disturbs. Probabilities are such that what is rare happens in a share of the
steps that a comparison can see.
"""

from __future__ import annotations

from typing import Any

import hindmost as hm
from hindmost.scenario import from_table

Table = dict[str, Any]

BASE: Table = {
    "name": "panel",
    "models": {
        "small": {
            "n_layers": 4,
            "hidden": 1536,
            "n_heads": 48,
            "n_kv_heads": 48,
            "head_dim": 32,
            "ffn_hidden": 4096,
            "vocabulary": 32_000,
        }
    },
    "workload": {"model": "small", "seq_len": 2048, "microbatch_seqs": 1, "n_microbatches": 1},
    "fabric": {"name": "infiniband-ndr", "noise": {"enabled": False}},
}
NOISY: Table = {"name": "infiniband-ndr", "noise": {"law": {"name": "lognormal", "sigma": 0.05}}}
EXPOSED: Table = {"overlap_fraction": 0.0, "n_buckets": 4}
BESIDE_WORK: Table = {"overlap_fraction": 0.5, "n_buckets": 4}


def scenario(table: Table) -> hm.Scenario:
    """Return the scenario of a table laid over the small job."""
    return from_table({**BASE, **table})


def pool(gpu: str, n_gpus: int, step_s: float = 1.0, **fields: Any) -> Table:
    """Return GPUs of which each computes for as long as it says."""
    passes = {"forward_s": step_s / 4, "backward_s": step_s * 3 / 4}
    return {"gpu": gpu, "n_gpus": n_gpus, "nic_bytes_per_s": 50e9, **passes, **fields}


def h100(n_gpus: int, step_s: float = 1.0, **fields: Any) -> Table:
    """Return nodes of eight, each of them a domain."""
    return pool("h100-sxm", n_gpus, step_s, **fields)


def h200(n_gpus: int, step_s: float = 1.0, **fields: Any) -> Table:
    """Return nodes of eight, each of them a domain."""
    return pool("h200-sxm", n_gpus, step_s, **fields)


def gb200(n_gpus: int, step_s: float = 1.0, **fields: Any) -> Table:
    """Return nodes of four in domains of 72."""
    return pool("gb200-nvl72", n_gpus, step_s, **fields)


def gh200(n_gpus: int, step_s: float = 1.0, **fields: Any) -> Table:
    """Return nodes of one, each of them a domain."""
    return pool("gh200", n_gpus, step_s, **fields)


def tuned(gpu: str, n_gpus: int, software_efficiency: float) -> Table:
    """Return GPUs whose time follows from their peak."""
    shares = {"kernel_efficiency": 0.8, "software_efficiency": software_efficiency}
    return {"gpu": gpu, "n_gpus": n_gpus, "nic_bytes_per_s": 50e9, **shares}


def slow(law: Table, scope: str = "gpu", **fields: Any) -> Table:
    """Return a slowdown of compute in every step, where nothing else is said."""
    default = {"affects": "compute", "effect": "slowdown", "span": "step"}
    return {"law": law, "scope": scope, **default, **fields}


def halt(law: Table, scope: str = "gpu", probability: float = 1.0, **fields: Any) -> Table:
    """Return a stall of compute in every step, where nothing else is said."""
    return slow(law, scope, effect="stall", probability=probability, **fields)


def lognormal(sigma: float, median: float = 1.0) -> Table:
    return {"name": "lognormal", "sigma": sigma, "median": median}


def exponential(mean: float, shift: float = 1.0) -> Table:
    return {"name": "exponential", "mean": mean, "shift": shift}


def constant(value: float) -> Table:
    return {"name": "constant", "value": value}


def uniform(low: float, high: float) -> Table:
    return {"name": "uniform", "low": low, "high": high}


def pareto(minimum: float = 1.0, **cap: float) -> Table:
    return {"name": "pareto", "alpha": 2.5, "minimum": minimum, **cap}


def mixture(parts: list[tuple[float, Table]], **cap: float) -> Table:
    components = [{"weight": weight, "law": law} for weight, law in parts]
    return {"name": "mixture", "components": components, **cap}


GAMMA: Table = {"name": "gamma", "shape": 50.0, "scale": 0.02}
EMPIRICAL: Table = {"name": "empirical", "samples": [1.0, 1.01, 1.02, 1.05, 1.05, 1.3]}
WAIT = exponential(0.2, shift=0.05)
RESIDUAL = slow(lognormal(0.003))
SPEED = slow(lognormal(0.01), span="run")
RARE_NODE: Table = {
    "node-slow": slow(lognormal(0.05, median=1.1), "node", probability=2e-3),
    "node-halt": halt(WAIT, "node", 2e-3),
}
RARE_DOMAIN: Table = {
    "domain-slow": slow(uniform(1.02, 1.2), "domain", probability=0.03),
    "domain-halt": halt(WAIT, "domain", 0.03),
}
NESTED: Table = {
    "gpu": slow(lognormal(0.004)),
    "node": slow(lognormal(0.005), "node"),
    "domain": slow(lognormal(0.006), "domain"),
}

PANEL: dict[str, Table] = {
    # One law.
    "lognormal of 1,024": {"pools": {"a": h100(1_024)}, "causes": {"x": RESIDUAL}},
    "exponential of 8": {"pools": {"a": h100(8)}, "causes": {"x": slow(exponential(0.1))}},
    "gamma of 64": {"pools": {"a": h100(64)}, "causes": {"x": slow(GAMMA)}},
    "pareto of 64": {"pools": {"a": h100(64)}, "causes": {"x": slow(pareto())}},
    "capped pareto of 1,024": {
        "pools": {"a": h100(1_024)},
        "causes": {"x": slow(pareto(cap=30.0))},
    },
    "uniform of one GPU": {"pools": {"a": gh200(1)}, "causes": {"x": slow(uniform(0.9, 1.2))}},
    "empirical, often absent": {
        "pools": {"a": h100(64)},
        "causes": {"x": slow(EMPIRICAL, probability=0.02)},
    },
    "capped mixture": {
        "pools": {"a": h100(16)},
        "causes": {
            "x": slow(
                mixture([(0.9, lognormal(0.02)), (0.06, constant(1.03)), (0.04, GAMMA)], cap=1.15)
            )
        },
    },
    "constants among a residual": {
        "pools": {"a": h100(64)},
        "causes": {"x": RESIDUAL, "y": slow(constant(1.3), probability=0.005)},
    },
    "capped residual": {
        "pools": {"a": h100(64)},
        "causes": {"x": slow({**lognormal(0.01), "cap": 1.02})},
    },
    # Several causes, rare ones, and rare ones that speed up.
    "three causes of GPUs and two of nodes": {
        "pools": {"a": h100(64)},
        "causes": {
            "x": slow(uniform(0.98, 1.05)),
            "y": slow(lognormal(0.01)),
            "z": slow(EMPIRICAL, probability=0.3),
            "node-x": slow(lognormal(0.01), "node"),
            "node-y": slow(GAMMA, "node", probability=0.1),
        },
    },
    "a slowdown of every third GPU": {
        "pools": {"a": h100(1_024)},
        "causes": {"x": slow(lognormal(0.01)), "y": slow(lognormal(0.02), probability=0.3)},
    },
    "rare slowdowns and stalls of GPUs": {
        "pools": {"a": h100(1_024)},
        "causes": {
            "x": RESIDUAL,
            "y": slow(lognormal(0.1, median=1.2), probability=2e-4),
            "z": halt(WAIT, probability=2e-4),
        },
    },
    "rare GPUs that are faster": {
        "pools": {"a": h100(8)},
        "causes": {"x": slow(lognormal(0.05)), "y": slow(uniform(0.6, 0.9), probability=0.2)},
    },
    "rare domains that are faster": {
        "pools": {"a": h100(8), "b": h200(16)},
        "causes": {
            "x": slow(lognormal(0.02)),
            "y": slow(uniform(0.7, 0.95), "domain", probability=0.1),
            "z": slow(constant(1.1), "node", probability=0.1),
        },
    },
    "rare stalls with a heavy tail": {
        "pools": {"a": h100(64)},
        "causes": {"x": slow(lognormal(0.02)), "y": halt(pareto(0.02), probability=2e-3)},
    },
    "rare nodes and domains": {
        "pools": {"a": gb200(216)},
        "causes": {"x": RESIDUAL, **RARE_NODE, **RARE_DOMAIN},
    },
    "rare nodes and domains of uneven speed": {
        "pools": {"a": gb200(144), "b": h100(64, 1.01)},
        "causes": {"speed": SPEED, "x": RESIDUAL, **RARE_NODE, **RARE_DOMAIN},
    },
    # Stalls that always come.
    "a stall of every GPU": {"pools": {"a": h100(64)}, "causes": {"x": halt(WAIT)}},
    "a stall of every slowed GPU": {
        "pools": {"a": h100(16)},
        "causes": {"x": slow(lognormal(0.05)), "y": halt(uniform(0.0, 0.2))},
    },
    # Scopes above each other.
    "nested": {"pools": {"a": gb200(144)}, "causes": NESTED},
    "nested, of uneven speed": {"pools": {"a": gb200(72)}, "causes": {**NESTED, "speed": SPEED}},
    "nested in two pools": {
        "pools": {"a": gb200(72), "b": h100(128, 0.999)},
        "causes": {**NESTED, "extra": slow(lognormal(0.004), "node", pools=["b"])},
    },
    "replicas in nodes in domains": {
        "pools": {"a": gb200(72)},
        "layout": {"tensor": 2},
        "causes": {
            **NESTED,
            "replica": slow(lognormal(0.006), "replica"),
            "late": halt(WAIT, "replica", 3e-3),
        },
    },
    "racks": {
        "pools": {"a": h100(64, rack_gpus=24)},
        "causes": {
            "x": RESIDUAL,
            "rack": slow(lognormal(0.004), "rack"),
            "rack-halt": halt(WAIT, "rack", 0.05),
            "rack-slow": slow(constant(1.05), "rack", probability=0.05),
        },
    },
    "racks of uneven speed": {
        "pools": {"a": h100(128, rack_gpus=32)},
        "causes": {"x": RESIDUAL, "rack": slow(lognormal(0.01), "rack", span="run")},
    },
    "pools and the cluster": {
        "pools": {"a": h100(64), "b": gb200(72)},
        "causes": {
            "x": RESIDUAL,
            "pool": slow(lognormal(0.004), "pool"),
            "pool-halt": halt(WAIT, "pool", 0.1),
            "cluster": slow(lognormal(0.005), "cluster"),
            "cluster-halt": halt(WAIT, "cluster", 0.05),
        },
    },
    "pools and clusters of uneven speed": {
        "pools": {"a": h100(64), "b": gb200(72)},
        "causes": {
            "x": RESIDUAL,
            "pool": slow(lognormal(0.003), "pool", span="run"),
            "cluster": slow(lognormal(0.01), "cluster", span="run", probability=0.5),
            "cluster-halt": halt(WAIT, "cluster", 0.3, span="run"),
        },
    },
    # What runs fix, below what steps draw.
    "GPUs of uneven speed": {"pools": {"a": h100(64)}, "causes": {"speed": SPEED, "x": RESIDUAL}},
    "nodes and domains of uneven speed": {
        "pools": {"a": gb200(72), "b": h100(64, 1.04)},
        "causes": {
            "node": slow(lognormal(0.01), "node", span="run"),
            "domain": slow(uniform(1.0, 1.05), "domain", span="run", probability=0.3),
            "x": slow({"name": "gamma", "shape": 2_000.0, "scale": 0.0005}),
        },
    },
    "GPUs that are late all through a run": {
        "pools": {"a": h100(64)},
        "causes": {
            "gpu-late": halt(WAIT, "gpu", 0.01, span="run"),
            "node-late": halt(constant(0.03), "node", 0.05, span="run"),
            "x": slow(lognormal(0.02)),
            "halt": halt(WAIT, probability=2e-3),
        },
    },
    # Several pools.
    "two pools": {"pools": {"a": h100(512), "b": gb200(144, 1.001)}, "causes": {"x": RESIDUAL}},
    "three pools by their peaks": {
        "pools": {
            "a": tuned("h100-sxm", 256, 0.98),
            "b": tuned("h200-sxm", 128, 0.979),
            "c": tuned("gb200-nvl72", 72, 0.3875),
        },
        "causes": {"x": RESIDUAL, "y": halt(uniform(1e-4, 4e-4), probability=1e-4)},
    },
    "four pools with causes of their own": {
        "pools": {"a": h100(64), "b": h200(128, 0.99), "c": gb200(72, 1.01), "d": gh200(9, 1.01)},
        "causes": {
            "x": slow(lognormal(0.01)),
            "b-only": slow(exponential(0.005), pools=["b"]),
            "d-only": slow(lognormal(0.01), "node", span="run", pools=["d"]),
            "a-and-c": halt(WAIT, "node", 0.01, pools=["a", "c"]),
        },
    },
    "a pool without causes": {
        "pools": {"a": h100(8, 1.02), "b": h200(64)},
        "causes": {"x": slow(lognormal(0.01), pools=["b"])},
    },
    "pools that tie": {
        "pools": {"a": h100(64), "b": h200(64), "c": gh200(20)},
        "causes": {
            "x": slow({**lognormal(0.01), "cap": 1.02}),
            "y": slow(constant(1.1), "node", probability=0.02),
        },
    },
    # Spares within domains, so that nodes and domains hold unequal ranks.
    "spares in domains of eight": {
        "pools": {"a": h100(64)},
        "layout": {"tensor": 3},
        "causes": {"x": RESIDUAL, **RARE_DOMAIN, "node": slow(lognormal(0.005), "node")},
    },
    "spares in nodes": {
        "pools": {"a": pool("tpu-v4", 128, scale_up_latency_s=3e-6), "b": gb200(150)},
        "layout": {"tensor": 3},
        "causes": {"x": RESIDUAL, "node": slow(lognormal(0.005), "node"), **RARE_DOMAIN},
    },
    "spares among uneven speeds": {
        "pools": {"a": gb200(150)},
        "layout": {"tensor": 16},
        "causes": {"speed": SPEED, "x": RESIDUAL, **RARE_NODE},
    },
    # The network.
    "slow and late ports": {
        "pools": {"a": h100(64)},
        "collective": EXPOSED,
        "causes": {
            "x": RESIDUAL,
            "port": slow(lognormal(0.1), affects="network"),
            "lost": halt(WAIT, probability=2e-3, affects="network"),
        },
    },
    "a noisy fabric beside uneven speeds": {
        "pools": {"a": h100(64, 0.02), "b": gb200(72, 0.02)},
        "collective": BESIDE_WORK,
        "fabric": NOISY,
        "causes": {
            "speed": slow(lognormal(0.05), span="run"),
            "x": slow(lognormal(0.05)),
            "port": slow(lognormal(0.2), "node", affects="network", pools=["b"]),
        },
    },
    "uneven ports": {
        "pools": {"a": h100(64), "b": h200(32)},
        "collective": EXPOSED,
        "fabric": {**NOISY, "hop_noise": exponential(0.5, shift=0.5)},
        "causes": {
            "x": RESIDUAL,
            "port": slow(lognormal(0.1), affects="network", span="run"),
            "halt": halt(WAIT, "node", 5e-3),
        },
    },
    # As large as they come.
    "220,000 GPUs": {
        "pools": {"a": h100(220_000)},
        "causes": {
            "x": RESIDUAL,
            "y": slow(lognormal(0.003), probability=0.1),
            "z": halt(WAIT, probability=1e-6),
            "node": slow(constant(1.02), "node", probability=1e-5),
        },
    },
    "220,000 GPUs of uneven speed": {
        "pools": {"a": h100(150_000), "b": h200(50_000, 1.002), "c": gb200(20_000, 1.004)},
        "causes": {
            "speed": slow(lognormal(0.003), span="run"),
            "x": RESIDUAL,
            "halt": halt(WAIT, "node", 2e-6),
        },
    },
}

UNEVEN = (
    "GPUs of uneven speed",
    "nodes and domains of uneven speed",
    "racks of uneven speed",
    "GPUs that are late all through a run",
    "pools and clusters of uneven speed",
    "a noisy fabric beside uneven speeds",
)
"""Scenarios of the panel of which each run has a mean of its own."""
