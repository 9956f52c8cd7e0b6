"""How much a decision needs, before there is any, and what could be told by now.

Expected counts are put into the very evidence that decides, moved by as many standard deviations as the wanted power
asks for. So the answers are those of the sequential tests, not of a fixed sample.
"""

import math
from collections.abc import Callable

from shadow_provider.statistics.betting import pairs_bounds, pairs_evidence_below
from shadow_provider.statistics.long_run import MINIMUM_EFFECTIVE
from shadow_provider.statistics.mixture import needed_score
from shadow_provider.statistics.proportion import check_alpha, normal_quantile

_MOST_PAIRS = 1 << 40
_MOST_BLOCKS = 1 << 24


def pairs_needed(
    margin: float, discordance: float, alpha: float, *, harm: float = 0.0, power: float = 0.8
) -> int | None:
    """Pairs until a candidate that does `harm` is known, with probability `power`, to do less than the margin.

    Args:
        margin: Accepted difference of the two rates, a fraction.
        discordance: Share of the pairs in which just one of the two does harm.
        alpha: Error probability of the gate.
        harm: The candidate's true difference; zero for one that is as good as production.
        power: Probability of having decided by then.

    Returns:
        None if no number of pairs is enough: the harm is not below the margin.

    Raises:
        ValueError: Arguments out of range.
    """
    _check_power(power)
    check_alpha(alpha)
    if not 0 < margin < 1:
        raise ValueError(f"margin must lie within (0, 1), got {margin}")
    if not abs(harm) <= discordance <= 1:
        raise ValueError(f"discordance must lie between |harm| and 1, got {discordance}")
    if harm >= margin:
        return None
    needed = -math.log(alpha)

    def enough(pairs: int) -> bool:
        worse, better = _unlucky_counts(pairs, discordance, harm, power)
        return pairs_evidence_below(margin, worse, better, pairs) >= needed

    return _least(enough, _MOST_PAIRS)


def detectable_difference(pairs: int, discordance: float, alpha: float, *, power: float = 0.8) -> float:
    """The least margin that a candidate as good as production could be known to keep by now, with probability `power`.

    Raises:
        ValueError: Arguments out of range.
    """
    _check_power(power)
    if not 0 <= discordance <= 1:
        raise ValueError(f"discordance must lie within 0..1, got {discordance}")
    worse, better = _unlucky_counts(pairs, discordance, 0.0, power)
    return pairs_bounds(worse, better, pairs, alpha, alpha)[1]


def blocks_needed(
    margin: float, deviation: float, alpha: float, precision: float, *, harm: float = 0.0, power: float = 0.8
) -> int | None:
    """Effective blocks until a mean over blocks is known, with probability `power`, to be below the margin.

    Args:
        margin: In the unit of the blocks' values, such as a log-ratio of latencies.
        deviation: Standard deviation of an effective block in that unit.
        alpha: Error probability of the gate.
        precision: Of the mixture, in effective blocks.
        harm: The true mean.
        power: Probability of having decided by then.

    Returns:
        None if no number of blocks is enough: the harm is not below the margin.

    Raises:
        ValueError: Arguments out of range.
    """
    _check_power(power)
    if deviation < 0:
        raise ValueError(f"deviation must be at least 0, got {deviation}")
    if harm >= margin:
        return None
    luck = normal_quantile(1 - power) if power > 0.5 else 0.0

    def enough(blocks: int) -> bool:
        reach = (needed_score(blocks, precision, alpha) + luck) * deviation / math.sqrt(blocks)
        return harm + reach <= margin

    found = _least(enough, _MOST_BLOCKS)
    return None if found is None else max(found, MINIMUM_EFFECTIVE)


def _unlucky_counts(pairs: int, discordance: float, harm: float, power: float) -> tuple[int, int]:
    """Discordant counts that are as bad for the candidate as chance makes them with probability 1 - power."""
    luck = normal_quantile(1 - power) if power > 0.5 else 0.0
    discordant = discordance * pairs
    balance = harm * pairs + luck * math.sqrt(max(0.0, discordant - harm * harm * pairs))
    worse = min(discordant, max(0.0, (discordant + balance) / 2))
    return math.ceil(worse), math.floor(max(0.0, discordant - worse))


def _least(enough: Callable[[int], bool], most: int) -> int | None:
    high = 1
    while not enough(high):
        high *= 2
        if high > most:
            return None
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _check_power(power: float) -> None:
    if not 0.5 <= power < 1:
        raise ValueError(f"power must lie within [0.5, 1), got {power}")
