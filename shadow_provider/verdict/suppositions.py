"""What a plan supposes of each gate, from production's traffic where that tells, else a guess that is called one."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from shadow_provider.comparators.outcomes import Outcome, outcomes_of, truth_outcomes_of
from shadow_provider.policy.gates import (
    Accuracy,
    Agreement,
    ComparatorOutcome,
    Gate,
    GroundTruthLoss,
    InvocationErrorRate,
    ModelLatency,
    PairedErrorRate,
)
from shadow_provider.policy.policy import Policy
from shadow_provider.statistics.percentiles import needed_samples
from shadow_provider.verdict.expected import Expectation
from shadow_provider.verdict.traffic import Traffic

_ERROR_RATE = 0.001
_DEVIATION = 0.1
_GUESS = "a guess until there is data"


@dataclass(frozen=True)
class Supposition:
    """What is supposed of one gate.

    Attributes:
        expectation: of its measure.
        counted_in: what it needs is counted in.
        words: the same for a person.
        coverage: share of the pairs that tell something.
        surely_decides: whether it decides whatever else comes; a gate on the truth may step aside.
    """

    expectation: Expectation
    counted_in: Literal["pairs", "requests", "blocks"]
    words: str
    coverage: float = 1.0
    surely_decides: bool = True

    @property
    def samples(self) -> int:
        """Requests of the shadow that a block must have to count."""
        return self.expectation.samples

    @property
    def without_samples(self) -> Expectation:
        """The same where every block counts."""
        return replace(self.expectation, samples=0)


def suppose(gate: Gate, policy: Policy, traffic: Traffic | None) -> Supposition:
    """What is supposed of a gate for a candidate that is as good as production."""
    if isinstance(gate, InvocationErrorRate | PairedErrorRate):
        return _errors(gate, traffic)
    if isinstance(gate, ModelLatency):
        return _latency(gate, policy, traffic)
    if isinstance(gate, Agreement):
        rate = gate.margin / 2
        words = f"{rate:.3g} of the pairs disagree, half of what is allowed: {_GUESS}"
        return Supposition(Expectation("paired", worse=rate), "pairs", words)
    if isinstance(gate, Accuracy | GroundTruthLoss):
        return _truth(gate, policy)
    return _outcome(gate, policy)


def _errors(gate: InvocationErrorRate | PairedErrorRate, traffic: Traffic | None) -> Supposition:
    known = None if traffic is None else traffic.error_rate
    rate = min(0.4, _ERROR_RATE if known is None else known)
    source = _GUESS if known is None else "production's rate of late"
    if isinstance(gate, InvocationErrorRate):
        expectation = Expectation("rates", worse=rate, better=rate)
        return Supposition(expectation, "requests", f"both variants fail {rate:.3g} of their requests: {source}")
    words = f"each variant alone fails {rate:.3g} of the pairs: {source}"
    return Supposition(Expectation("paired", worse=rate, better=rate), "pairs", words)


def _latency(gate: ModelLatency, policy: Policy, traffic: Traffic | None) -> Supposition:
    seconds = policy.effective_block_seconds
    measured = {} if traffic is None else traffic.latency.get(gate.percentile, {})
    # Without a figure of that length the nearest shorter block errs on the safe side: it swings more.
    length = max((each for each in measured if each <= seconds), default=None)
    deviation = _DEVIATION if length is None else measured[length]
    source = _GUESS if length is None else f"production's own change between blocks of {length} s"
    expectation = Expectation("ratios", deviation=deviation, most=math.inf, samples=needed_samples(gate.percentile))
    return Supposition(expectation, "blocks", f"the log-ratio of a block deviates by {deviation:.3g}: {source}")


def _truth(gate: Accuracy | GroundTruthLoss, policy: Policy) -> Supposition:
    outcome = _named(gate.outcome, truth_outcomes_of(policy.ground_truth))
    if outcome.kind == "binary":
        # Where two answers are equal, both are right or both are wrong.
        agreement = next((each for each in policy.gates if isinstance(each, Agreement)), None)
        rate = min(0.25, gate.margin if agreement is None else agreement.margin / 4)
        expectation = Expectation("paired", worse=rate, better=rate)
        words = f"each variant alone is wrong in {rate:.3g} of the pairs"
    else:
        expectation = _score(outcome, 0.0, 10 * gate.margin)
        words = f"the difference of the two losses deviates by {expectation.deviation:.3g}"
    words += f": {_GUESS}; {gate.minimum_coverage:.0%} of the pairs have a true label"
    words += "" if gate.required else ", or the gate steps aside"
    return Supposition(expectation, "pairs", words, coverage=gate.minimum_coverage, surely_decides=gate.required)


def _outcome(gate: ComparatorOutcome, policy: Policy) -> Supposition:
    outcome = _named(gate.outcome, outcomes_of(policy.comparator))
    half = gate.margin / 2
    if outcome.kind == "binary":
        better = half if outcome.signed else 0.0
        words = f"{half:.3g} of the pairs on {'either side' if outcome.signed else 'average'}: {_GUESS}"
        return Supposition(Expectation("paired", worse=half, better=better), "pairs", words)
    expectation = _score(outcome, 0.0, gate.margin) if outcome.signed else _score(outcome, half, half)
    words = f"a mean of {expectation.mean:.3g} with a deviation of {expectation.deviation:.3g}: {_GUESS}"
    return Supposition(expectation, "pairs", words)


def _score(outcome: Outcome, mean: float, deviation: float) -> Expectation:
    # No score in these bounds deviates more from that mean (Bhatia and Davis 2000).
    most = math.sqrt((outcome.most - mean) * (mean - outcome.least))
    return Expectation("scores", mean=mean, deviation=min(deviation, most), least=outcome.least, most=outcome.most)


def _named(name: str, outcomes: Iterable[Outcome]) -> Outcome:
    return next(each for each in outcomes if each.name == name)
