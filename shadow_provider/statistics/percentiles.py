"""How many samples a percentile of a block needs to be one."""

import math
import re
from fractions import Fraction

_TAIL_SAMPLES = 5
_PERCENTILE = re.compile(r"p(\d{1,2}(?:\.\d{1,10})?)")


def fraction(percentile: str) -> Fraction:
    """The share of the samples below a percentile such as `p99.9`, exactly.

    Raises:
        ValueError: it is no percentile between 0 and 100, both excluded.
    """
    matched = _PERCENTILE.fullmatch(percentile)
    found = Fraction(matched[1]) / 100 if matched else Fraction(0)
    if not found:
        raise ValueError(f"{percentile!r} is no percentile such as p50 or p99.9")
    return found


def needed_samples(percentile: str) -> int:
    """Latency samples that a block must have of each variant for its percentile to count: 5 / (1 - p), rounded up.

    So at least five samples are expected beyond the percentile (p50: 10, p90: 50, p99: 500). The percentile of a small
    sample is biased by its size: the p99 of 20 samples lies between their two largest, well below the p99 of 200 from
    the same distribution. With 10 % of the requests mirrored, the shadow would look faster than production in every
    block, however many blocks there are.
    """
    return math.ceil(_TAIL_SAMPLES / (1 - fraction(percentile)))
