"""Gates: one promise each, in the user's own units.

Each is judged by a *measure*, whose figures are turned so that more is worse: the harm. A gate passes when harm is
surely below its margin, and fails when it is surely above.
"""

from typing import Annotated, Literal

from pydantic import Field

from shadow_provider.plan.frozen import Frozen

Rate = Annotated[float, Field(gt=0, lt=1)]
Percentile = Literal["p50", "p75", "p90", "p95", "p99", "p99.9"]
OutcomeName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]


class _Gate(Frozen):
    """What all gates have.

    Attributes:
        report_only: judge and show the gate, but let it neither promote nor reject.
        critical: reject as soon as there is surely any harm at all, not only when it is surely above the margin.
    """

    report_only: bool = False
    critical: bool = False

    @property
    def blocking(self) -> bool:
        """Whether the verdict depends on this gate."""
        return not self.report_only


class InvocationErrorRate(_Gate):
    """Failed invocations (4XX and 5XX) as CloudWatch counts them: candidate's rate minus production's.

    Attributes:
        margin: harm that is still accepted, as an absolute rate (0.005 is half a percentage point).
    """

    metric: Literal["invocation_error_rate"] = "invocation_error_rate"
    margin: Rate

    @property
    def name(self) -> str:
        """What the gate is called; no two of a policy share it."""
        return self.metric


class PairedErrorRate(_Gate):
    """Answers that are missing or unreadable, on pairs: candidate's rate minus production's.

    Attributes:
        margin: harm that is still accepted, as an absolute rate.
    """

    metric: Literal["paired_error_rate"] = "paired_error_rate"
    margin: Rate

    @property
    def name(self) -> str:
        """What the gate is called; no two of a policy share it."""
        return self.metric


class Agreement(_Gate):
    """Share of pairs in which both variants say the same, by the comparator's own notion of it.

    A pair of which one answer cannot be read does not agree.

    Attributes:
        minimum: the least share that is accepted.
    """

    metric: Literal["agreement"] = "agreement"
    minimum: Rate

    @property
    def name(self) -> str:
        """What the gate is called; no two of a policy share it."""
        return self.metric

    @property
    def margin(self) -> float:
        """Share of pairs that may disagree."""
        return 1 - self.minimum


class ComparatorOutcome(_Gate):
    """Any outcome of the comparator that has bounds: its mean over the pairs, such as the mean text distance.

    Attributes:
        outcome: which.
        margin: the mean that is still accepted, in the outcome's own unit.
    """

    metric: Literal["comparator"] = "comparator"
    outcome: OutcomeName
    margin: Annotated[float, Field(gt=0)]

    @property
    def name(self) -> str:
        """What the gate is called; no two of a policy share it."""
        return f"comparator.{self.outcome}"


class _Truthful(_Gate):
    """What gates on the ground truth have.

    Attributes:
        minimum_coverage: share of the pairs that must have a true label.
        required: False lets the gate step aside, visibly, while there is not enough ground truth.
    """

    minimum_coverage: Annotated[float, Field(gt=0, le=1)] = 0.5
    required: bool = False


class Accuracy(_Truthful):
    """Accuracy against the ground truth, on pairs: production's minus the candidate's.

    Attributes:
        margin: how much lower the candidate's accuracy may be, as an absolute rate.
    """

    metric: Literal["accuracy"] = "accuracy"
    margin: Rate

    @property
    def outcome(self) -> str:
        """The outcome of the comparison with the truth."""
        return "wrong"

    @property
    def name(self) -> str:
        """What the gate is called; no two of a policy share it."""
        return self.metric


class GroundTruthLoss(_Truthful):
    """A loss against the ground truth, on pairs: the candidate's mean minus production's.

    Attributes:
        outcome: which loss, such as `log_loss`, `brier_loss`, `absolute_error`, `ndcg_loss`.
        margin: how much higher the candidate's mean loss may be, in the loss's own unit.
    """

    metric: Literal["ground_truth"] = "ground_truth"
    outcome: OutcomeName
    margin: Annotated[float, Field(gt=0)]

    @property
    def name(self) -> str:
        """What the gate is called; no two of a policy share it."""
        return f"ground_truth.{self.outcome}"


class ModelLatency(_Gate):
    """A percentile of ModelLatency in each block: candidate's over production's, minus one (geometric mean).

    Attributes:
        percentile: which percentile.
        margin: increase that is still accepted, relative (0.10 is ten percent slower).
    """

    metric: Literal["model_latency"] = "model_latency"
    percentile: Percentile = "p90"
    margin: Annotated[float, Field(gt=0, le=10)]

    @property
    def name(self) -> str:
        """What the gate is called; no two of a policy share it."""
        return f"model_latency.{self.percentile}"


Gate = Annotated[
    InvocationErrorRate | PairedErrorRate | Agreement | ComparatorOutcome | Accuracy | GroundTruthLoss | ModelLatency,
    Field(discriminator="metric"),
]

GATES: dict[str, type[_Gate]] = {
    str(gate.model_fields["metric"].default): gate
    for gate in (
        InvocationErrorRate, PairedErrorRate, Agreement, ComparatorOutcome, Accuracy, GroundTruthLoss, ModelLatency,
    )
}  # fmt: skip
"""The gates by metric."""
