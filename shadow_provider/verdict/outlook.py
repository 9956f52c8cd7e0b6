"""How much longer a gate needs, if everything goes on as it has been."""

import math
from typing import TYPE_CHECKING

from shadow_provider.policy.policy import Policy
from shadow_provider.statistics.long_run import MINIMUM_EFFECTIVE
from shadow_provider.statistics.paired_blocks import PairedBlocks
from shadow_provider.statistics.planning import blocks_needed, pairs_needed

if TYPE_CHECKING:
    from shadow_provider.verdict.measures import Sequential


def blocks_to_decision(sequential: "Sequential", margin: float, policy: Policy) -> float | None:
    """Blocks from now on until the gate is as likely as not to have passed, or to have failed.

    The estimate, the spread and the share of discordant pairs are taken to stay as they are.

    Args:
        sequential: what was observed so far.
        margin: in the measure's unit.
        policy: its error probabilities and precision.

    Returns:
        None if it cannot be said: too few blocks, or an estimate that lies on the margin.
    """
    over_time, estimate = sequential.over_time, sequential.estimate
    spread = over_time.spread
    have = len(over_time.weights)
    if estimate is None or spread is None or not have:
        return None
    if over_time.effective < MINIMUM_EFFECTIVE:
        return have * (MINIMUM_EFFECTIVE / max(over_time.effective, 0.5) - 1)
    passes = estimate < margin
    alpha = policy.alpha if passes else policy.reject_alpha
    per_unit = float(over_time.weights.sum()) / have
    # The variance of the mean is variance / blocks; that of one effective block is so many times as large.
    deviation = math.sqrt(spread.variance / have * over_time.effective) / per_unit
    needed = blocks_needed(abs(margin - estimate), deviation, alpha, policy.precision, power=0.5)
    if needed is None:
        return None
    factor = needed / over_time.effective
    if isinstance(sequential, PairedBlocks) and passes and 0 < margin < 1:
        counted = _of_pairs(sequential, margin, estimate, alpha)
        if counted is None:
            return None
        factor = max(factor, counted)
    return max(0.0, (factor - 1) * have)


def _of_pairs(sequential: PairedBlocks, margin: float, estimate: float, alpha: float) -> float | None:
    """How many times the pairs so far the counts need; None if no number is enough."""
    worse, better, pairs = sequential.clusters
    if not pairs:
        return None
    needed = pairs_needed(
        margin, min(1.0, max(abs(estimate), (worse + better) / pairs)), alpha, harm=estimate, power=0.5
    )
    return None if needed is None else needed / pairs
