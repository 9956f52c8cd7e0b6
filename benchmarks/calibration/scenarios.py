"""Traffic as it comes: minutes of pairs and of latencies, with every trouble that a time series has.

Each scenario draws one history for a given true harm. The harm is exact on average over all histories, whatever else
swings, so that a candidate *at the margin* really is there.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Series = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

HOUR = 60
DAY = 1440
LOAD = 100.0


@dataclass(frozen=True)
class PairHistory:
    """Pairs per minute: the candidate alone did harm, production alone did, all."""

    worse: Counts
    better: Counts
    pairs: Counts


@dataclass(frozen=True)
class LatencyHistory:
    """Latency per minute of both variants, microseconds."""

    candidate: Series
    production: Series


@dataclass(frozen=True)
class RateHistory:
    """Errors and requests per minute of both variants, which errors belong together being unknown."""

    events: Counts
    trials: Counts
    reference_events: Counts
    reference_trials: Counts


@dataclass(frozen=True)
class ScoreHistory:
    """Differences of two scores, candidate's harm less production's, each within -1 and 1, as sums per minute."""

    counts: Counts
    totals: Series
    squares: Series


History = PairHistory | LatencyHistory | RateHistory | ScoreHistory
Draw = Callable[[np.random.Generator, float, int], History]


@dataclass(frozen=True)
class Scenario:
    """A kind of traffic.

    Attributes:
        name: Of the row.
        margin: Accepted harm: a difference of rates or scores, or the logarithm of a ratio of latencies.
        cover: Minutes before the first look.
        draw: Gives the history for a true harm.
    """

    name: str
    margin: float
    cover: int
    draw: Draw


def autoregression(rng: np.random.Generator, count: int, rho: float) -> Series:
    """Standard normal values with lag-one autocorrelation rho."""
    from scipy.signal import lfilter

    noise = rng.standard_normal(count) * math.sqrt(1 - rho * rho)
    noise[0] /= math.sqrt(1 - rho * rho)
    series: Series = lfilter([1.0], [1.0, -rho], noise)
    return series


def _daily(count: int) -> Series:
    return 1 + 0.8 * np.sin(np.arange(count) / DAY * 2 * math.pi)


def _bursts(rng: np.random.Generator, count: int, length: int = 5, each: int = 60) -> Series:
    """One on average, zero most of the time: bursts of about `length` minutes, one about every `each`."""
    active = np.empty(count)
    on = rng.random() < length / each
    draws = rng.random(count)
    for i in range(count):
        on = draws[i] >= 1 / length if on else draws[i] < 1 / (each - length)
        active[i] = on
    return active * each / length


def _pairs(
    base: float, modulate: Callable[[np.random.Generator, int], Series], load: Callable[[int], Series] | None = None
) -> Callable[[np.random.Generator, float, int], PairHistory]:
    """Production alone errs at rate `base`; the candidate at `base` + harm, that sum swinging with `modulate`."""

    def draw(rng: np.random.Generator, harm: float, minutes: int) -> PairHistory:
        pairs = rng.poisson(LOAD * (np.ones(minutes) if load is None else load(minutes)))
        worse = rng.binomial(pairs, np.minimum(1.0, (base + harm) * modulate(rng, minutes)))
        better = rng.binomial(pairs - worse, base)
        return PairHistory(worse, better, pairs)

    return draw


def _steady(_rng: np.random.Generator, count: int) -> Series:
    return np.ones(count)


def _swinging(rho: float, size: float = 0.8) -> Callable[[np.random.Generator, int], Series]:
    return lambda rng, count: np.exp(size * autoregression(rng, count, rho) - size * size / 2)


def _latencies(
    noise: Callable[[np.random.Generator, int], Series], shared: Callable[[np.random.Generator, int], Series]
) -> Callable[[np.random.Generator, float, int], LatencyHistory]:
    """Both variants see the shared load; each has half of the noise's variance of its own."""

    def draw(rng: np.random.Generator, harm: float, minutes: int) -> LatencyHistory:
        common = math.log(20_000) + shared(rng, minutes)
        half = math.sqrt(0.5)
        candidate = np.exp(common + harm + half * noise(rng, minutes))
        return LatencyHistory(candidate, np.exp(common + half * noise(rng, minutes)))

    return draw


def _no_load(_rng: np.random.Generator, count: int) -> Series:
    return np.zeros(count)


def _noise(size: float, rho: float = 0.0) -> Callable[[np.random.Generator, int], Series]:
    return lambda rng, count: size * autoregression(rng, count, rho)


def _heavy(rng: np.random.Generator, count: int) -> Series:
    heavy: Series = 0.15 * rng.standard_t(3, count)
    return heavy


def _cycle(rng: np.random.Generator, count: int) -> Series:
    return 0.15 * _daily(count) * rng.standard_normal(count)


def _shared_load(rng: np.random.Generator, count: int) -> Series:
    return 0.5 * _daily(count) + 0.5 * autoregression(rng, count, 0.98)


