"""Fields of what stops a job: failures of units, recovery from them, and checkpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    Discriminator,
    Field,
    Tag,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    create_model,
    model_validator,
)
from pydantic_core import PydanticCustomError

from hindmost.catalog.schema import Count, NoneOrMore, NotNegative, Positive
from hindmost.cause import Name
from hindmost.law import Law, LawModel, number_or_law
from hindmost.strict import Strict

__all__ = ["Checkpoint", "FailureLaw", "GlobalCheckpoint", "Recovery", "UnitFailures"]

MAX_PER_HOUR = 1e6
"""Failures of a unit in an hour, at most."""
LEAST_SHAPE, MOST_SHAPE = 0.52, 20.0
"""Shapes of the law of a time to a failure, at least and at most."""
MAX_REPAIR_HOURS = 1e6
"""Hours of a repair, at most; this is a century."""
MAX_RATE_SPREAD = 5.0
"""Standard deviation of units' rates over their mean, at most."""
REPLICA_STALL_S = 180.0
"""Seconds for which the other replicas stand while one restarts, by default."""
MAX_EVERY = 1_000_000
"""Checkpoints from one global one to the next, at most."""


FailureScope = Literal["gpu", "node", "domain", "rack", "switch", "cube", "job"]
"""What fails together: one GPU, all GPUs of a node, and so on."""

RepairHours = Annotated[
    Annotated[float, Field(ge=0, le=MAX_REPAIR_HOURS), Tag("number")] | Annotated[Law, Tag("law")],
    Discriminator(number_or_law),
]
"""Hours of a repair: a number, or their law."""


def _checked_interval(interval: Any, judge: ValidatorFunctionWrapHandler) -> Any:
    """Refuse in one sentence what is neither a number of seconds nor the word."""
    try:
        return judge(interval)
    except ValidationError:
        raise PydanticCustomError("interval", "must be seconds, or best") from None


Interval = Annotated[Positive | Literal["best"], WrapValidator(_checked_interval)]
"""Seconds from one checkpoint to the next one, or the interval that keeps most time."""


class FailureLaw(Strict):
    """Law of the time that a unit is in service until it fails; its mean is 1 / per_hour."""

    name: Literal["exponential", "weibull"]
    """exponential: a constant rate; weibull: a rate that changes with age."""
    shape: Annotated[float, Field(ge=LEAST_SHAPE, le=MOST_SHAPE)] | None = None
    """Shape of a Weibull law: below 1 the rate falls with age, at 1 it is constant."""


class UnitFailures(Strict):
    """Failures of one kind of units, which stop the job."""

    scope: FailureScope
    """What fails together: one GPU, all GPUs of a node, of a domain, of a rack, below one switch
    or of a cube of [slices], or the job as a whole, such as by its software."""
    per_hour: Annotated[float, Field(ge=0, le=MAX_PER_HOUR)]
    """How often each unit fails in an hour in service: 1 / mean time between its failures."""
    pools: list[Name] | None = None
    """Pools whose units fail; all by default."""
    unit_gpus: Count | None = None
    """GPUs below one switch, for scope switch alone."""
    law: FailureLaw = Field(default_factory=lambda: FailureLaw(name="exponential"))
    """Law of the time to a failure; by default with a constant rate."""
    ages: Literal["equilibrium", "new"] = "equilibrium"
    """Ages of units when a run begins: equilibrium: those of units that have been in service for
    long; new: all 0. They matter where the rate changes with age."""
    repair_hours: RepairHours = 0.0
    """Hours until a unit is back in service: a number, or the law of one. 0 by default: it is back
    at once, as after a failure that a restart cures."""
    rate_spread: Annotated[float, Field(ge=0, le=MAX_RATE_SPREAD)] = 0.0
    """Standard deviation of units' rates over their mean. They follow a gamma law, and each unit
    keeps its own through repairs."""
    enabled: bool = True
    """false removes these failures."""

    @model_validator(mode="after")
    def _repairs_can_be_drawn(self) -> UnitFailures:
        if isinstance(self.repair_hours, LawModel):
            self.repair_hours.check_drawable("repair_hours")
        return self

    @property
    def shape(self) -> float:
        """Shape of the Weibull law of the time to a failure; 1 for a constant rate."""
        return 1.0 if self.law.shape is None else self.law.shape

    @property
    def are_repaired(self) -> bool:
        """Whether failed units are out of service for a while."""
        return isinstance(self.repair_hours, LawModel) or self.repair_hours > 0


