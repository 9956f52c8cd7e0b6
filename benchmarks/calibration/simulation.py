"""What comes of one scenario: three candidates, many histories each, looked at again and again by every rule."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from benchmarks.calibration.rules import FixedSample, Kayenta, Opinion, Ours
from benchmarks.calibration.scenarios import DAY, HOUR, SCENARIOS, History
from shadow_provider.statistics.proportion import Interval, clopper_pearson

ALPHA = 0.05
LOOKS = 100
MINUTES = 2 * DAY
KAYENTA_RUNS = 200
"""Histories that Kayenta is asked about: its rank test is quadratic in the minutes, and its errors are not subtle."""


@dataclass(frozen=True)
class Row:
    """What came of one scenario. Shares are of the runs; times are minutes, medians of the runs that decided.

    Attributes:
        kind: Of figure.
        scenario: Its name.
        runs: Histories for each of the three candidates.
        looks: At each history.
        passed: At the margin: wrongly promoted by ours.
        fixed_passed: The same by the fixed-sample test at the same looks.
        kayenta_passed: The same by Kayenta at the end, none of its hourly looks having failed.
        failed: An identical candidate: wrongly found worse by ours.
        fixed_failed: The same by the fixed-sample test.
        kayenta_failed: The same by Kayenta at some hourly look.
        promoted: An identical candidate: promoted by ours in time.
        minutes: When.
        fixed_minutes: When the fixed-sample test with one look reaches half of the same share.
        rejected: At twice the margin: found above the margin by ours in time.
        rejected_minutes: When.
        fixed_rejected_minutes: When the fixed-sample test with one look reaches half of the same share.
        kayenta_rejected: At twice the margin: found worse by Kayenta at some hourly look.
    """

    kind: str
    scenario: str
    runs: int
    looks: int
    passed: float
    fixed_passed: float
    kayenta_passed: float
    failed: float
    fixed_failed: float
    kayenta_failed: float
    promoted: float
    minutes: float | None
    fixed_minutes: int | None
    rejected: float
    rejected_minutes: float | None
    fixed_rejected_minutes: int | None
    kayenta_rejected: float

    def interval(self, share: float) -> Interval:
        """The Monte-Carlo interval of 95 % of a share of the runs, exact (Clopper and Pearson)."""
        return clopper_pearson(round(share * self.runs), self.runs, 0.025)

    @property
    def allowed(self) -> bool:
        """Whether both of our error rates may be alpha: the lower ends of their intervals are not above it."""
        return all(self.interval(share)[0] <= ALPHA for share in (self.passed, self.failed))


@dataclass
class _Race:
    """When ours and a fixed sample decided something that is true."""

    ends: Sequence[int]
    runs: int = 0
    minutes: list[int] = field(default_factory=list)
    single: list[int] = field(default_factory=list)

    def add(self, ours: Sequence[Opinion], fixed: Sequence[Opinion], claim: Callable[[Opinion], bool]) -> None:
        """One history, by its opinions at every look."""
        self.runs += 1
        decided = next((end for end, opinion in zip(self.ends, ours, strict=True) if claim(opinion)), None)
        if decided is not None:
            self.minutes.append(decided)
        found = [int(claim(opinion)) for opinion in fixed]
        self.single = [sum(pair) for pair in zip(self.single, found, strict=True)] if self.single else found

    @property
    def share(self) -> float:
        """Of the runs that ours decided in time."""
        return len(self.minutes) / self.runs

    @property
    def median(self) -> float | None:
        """Minutes until ours decided."""
        return float(np.median(self.minutes)) if self.minutes else None

    @property
    def fixed(self) -> int | None:
        """Minutes until a single look of the fixed sample decides half as many as ours in all."""
        reached = zip(self.ends, self.single, strict=True)
        return next((end for end, number in reached if number and number >= len(self.minutes) / 2), None)


def simulate(kind: str, number: int, runs: int, seed: int, *, looks: int = LOOKS, minutes: int = MINUTES) -> Row:
    """All runs of one scenario.

    Args:
        kind: Of figure.
        number: Of the scenario of that kind.
        runs: Histories of each candidate.
        seed: Of the random numbers.
        looks: At each history, evenly spread after the cover.
        minutes: Of each history.
    """
    scenario = SCENARIOS[kind][number]
    rng = np.random.default_rng([seed, number, *kind.encode()])
    ends = np.unique(np.linspace(scenario.cover, minutes, looks).astype(int)).tolist()
    hours = [hour for hour in range(scenario.cover, minutes + 1, HOUR) if hour <= scenario.cover + DAY // 2]
    ours, fixed, kayenta = Ours(ALPHA), FixedSample(ALPHA), Kayenta()
    counts = dict.fromkeys(("passed", "fixed_passed", "failed", "fixed_failed"), 0)
    highs = dict.fromkeys((0.0, 1.0, 2.0), 0)
    promoted, rejected = _Race(ends), _Race(ends)

    def drawn(run: int, margins: float) -> History:
        history = scenario.draw(rng, margins * scenario.margin, minutes)
        if run < KAYENTA_RUNS:
            highs[margins] += any(kayenta.look(history, hour).high for hour in hours)
        return history

    def passes(opinion: Opinion) -> bool:
        return opinion.promotes(scenario.margin)

    def fails(opinion: Opinion) -> bool:
        return opinion.rejects(scenario.margin)

    for run in range(runs):
        history = drawn(run, 1.0)
        counts["passed"] += any(passes(ours.look(history, end)) for end in ends)
        counts["fixed_passed"] += any(passes(fixed.look(history, end)) for end in ends)
        history = drawn(run, 0.0)
        by_ours, by_fixed = [ours.look(history, end) for end in ends], [fixed.look(history, end) for end in ends]
        counts["failed"] += any(opinion.rejects(0.0) for opinion in by_ours)
        counts["fixed_failed"] += any(opinion.rejects(0.0) for opinion in by_fixed)
        promoted.add(by_ours, by_fixed, passes)
        history = drawn(run, 2.0)
        by_ours, by_fixed = [ours.look(history, end) for end in ends], [fixed.look(history, end) for end in ends]
        rejected.add(by_ours, by_fixed, fails)
    asked = min(runs, KAYENTA_RUNS)
    return Row(
        kind=kind,
        scenario=scenario.name,
        runs=runs,
        looks=len(ends),
        passed=counts["passed"] / runs,
        fixed_passed=counts["fixed_passed"] / runs,
        kayenta_passed=1 - highs[1.0] / asked,
        failed=counts["failed"] / runs,
        fixed_failed=counts["fixed_failed"] / runs,
        kayenta_failed=highs[0.0] / asked,
        promoted=promoted.share,
        minutes=promoted.median,
        fixed_minutes=promoted.fixed,
        rejected=rejected.share,
        rejected_minutes=rejected.median,
        fixed_rejected_minutes=rejected.fixed,
        kayenta_rejected=highs[2.0] / asked,
    )
