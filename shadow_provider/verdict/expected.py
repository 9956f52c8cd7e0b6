"""How soon a gate is expected to pass: the traffic is drawn, and the very evidence that decides is asked.

So a plan has in it all that a fixed formula leaves out: looks at any time, dispersion and block-to-block swings that
must be estimated, and the few blocks of a short deadline. The draws are seeded: the same question has the same answer.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt

from shadow_provider.statistics.blocks import BlockMean
from shadow_provider.statistics.long_run import MINIMUM_EFFECTIVE
from shadow_provider.statistics.paired_blocks import PairedBlocks
from shadow_provider.statistics.rate_blocks import RateBlocks
from shadow_provider.statistics.score_blocks import ScoreBlocks
from shadow_provider.verdict.measures import Sequential

DRAWS = 80
_SEED = 20
_MOST_REQUESTS = 10**10
_Start = Callable[[int], Sequential]


@dataclass(frozen=True)
class Expectation:
    """What one gate's measure is expected to be, if the candidate is as good as production.

    Attributes:
        kind: of the measure.
        worse: probability that the candidate alone does harm on a pair; of `rates`, that it fails a request.
        better: that production alone does; of `rates`, that it fails a request.
        mean: of a score.
        deviation: standard deviation of a score, or of a block's log-ratio.
        least: the least possible score.
        most: the greatest possible one.
        samples: that a block must have on the candidate's side to count at all.
    """

    kind: Literal["paired", "rates", "scores", "ratios"]
    worse: float = 0.0
    better: float = 0.0
    mean: float = 0.0
    deviation: float = 0.0
    least: float = -1.0
    most: float = 1.0
    samples: int = 0


@dataclass(frozen=True)
class Course:
    """The expected evidence of one gate over the blocks of a deployment, in many draws.

    Attributes:
        expectation: what is expected of its measure.
        production: requests of production in a block, on average.
        candidate: requests of the candidate in a block, or pairs of which something is known.
        precision: the policy's.
        blocks: that are drawn.
    """

    expectation: Expectation
    production: float
    candidate: float
    precision: float
    blocks: int

    def blocks_to_pass(self, margin: float, alpha: float, power: float) -> int | None:
        """Blocks after which the gate passes with this probability; None if that takes more than are drawn.

        Args:
            margin: in the measure's own unit.
            alpha: of the gate.
            power: probability of passing then.
        """
        return least(lambda blocks: self.passes(margin, alpha, power, blocks), MINIMUM_EFFECTIVE, self.blocks)

    def provable(self, alpha: float, power: float, blocks: int) -> float:
        """The least margin, in the measure's own unit, that has passed after so many blocks with this probability."""
        uppers = sorted(start(blocks).bounds(alpha, alpha)[1] for start in self._draws)
        return uppers[math.ceil(power * DRAWS) - 1]

    def counted_share(self) -> float:
        """Share of the blocks that hold enough requests to count."""
        return share_with(self.expectation.samples, self.candidate)

    def passes(self, margin: float, alpha: float, power: float, blocks: int) -> bool:
        """Whether the gate passes after so many blocks with this probability."""
        needed, failures = -math.log(alpha), 0
        for start in self._draws:
            failures += start(blocks).evidence_below(margin) < needed
            if failures > DRAWS - math.ceil(power * DRAWS):
                return False
        return True

    @cached_property
    def _draws(self) -> list[_Start]:
        rng = np.random.default_rng(_SEED)
        draw = {"paired": self._paired, "rates": self._rates, "scores": self._scores, "ratios": self._ratios}
        return [draw[self.expectation.kind](rng, self.blocks) for _ in range(DRAWS)]

    def _paired(self, rng: np.random.Generator, blocks: int) -> _Start:
        expected = self.expectation
        pairs = rng.poisson(self.candidate, blocks)
        worse = rng.binomial(pairs, expected.worse)
        better = rng.binomial(pairs - worse, expected.better / (1 - expected.worse))
        return lambda n: PairedBlocks(worse[:n], better[:n], pairs[:n], self.precision)

    def _rates(self, rng: np.random.Generator, blocks: int) -> _Start:
        trials, reference_trials = rng.poisson(self.candidate, blocks), rng.poisson(self.production, blocks)
        events = rng.binomial(trials, self.expectation.worse)
        reference = rng.binomial(reference_trials, self.expectation.better)
        return lambda n: RateBlocks(events[:n], trials[:n], reference[:n], reference_trials[:n], self.precision)

    def _scores(self, rng: np.random.Generator, blocks: int) -> _Start:
        # A block's mean is about normal; a sum of squares varies too little to matter.
        expected = self.expectation
        counts = rng.poisson(self.candidate, blocks)
        totals = counts * expected.mean + expected.deviation * np.sqrt(counts) * rng.standard_normal(blocks)
        squares = np.maximum(counts * (expected.mean**2 + expected.deviation**2), _least_squares(totals, counts))
        return lambda n: ScoreBlocks(counts[:n], totals[:n], squares[:n], expected.least, expected.most, self.precision)

    def _ratios(self, rng: np.random.Generator, blocks: int) -> _Start:
        ratios = self.expectation.deviation * rng.standard_normal(blocks)
        counted = rng.random(blocks) < self.counted_share()
        return lambda n: BlockMean.of_series(ratios[:n][counted[:n]], self.precision)


def requests_to_pass(
    expectation: Expectation, share: float, margin: float, alpha: float, power: float, precision: float, blocks: int
) -> int | None:
    """Requests of the candidate, or pairs, that a gate needs if they come over so many blocks; None if no number does.

    Args:
        expectation: of the gate's measure.
        share: the candidate's requests over production's.
        margin: in the measure's own unit.
        alpha: of the gate.
        power: probability of having passed by then.
        precision: the policy's.
        blocks: over which they come.
    """

    def enough(number: int) -> bool:
        each = number / blocks
        return Course(expectation, each / share, each, precision, blocks).passes(margin, alpha, power, blocks)

    return least(enough, blocks, _MOST_REQUESTS, within=1 / 32)


def share_with(samples: int, mean: float) -> float:
    """Share of the blocks with at least so many requests, if they come at random (Poisson) with this mean."""
    from scipy.special import pdtrc

    return float(pdtrc(samples - 1, mean)) if samples else 1.0


def least(enough: Callable[[int], bool], start: int, most: int, within: float = 0.0) -> int | None:
    """The least number from `start` to `most` that is enough, or one larger by this share; None if there is none."""
    low, high = start - 1, start
    while not enough(high):
        if high >= most:
            return None
        low, high = high, min(2 * high, most)
    while high - low > max(1, within * high):
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _least_squares(totals: npt.NDArray[np.float64], counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    found: npt.NDArray[np.float64] = totals**2 / np.maximum(counts, 1)
    return found