class Recovery(Strict):
    """What happens when a unit of the job fails."""

    detection_s: NotNegative = 0.0
    """Seconds until a failure is noticed."""
    restart_s: NotNegative | None = None
    """Seconds from then until the job computes again; [failures] need it."""
    restart_per_doubling_s: NotNegative = 0.0
    """Seconds by which a restart takes longer with each doubling of the job's nodes."""
    restart_can_fail: bool = True
    """Whether units fail during detection and restart, too; then both begin again. Otherwise the
    clocks of failures stand meanwhile."""
    spares: NoneOrMore = 0
    """GPUs of each pool that are held back to take the place of failed ones: whole nodes and whole
    tensor groups. spares of a pool wins."""
    swap_s: NotNegative = 0.0
    """Seconds by which a restart takes longer that puts a spare in."""
    exhausted: Literal["wait", "shrink"] = "wait"
    """What the job does where no spare is left: wait for a repair, or go on with fewer replicas."""
    regrow: Literal["restart", "checkpoint"] = "restart"
    """When replicas come back after a repair: with a restart of their own, or at the next
    checkpoint, which takes no longer for it."""
    replica_level: bool = False
    """Whether only the failed replica restarts, from the states of another one."""
    replica_stall_s: NotNegative = REPLICA_STALL_S
    """Seconds for which the others stand meanwhile, where replica_level is true."""
    watchdog_s: Positive | None = None
    """Seconds of a stall above which it is a failure of the job, as is an episode that makes a step
    take longer; by default none is."""
    evict_after_s: Positive | None = None
    """Seconds after which a unit in an episode is replaced: the job saves its state and restarts.
    By default episodes end by themselves."""


class GlobalCheckpoint(Strict):
    """Checkpoints that survive failures that local ones do not."""

    every: Annotated[int, Field(ge=1, le=MAX_EVERY)]
    """Each so many checkpoints one is global instead of local."""
    blocking_s: NotNegative
    """Seconds for which a global checkpoint stops the job."""
    durable_s: NotNegative = 0.0
    """Seconds after that until it is durable, while the job goes on."""
    restart_s: NotNegative | None = None
    """Seconds of a restart from it; recovery.restart_s by default."""
    scopes: list[FailureScope]
    """Scopes of failures that local checkpoints do not survive."""


# Python has the keyword global, so that a field of this name cannot be declared as others are.
if TYPE_CHECKING:

    class _WithGlobalLevel(Strict): ...

else:
    _WithGlobalLevel = create_model(
        "_WithGlobalLevel",
        __base__=Strict,
        **{
            "global": (
                GlobalCheckpoint | None,
                Field(default=None, description="A second level; there is none by default."),
            )
        },
    )


class Checkpoint(_WithGlobalLevel):
    """How the state of the job is saved; with a global level, this is the local one."""

    interval_s: Interval = "best"
    """Seconds of computing from one checkpoint to the next one; best: those that keep most
    time."""
    blocking_s: NotNegative
    """Seconds for which a checkpoint stops the job."""
    durable_s: NotNegative = 0.0
    """Seconds after that until it is durable, while the job goes on."""
    enabled: bool = True
    """false removes checkpoints."""

    @property
    def global_level(self) -> GlobalCheckpoint | None:
        """The table at the key global, if there is one."""
        level: GlobalCheckpoint | None = getattr(self, "global")
        return level
