"""The policy: what a candidate must prove before it may take production's place.

A gate is one promise in the user's own units. Everything is checked when the policy is written, not when the evidence
is in: a typing error must not cost a day of shadow traffic.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from shadow_provider.plan.errors import PlanError


class PolicyError(PlanError):
    """A policy that cannot be used; the message is one line that names field, value and rule."""


class _Frozen(BaseModel):
    """Immutable, and strict about names: an unknown field is an error, never a silent no-op."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class LabelSelector(_Frozen):
    """Where the class label stands in an answer.

    Attributes:
        column: column of a CSV answer, counted from 0.
        path: dotted keys and indices into a JSON answer, such as ``predictions.*.label``; ``*`` goes through a list,
            one label a row. Without it the common shapes are tried.
    """

    column: Annotated[int, Field(ge=0)] = 0
    path: Annotated[str, Field(min_length=1)] | None = None


class _Gate(_Frozen):
    """What all gates have.

    Attributes:
        report_only: judge and show the gate, but let it neither promote nor reject.
    """

    report_only: bool = False

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
    margin: Annotated[float, Field(gt=0, lt=1)]


class PairedErrorRate(_Gate):
    """Answers that are missing or unreadable, on pairs: candidate's rate minus production's.

    Attributes:
        margin: harm that is still accepted, as an absolute rate.
    """

    metric: Literal["paired_error_rate"] = "paired_error_rate"
    margin: Annotated[float, Field(gt=0, lt=1)]


class LabelAgreement(_Gate):
    """Share of pairs in which both variants give the same label.

    Attributes:
        minimum: the least share that is accepted.
    """

    metric: Literal["label_agreement"] = "label_agreement"
    minimum: Annotated[float, Field(gt=0, lt=1)]


class Accuracy(_Gate):
    """Accuracy against the ground truth, on pairs: production's minus the candidate's.

    Attributes:
        margin: how much lower the candidate's accuracy may be, as an absolute rate.
        minimum_coverage: share of the pairs that must have a true label.
        required: False lets the gate step aside, visibly, while there is not enough ground truth.
    """

    metric: Literal["accuracy"] = "accuracy"
    margin: Annotated[float, Field(gt=0, lt=1)]
    minimum_coverage: Annotated[float, Field(gt=0, le=1)] = 0.5
    required: bool = False


class ModelLatency(_Gate):
    """A percentile of ModelLatency: candidate's over production's, minus one.

    Attributes:
        percentile: which percentile.
        margin: increase that is still accepted, relative (0.10 is ten percent slower).
        minimum_invocations: latency samples needed on each side. An interval may need more: see
            `shadow_provider.statistics.quantile`.
    """

    metric: Literal["model_latency"] = "model_latency"
    percentile: Literal["p50", "p90", "p99"] = "p90"
    margin: Annotated[float, Field(gt=0, le=10)]
    minimum_invocations: Annotated[int, Field(ge=1)] = 500


Gate = Annotated[
    InvocationErrorRate | PairedErrorRate | LabelAgreement | Accuracy | ModelLatency, Field(discriminator="metric")
]

_GATES: tuple[type[_Gate], ...] = (InvocationErrorRate, PairedErrorRate, LabelAgreement, Accuracy, ModelLatency)
METRICS: tuple[str, ...] = tuple(str(gate.model_fields["metric"].default) for gate in _GATES)


