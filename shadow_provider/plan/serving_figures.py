"""How a production variant serves, in figures, and what a policy's margins make of them.

The alarms that guard a promotion and the watch after it hold the new production against the same limits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from shadow_provider.policy.gates import InvocationErrorRate, ModelLatency
from shadow_provider.policy.policy import Policy

LEAST_BLOCKS = 5
"""Blocks with enough latency samples that a limit is made of at least."""

_SLOW_SHARE = 0.9


@dataclass(frozen=True)
class ServingFigures:
    """What CloudWatch says of one variant over a span of time.

    Attributes:
        invocations: requests; None where CloudWatch has no datapoint, which is not the same as zero.
        errors: failed ones (4XX and 5XX); None where CloudWatch has no count of them.
        latency: by percentile, that percentile of ModelLatency in microseconds of each block with enough samples, in
            order of time.
        notes: what CloudWatch did not answer completely, in words.
        thin_latency: as ``latency``, of all blocks with any sample. A percentile of few samples lies too low rather
            than too high (``needed_samples``), so it can tell of slowness, and never of speed.
    """

    invocations: int | None
    errors: int | None
    latency: Mapping[str, tuple[float, ...]]
    notes: tuple[str, ...] = ()
    thin_latency: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    @property
    def error_rate(self) -> float | None:
        """Failed requests by requests; None without figures."""
        if not self.invocations or self.errors is None:
            return None
        # A failure may be counted in the block after its request: at the edge there can be more of them than requests.
        return min(1.0, self.errors / self.invocations)


def error_gate(policy: Policy) -> InvocationErrorRate | None:
    """The policy's promise on failed invocations, if it is one that decides."""
    return next((gate for gate in policy.blocking_gates if isinstance(gate, InvocationErrorRate)), None)


def latency_gates(policy: Policy) -> tuple[ModelLatency, ...]:
    """The policy's promises on latency that decide."""
    return tuple(gate for gate in policy.blocking_gates if isinstance(gate, ModelLatency))


def latency_limit(blocks: Sequence[float], margin: float) -> float | None:
    """Latency above which a block of the new production is slower than the margin allows, in the blocks' unit.

    It is the block that nine of ten of production's were not slower than (nearest rank), times one plus the margin: a
    block is noisy, and the median's would be exceeded by half of the blocks of a model that is just as fast.

    Returns:
        None of fewer than five blocks: a limit is not made up.
    """
    if len(blocks) < LEAST_BLOCKS:
        return None
    return sorted(blocks)[math.ceil(_SLOW_SHARE * len(blocks)) - 1] * (1 + margin)
