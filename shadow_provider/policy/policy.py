"""The policy: what a candidate must prove before it may take production's place.

Everything is checked when the policy is written, not when the evidence is in: a typing error must not cost a day of
shadow traffic.
"""

import math
from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Self

from pydantic import Field, model_validator

from shadow_provider.comparators.outcomes import Outcome, disagreement, outcomes_of, truth_outcomes_of
from shadow_provider.comparators.spec import ComparatorSpec, LabelSpec
from shadow_provider.comparators.truth_spec import ClassTruthSpec, TruthSpec
from shadow_provider.plan.frozen import Frozen
from shadow_provider.policy.examples import Examples
from shadow_provider.policy.gates import (
    Accuracy,
    Agreement,
    ComparatorOutcome,
    Gate,
    GroundTruthLoss,
    InvocationErrorRate,
    ModelLatency,
)
from shadow_provider.policy.segments import Segment

MOST_BLOCKS = 2000
"""Blocks that an evidence table holds at most; longer deployments have longer blocks."""

BLOCK_SECONDS = (1, 5, 10, 30, 60, 120, 300, 600, 900, 1800, 3600)
"""Lengths of blocks: periods that CloudWatch has, and that divide an hour."""


class Policy(Frozen):
    """All that is promised about one deployment.

    Attributes:
        alpha: probability, per gate and one-sided, of passing a candidate that is exactly as bad as the margin.
        gates: the promises; each name at most once.
        comparator: how answers are held against each other.
        ground_truth: how answers are held against true labels, where there are any.
        minimum_pairs: pairs needed before a promotion.
        minimum_hours: hours with pairs needed before a promotion.
        minimum_day_share: share of the 24 hours of a day that must have been seen with pairs, 0 to 1.
        deadline_hours: from the making of the shadow config on; what is not proven then is INCONCLUSIVE.
        look_interval_seconds: between two looks.
        block_seconds: length of a block, at least; so much longer that the deadline has no more than 2,000 blocks.
            Below a minute only for endpoints with metrics of that resolution, such as the local one.
        precision: effective blocks at which the bounds over time are tightest, about; never chosen after the data.
        warm_up_seconds: what comes so soon after the shadow's start is left out.
        minimum_join_rate: share of the smaller side's captures that must find their partner.
        share_tolerance: relative deviation of the mirrored share that is put down to capture being best effort.
        maximum_capture_lag_seconds: how long one side's captures may go on after the other's have stopped.
        segments: parts of the traffic that are looked at by themselves.
        examples: which disagreements are kept, and how much of them may be seen.
    """

    alpha: Annotated[float, Field(ge=1e-9, le=0.2)] = 0.05
    gates: Annotated[tuple[Gate, ...], Field(min_length=1)]
    comparator: ComparatorSpec = LabelSpec()
    ground_truth: TruthSpec = ClassTruthSpec()
    minimum_pairs: Annotated[int, Field(ge=1)] = 1000
    minimum_hours: Annotated[float, Field(ge=0, le=24 * 60)] = 0.0
    minimum_day_share: Annotated[float, Field(ge=0, le=1)] = 0.0
    deadline_hours: Annotated[float, Field(gt=0, le=24 * 60)] = 168.0
    look_interval_seconds: Annotated[float, Field(gt=0, le=86_400)] = 300.0
    block_seconds: int = 60
    precision: Annotated[float, Field(ge=1, le=10_000)] = 20.0
    warm_up_seconds: Annotated[float, Field(ge=0, le=86_400)] = 0.0
    minimum_join_rate: Annotated[float, Field(gt=0, le=1)] = 0.95
    share_tolerance: Annotated[float, Field(ge=0, lt=0.5)] = 0.01
    maximum_capture_lag_seconds: Annotated[int, Field(ge=60)] = 600
    segments: Annotated[tuple[Segment, ...], Field(max_length=5)] = ()
    examples: Examples = Examples()

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        for what, names in (("gate", [gate.name for gate in self.gates]), ("segment", [s.name for s in self.segments])):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"{what}s: more than one {what} {', '.join(twice)}")
        if self.block_seconds not in BLOCK_SECONDS:
            lengths = ", ".join(map(str, BLOCK_SECONDS))
            raise ValueError(f"block_seconds = {self.block_seconds}: must be one of {lengths}")
        deadline = f"deadline_hours = {self.deadline_hours:g}"
        if self.minimum_hours >= self.deadline_hours:
            raise ValueError(f"minimum_hours = {self.minimum_hours:g}: must be less than {deadline}")
        if self.warm_up_seconds >= self.deadline_hours * 3600:
            raise ValueError(f"warm_up_seconds = {self.warm_up_seconds:g}: must be less than {deadline}")
        # An hour that has begun counts as seen.
        if self.minimum_day_share * 24 > math.ceil(self.deadline_hours) + 1:
            raise ValueError(f"minimum_day_share = {self.minimum_day_share:g}: cannot be seen within {deadline}")
        for number, gate in enumerate(self.gates):
            problem = self._problem(gate)
            if problem:
                raise ValueError(f"gates[{number}].{problem}")
        return self

    def _problem(self, gate: Gate) -> str | None:
        """What is wrong with a gate beside this policy's comparator and ground truth."""
        outcome: Outcome | None = None
        if isinstance(gate, Agreement):
            if disagreement(self.comparator) is None:
                return f"metric = agreement: a comparator of kind {self.comparator.kind} knows no agreement"
            if gate.critical:
                return "critical = True: any single disagreement would be harm; raise minimum instead"
        elif isinstance(gate, ComparatorOutcome):
            found = _outcome(gate.outcome, outcomes_of(self.comparator), f"comparator {self.comparator.kind}")
            if isinstance(found, str):
                return found
            outcome = found
        elif isinstance(gate, Accuracy | GroundTruthLoss):
            found = _outcome(gate.outcome, truth_outcomes_of(self.ground_truth), f"truth {self.ground_truth.kind}")
            if isinstance(found, str):
                return "metric = accuracy: needs ground_truth of kind class" if isinstance(gate, Accuracy) else found
            outcome = found
        if outcome is not None and not outcome.least < gate.margin < outcome.most:
            side, end = ("above", outcome.most) if gate.margin >= outcome.most else ("below", outcome.least)
            return f"margin = {gate.margin:g}: {outcome.name} is never {side} {end:g}"
        if outcome is not None and gate.critical and not outcome.signed:
            return (
                f"critical = True: {outcome.name} is above zero for any two answers that differ; lower margin instead"
            )
        return None

    @property
    def blocking_gates(self) -> tuple[Gate, ...]:
        """The gates on which the verdict depends."""
        return tuple(gate for gate in self.gates if gate.blocking)

    @property
    def declared_segments(self) -> tuple[Segment, ...]:
        """The segments on which the verdict depends."""
        return tuple(segment for segment in self.segments if segment.declared)

    @property
    def reject_alpha(self) -> float:
        """Alpha of one gate's failing: a rejection is a union over gates and segments, so it is divided (Bonferroni).

        A critical gate has two ways to fail, but surely above the margin is surely above zero: it counts once.
        """
        parts = sum(len(segment.values) for segment in self.declared_segments)
        on_answers = sum(is_on_answers(gate) for gate in self.blocking_gates)
        return self.alpha / max(1, len(self.blocking_gates) + parts * on_answers)

    @property
    def effective_block_seconds(self) -> int:
        """Length of a block: as asked for, or so long that the deadline has no more than 2,000 of them.

        A rule that no data enters, so it is the same at every look.
        """
        span = timedelta(hours=self.deadline_hours).total_seconds() / MOST_BLOCKS
        return next((length for length in BLOCK_SECONDS if length >= max(self.block_seconds, span)), BLOCK_SECONDS[-1])

    @property
    def percentiles(self) -> tuple[str, ...]:
        """The percentiles of ModelLatency that gates ask for."""
        return tuple(dict.fromkeys(gate.percentile for gate in self.gates if isinstance(gate, ModelLatency)))

    def is_binary(self, gate: ComparatorOutcome | GroundTruthLoss) -> bool:
        """Whether the gate's outcome happens or not; its mean is a rate then."""
        on_truth = isinstance(gate, GroundTruthLoss)
        outcomes = truth_outcomes_of(self.ground_truth) if on_truth else outcomes_of(self.comparator)
        return any(each.name == gate.outcome and each.kind == "binary" for each in outcomes)


def is_on_pairs(gate: Gate) -> bool:
    """Whether a gate compares answers: without such a gate nothing is known of what the candidate says."""
    return not isinstance(gate, InvocationErrorRate | ModelLatency)


def is_on_answers(gate: Gate) -> bool:
    """Whether a gate compares answers with each other and nothing else: these are judged in segments too."""
    return is_on_pairs(gate) and not isinstance(gate, Accuracy | GroundTruthLoss)


def _outcome(name: str, outcomes: Sequence[Outcome], of: str) -> Outcome | str:
    found = next((each for each in outcomes if each.name == name), None)
    if found is None:
        allowed = ", ".join(each.name for each in outcomes if each.bounded)
        return f"outcome = {name!r}: the {of} has no such outcome; allowed: {allowed}"
    if not found.bounded:
        return f"outcome = {name!r}: has no bound, so no gate can be put on it; give the {of} its greatest value"
    return found