class Policy(_Frozen):
    """All that is promised about one deployment.

    Attributes:
        alpha: probability, per gate and one-sided, of passing a candidate that is exactly as bad as the margin.
        gates: the promises; each metric at most once.
        minimum_pairs: pairs needed before the evidence is judged.
        minimum_join_rate: share of the smaller side's captures that must find their partner.
        share_tolerance: relative deviation of the mirrored share that is put down to capture being best effort.
        maximum_capture_lag_seconds: how long one side's captures may go on after the other's have stopped.
        comparator: where the label stands in an answer.
    """

    alpha: Annotated[float, Field(gt=0, le=0.2)] = 0.05
    gates: Annotated[tuple[Gate, ...], Field(min_length=1)]
    minimum_pairs: Annotated[int, Field(ge=1)] = 1000
    minimum_join_rate: Annotated[float, Field(gt=0, le=1)] = 0.95
    share_tolerance: Annotated[float, Field(ge=0, lt=0.5)] = 0.01
    maximum_capture_lag_seconds: Annotated[int, Field(ge=60)] = 600
    comparator: LabelSelector = LabelSelector()

    @field_validator("gates")
    @classmethod
    def _each_metric_once(cls, gates: tuple[Gate, ...]) -> tuple[Gate, ...]:
        metrics = [gate.metric for gate in gates]
        twice = sorted({metric for metric in metrics if metrics.count(metric) > 1})
        if twice:
            raise ValueError(f"each metric may have one gate only, more than one for {', '.join(twice)}")
        return gates

    @property
    def blocking_gates(self) -> tuple[Gate, ...]:
        """The gates on which the verdict depends."""
        return tuple(gate for gate in self.gates if gate.blocking)

    @property
    def reject_alpha(self) -> float:
        """Alpha of one gate's failing: a rejection is a union over the gates, so it is divided (Bonferroni)."""
        return self.alpha / max(1, len(self.blocking_gates))

    @classmethod
    def default(cls) -> Self:
        """A net against a candidate that breaks, lags or answers otherwise; tighten it to what you promise.

        The rates can be proven with the default 1,000 pairs when nothing goes wrong (none in 1,000 bounds a rate by
        0.3 %). The latency margin is wide on purpose: with some hundred requests, a narrow one cannot be proven.
        """
        return cls(
            gates=(
                InvocationErrorRate(margin=0.005),
                PairedErrorRate(margin=0.005),
                LabelAgreement(minimum=0.90),
                Accuracy(margin=0.02),
                ModelLatency(percentile="p90", margin=0.50),
            )
        )

    @classmethod
    def from_any(cls, value: "Policy | Mapping[str, Any] | str | None") -> "Policy":
        """Make a policy of what a person gave: a policy, a mapping, its JSON text, or None for the default.

        Raises:
            PolicyError: the value is no usable policy; one line names the field, the value and the rule.
        """
        if value is None:
            return cls.default()
        if isinstance(value, Policy):
            return value
        try:
            return cls.model_validate(json.loads(value) if isinstance(value, str) else dict(value))
        except ValidationError as error:
            raise PolicyError(_one_line(error)) from error
        except (TypeError, ValueError) as error:
            raise PolicyError(f"policy: not a JSON object: {' '.join(str(error).split())}") from error


def _one_line(error: ValidationError) -> str:
    details = error.errors(include_url=False, include_context=False)
    first = details[0]
    text = first["msg"].removeprefix("Value error, ")
    where = _path(first["loc"])
    if first["type"] == "extra_forbidden":
        allowed = ", ".join(_allowed_fields(first["loc"]))
        text = f"there is no such field; allowed: {allowed}"
    elif first["type"] == "union_tag_invalid":
        where += ".metric"
        text = f"there is no such metric; allowed: {', '.join(METRICS)}"
    elif first["type"] == "union_tag_not_found":
        text = f"the field metric is missing; allowed: {', '.join(METRICS)}"
    value = "" if first["type"] == "missing" else f" = {_shown(first)}"
    more = f" (and {len(details) - 1} more)" if len(details) > 1 else ""
    return f"policy: {where}{value}: {text}{more}"


def _shown(detail: Mapping[str, Any]) -> str:
    value = detail["input"]
    if detail["type"] == "union_tag_invalid" and isinstance(value, Mapping):
        value = value.get("metric")
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else text[:77] + "..."


def _path(location: Sequence[int | str]) -> str:
    """`gates[1].margin`, without the tag that pydantic puts between the index and the field."""
    parts: list[str] = []
    for index, part in enumerate(location):
        if isinstance(part, int):
            parts[-1] += f"[{part}]"
        elif not (part in METRICS and index == 2):
            parts.append(part)
    return ".".join(parts) or "policy"


def _allowed_fields(location: Sequence[int | str]) -> list[str]:
    if location[0] == "gates" and len(location) > 2:
        return list(_GATES[METRICS.index(str(location[2]))].model_fields)
    if location[0] == "comparator" and len(location) > 1:
        return list(LabelSelector.model_fields)
    return list(Policy.model_fields)