def _rates(base: float, modulate: Callable[[np.random.Generator, int], Series]) -> Draw:
    """Both variants' errors swing together with `modulate`; production's rate is `base`."""

    def draw(rng: np.random.Generator, harm: float, minutes: int) -> RateHistory:
        trials, reference_trials = rng.poisson(LOAD, minutes), rng.poisson(LOAD, minutes)
        swing = modulate(rng, minutes)
        events = rng.binomial(trials, np.minimum(1.0, (base + harm) * swing))
        return RateHistory(
            events, trials, rng.binomial(reference_trials, np.minimum(1.0, base * swing)), reference_trials
        )

    return draw


def _scores(rho: float | None) -> Draw:
    """A difference of 0.4 for or against the candidate; for whom swings from minute to minute."""

    def draw(rng: np.random.Generator, harm: float, minutes: int) -> ScoreHistory:
        counts = rng.poisson(LOAD, minutes)
        swing = np.zeros(minutes) if rho is None else np.clip(0.05 * autoregression(rng, minutes, rho), -0.3, 0.3)
        harmed = rng.binomial(counts, 0.5 + (harm + swing) / 0.8)
        totals, squares = 0.4 * (2.0 * harmed - counts), 0.16 * counts
        return ScoreHistory(counts, totals.astype(np.float64), squares.astype(np.float64))

    return draw


def _sessions(rng: np.random.Generator, harm: float, minutes: int) -> ScoreHistory:
    """Sessions of about ten pairs within five minutes, which resemble each other: half of the variance is theirs."""
    begins = np.repeat(np.arange(minutes), rng.poisson(LOAD / 10, minutes))
    sizes = 1 + rng.poisson(9, len(begins))
    shared = np.repeat(rng.choice([-0.2, 0.2], len(begins)), sizes)
    scores = harm + shared + rng.choice([-0.2, 0.2], len(shared))
    # Who begins in the last minutes goes on after the end; that is not seen.
    when = np.repeat(begins, sizes) + rng.integers(0, 5, len(shared))
    seen = when < minutes
    when, scores = when[seen], scores[seen]
    totals, squares = (np.bincount(when, weights=part, minlength=minutes) for part in (scores, scores * scores))
    return ScoreHistory(np.bincount(when, minlength=minutes), totals.astype(np.float64), squares.astype(np.float64))


PAIRS = (
    Scenario("iid", 0.01, HOUR, _pairs(0.02, _steady)),
    Scenario("AR(1) 0.6", 0.01, HOUR, _pairs(0.02, _swinging(0.6))),
    Scenario("AR(1) 0.9", 0.01, 8 * HOUR, _pairs(0.02, _swinging(0.9))),
    Scenario("daily cycle of the load", 0.01, HOUR, _pairs(0.02, _steady, _daily)),
    Scenario("bursts of errors", 0.005, DAY, _pairs(0.001, _bursts)),
    Scenario("errors at 1e-2", 0.005, HOUR, _pairs(0.01, _steady)),
    Scenario("errors at 1e-3", 0.001, HOUR, _pairs(0.001, _steady)),
    Scenario("errors at 1e-4", 0.0005, HOUR, _pairs(0.0001, _steady)),
)
LATENCIES = (
    Scenario("iid", math.log(1.1), HOUR, _latencies(_noise(0.3), _no_load)),
    Scenario("AR(1) 0.6", math.log(1.1), HOUR, _latencies(_noise(0.3, 0.6), _no_load)),
    Scenario("AR(1) 0.9", math.log(1.1), 8 * HOUR, _latencies(_noise(0.3, 0.9), _no_load)),
    Scenario("daily cycle of the noise", math.log(1.1), HOUR, _latencies(_cycle, _no_load)),
    Scenario("heavy tails (t, 3 df)", math.log(1.1), HOUR, _latencies(_heavy, _no_load)),
    Scenario("shared load", math.log(1.1), HOUR, _latencies(_noise(0.1, 0.3), _shared_load)),
)
RATES = (
    Scenario("iid", 0.005, HOUR, _rates(0.01, _steady)),
    Scenario("AR(1) 0.6, shared", 0.01, HOUR, _rates(0.02, _swinging(0.6))),
    Scenario("bursts, shared", 0.005, DAY, _rates(0.002, _bursts)),
    Scenario("errors at 1e-3", 0.002, HOUR, _rates(0.001, _steady)),
)
SCORES = (
    Scenario("iid", 0.01, HOUR, _scores(None)),
    Scenario("AR(1) 0.6", 0.02, HOUR, _scores(0.6)),
    Scenario("AR(1) 0.9", 0.02, 8 * HOUR, _scores(0.9)),
    Scenario("sessions of ten pairs", 0.02, HOUR, _sessions),
)
SCENARIOS: dict[str, tuple[Scenario, ...]] = {"pairs": PAIRS, "rates": RATES, "scores": SCORES, "latency": LATENCIES}
"""By kind of figure: each kind has its own methods."""
