"""Production against itself: surely worse since the shadow was added, or not.

Each block since is held against a block before, a whole number of periods earlier; a period is a day where production
has a day of figures, so that the two have the same time of day. Every period is a comparison of its own, with blocks
before that no other block of it uses, and valid at every look; over the periods until the deadline and the two figures
the error probability is divided (Bonferroni). So a guard that is looked at any number of times aborts a production that
is exactly as bad as a margin allows with at most its alpha.

It is no experiment: whatever else changed since the period before (load, callers, another service) is put down to the
shadow. That errs on production's side, and is why the margins are wide.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from shadow_provider.policy.production_guard import ProductionGuard
from shadow_provider.verdict.measures import RateMeasure, RatioMeasure, Sequential

_FIGURES = 2


@dataclass(frozen=True)
class Period:
    """The blocks of one period since, the candidate's side, against those before, production's side of the measures.

    Attributes:
        errors: failed invocations.
        latency: the guard's percentile of ModelLatency.
    """

    errors: RateMeasure
    latency: RatioMeasure

    @property
    def compared(self) -> RateMeasure:
        """The errors of blocks that have requests on both sides: only these have the same times of day."""
        both = zip(self.errors.trials, self.errors.reference_trials, strict=True)
        return self.errors.of_blocks([bool(since and before) for since, before in both])


@dataclass(frozen=True)
class GuardFinding:
    """What the guard sees.

    Attributes:
        breaches: one sentence for each figure that is surely worse by more than its margin, with figures; empty if
            none is, which does not prove that production is as before.
        blocks: blocks that have requests on both sides.
        missing: blocks since that have not.
        notes: what was not known.
    """

    breaches: tuple[str, ...]
    blocks: int = 0
    missing: int = 0
    notes: tuple[str, ...] = ()

    def as_text(self) -> str:
        """Say it in one line."""
        if not self.blocks:
            said = "nothing to compare production with"
        elif self.breaches:
            said = "; ".join(self.breaches)
        else:
            said = f"production is not surely worse than before, by {self.blocks} blocks"
        missing = [f"{self.missing} blocks without figures on both sides"] if self.missing else []
        return "; ".join([said, *missing, *self.notes])


def guard_finding(
    guard: ProductionGuard, periods: Sequence[Period], *, all_periods: int, precision: float, notes: Sequence[str] = ()
) -> GuardFinding:
    """Judge production.

    Args:
        guard: the margins.
        periods: those that have begun, oldest first.
        all_periods: how many there can be until the deadline.
        precision: of the mixture, in effective blocks; the policy's.
        notes: what was not known of the figures.
    """
    needed = math.log(_FIGURES * max(1, all_periods) / guard.alpha)
    breaches: list[str] = []
    for number, period in enumerate(periods, 1):
        when = f" in period {number}" if len(periods) > 1 else ""
        errors = period.compared
        if _is_worse(errors.sequential(precision), guard.error_rate_margin, needed):
            breaches.append(
                f"production fails {_share(errors.events, errors.trials)} of its requests since the shadow was added"
                f"{when}, {_share(errors.reference_events, errors.reference_trials)} before: surely more than "
                f"{guard.error_rate_margin * 100:g} percentage points more ({len(errors.trials)} blocks)"
            )
        slower = period.latency.sequential(precision)
        if _is_worse(slower, math.log1p(guard.latency_margin), needed):
            ratio = math.expm1(slower.estimate or 0.0)
            breaches.append(
                f"production's {guard.percentile} latency is {ratio * 100:.3g} % higher since the shadow was added"
                f"{when}: surely more than {guard.latency_margin * 100:g} % ({period.latency.n} blocks)"
            )
    compared = [sum(1 for trials in period.compared.trials if trials) for period in periods]
    blocks = sum(period.errors.blocks for period in periods)
    return GuardFinding(tuple(breaches), sum(compared), blocks - sum(compared), tuple(notes))


def _is_worse(figure: Sequential, margin: float, needed: float) -> bool:
    return figure.evidence_above(margin) >= needed


def _share(events: Sequence[int], trials: Sequence[int]) -> str:
    total = sum(trials)
    return f"{100 * sum(events) / total:.3g} %" if total else "an unknown share"
