"""Fields of a cluster by itself: GPUs and the fabric that joins them, without a job."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from hindmost.cause import Name
from hindmost.law import Law
from hindmost.scenario.hardware import OwnFabric, OwnGpu, own_of
from hindmost.scenario.models import Fabric, Pool
from hindmost.strict import Strict


class Cluster(Strict):
    """Pools and their fabric, with the keys that they have in a scenario."""

    pools: dict[Name, Pool]
    """Pools by name, in order."""
    fabric: Fabric
    gpus: dict[Name, OwnGpu] = Field(default_factory=dict)
    """GPUs of one's own, beside those of the catalogue, by name."""
    fabrics: dict[Name, OwnFabric] = Field(default_factory=dict)
    """Fabrics of one's own, beside those of the catalogue, by name."""

    @classmethod
    def of(cls, table: dict[str, Any]) -> Cluster:
        """Return the cluster of a table; raises ValidationError."""
        return cls.model_validate(table, context=own_of(table))

    @property
    def hop_noise(self) -> Law | None:
        """The law of one hop's latency over its nominal latency, if hops are random."""
        return self.fabric.hop_law
