"""Exact evidence from counts, valid at every look: what a gambler wins who bets against the hypothesis.

A pair scores +1 where the candidate alone did harm, -1 where production alone did, else 0. Who bets the share l of the
wealth against "the mean is at least m" has it multiplied by 1 + l (m - score) each time, which does not grow on average
while the hypothesis holds: the wealth is an e-value, whatever the distribution, in each step given the past. The bets
of a crowd, from timid to bold, are added up; so the wealth depends on the counts alone, not on their order.
Waudby-Smith and Ramdas (2024), JRSS B 86, 1-27, "Estimating means of bounded random variables by betting".
"""

import math

import numpy as np
import numpy.typing as npt

from shadow_provider.statistics.proportion import Interval, check_alpha
from shadow_provider.statistics.roots import crossing

_BOLDNESS = np.geomspace(1e-4, 0.99, 41)
"""Bets as a share of the boldest that cannot ruin. A ten-thousandth is right for margins far below the noise."""

_FUNDS = _BOLDNESS**0.25 / (_BOLDNESS**0.25).sum()
"""What each gambler of the crowd starts with: the bold ones more, since rare errors leave them little time."""


def pairs_evidence_below(margin: float, worse: float, better: float, pairs: float) -> float:
    """Log evidence that P(worse) - P(better) is below the margin.

    Args:
        margin: In (-1, 1).
        worse: Pairs in which the candidate alone did harm.
        better: Pairs in which production alone did.
        pairs: All pairs. Counts need not be whole: where events come in clusters, they are divided by the size of one.

    Raises:
        ValueError: Counts that cannot be, or a margin out of range.
    """
    _check(margin, worse, better, pairs)
    boldest = 1 / (1 - margin)
    bets = _BOLDNESS * boldest
    wealth = (
        worse * np.log1p(bets * (margin - 1))
        + better * np.log1p(bets * (margin + 1))
        + max(0.0, pairs - worse - better) * np.log1p(bets * margin)
    )
    return _log_of_sum(wealth)


def pairs_evidence_above(margin: float, worse: float, better: float, pairs: float) -> float:
    """Log evidence that P(worse) - P(better) is above the margin; arguments as `pairs_evidence_below`."""
    return pairs_evidence_below(-margin, better, worse, pairs)


def pairs_bounds(worse: float, better: float, pairs: float, lower_alpha: float, upper_alpha: float) -> Interval:
    """Bounds of P(worse) - P(better) that hold at all looks together, each with its own error probability.

    Raises:
        ValueError: Counts that cannot be, or an alpha outside of (0, 0.5).
    """
    return -_upper(better, worse, pairs, lower_alpha), _upper(worse, better, pairs, upper_alpha)


def proportion_bounds(successes: float, trials: float, lower_alpha: float, upper_alpha: float) -> Interval:
    """Bounds of a proportion that hold at all looks together, each with its own error probability.

    Raises:
        ValueError: Counts that cannot be, or an alpha outside of (0, 0.5).
    """
    upper = _upper(successes, 0, trials, upper_alpha)
    lower = 1 - _upper(max(0.0, trials - successes), 0, trials, lower_alpha)
    return max(0.0, lower), min(1.0, upper)


def _upper(worse: float, better: float, pairs: float, alpha: float) -> float:
    check_alpha(alpha)
    needed = -math.log(alpha)

    def excess(margin: float) -> float:
        return pairs_evidence_below(margin, worse, better, pairs) - needed

    least, most = -1 + 1e-12, 1 - 1e-12
    # For each bet the wealth grows with the margin, so there is one crossing at most.
    if excess(most) < 0:
        return 1.0
    if excess(least) > 0:
        return -1.0
    return crossing(excess, least, most, within=1e-13)


def _check(margin: float, worse: float, better: float, pairs: float) -> None:
    if not -1 < margin < 1:
        raise ValueError(f"margin must lie within (-1, 1), got {margin}")
    if min(worse, better) < 0 or worse + better > pairs * (1 + 1e-12):
        raise ValueError(
            f"discordant counts must be at least 0 and add up to at most {pairs}, got {worse} and {better}"
        )


def _log_of_sum(logs: npt.NDArray[np.float64]) -> float:
    largest = float(logs.max())
    return largest + math.log(float(_FUNDS @ np.exp(logs - largest)))
