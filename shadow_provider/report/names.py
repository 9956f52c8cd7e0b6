"""What gates, states and verdicts are called in a report."""

from shadow_provider.report.text import NOTHING, count, figure
from shadow_provider.verdict.judge import Verdict
from shadow_provider.verdict.looks import GateLook, GateState
from shadow_provider.verdict.measures import Measure
from shadow_provider.verdict.units import Unit, show

MEANINGS = {
    Verdict.PROMOTE: "The candidate is proven to be within every margin of the policy and may take production's place.",
    Verdict.REJECT: "The candidate is proven to be worse than the policy accepts.",
    Verdict.INCONCLUSIVE: "The deadline came before the evidence was enough. Nothing is proven against the candidate, "
    "and not enough for it.",
    Verdict.INVALID: "The evidence cannot be trusted, so nothing is said about the candidate.",
    Verdict.CONTINUE: "Not decided yet: the deployment goes on collecting evidence.",
}

STATES = {
    GateState.PASS: "✓ pass",
    GateState.FAIL: "✗ fail",
    GateState.UNDECIDED: "? undecided",
    GateState.NO_DATA: "- no data",
}

_GATES = {
    "invocation_error_rate": "Failed invocations",
    "paired_error_rate": "Unreadable answers",
    "agreement": "Same answers",
    "accuracy": "Wrong answers",
    "ground_truth": "Loss against truth",
    "comparator": "Comparator",
    "model_latency": "Latency",
}

_ABOUT = {
    "invocation_error_rate": "rate of failed invocations (4XX and 5XX), candidate minus production",
    "paired_error_rate": "rate of missing or unreadable answers on pairs, candidate minus production",
    "agreement": "share of pairs in which both variants say the same",
    "accuracy": "rate of answers that are wrong by the ground truth, candidate minus production",
    "ground_truth": "mean loss against the ground truth, candidate minus production",
    "comparator": "mean over pairs of what the comparator measures; more is worse",
    "model_latency": "ModelLatency by block, candidate over production, minus one",
}

_COUNTED = {"paired": "pairs", "scores": "pairs", "rates": "requests", "ratios": "blocks"}


def gate_title(metric: str, name: str, segment: str | None = None) -> str:
    """A gate as a person calls it, such as `Latency p90` or `Same answers [tier=gold]`."""
    detail = name.removeprefix(metric).lstrip(".").replace("_", " ")
    title = f"{_GATES.get(metric, metric)} {detail}".strip()
    return f"{title} [{segment}]" if segment else title


def title_of(gate: GateLook) -> str:
    """The same of a gate at a look."""
    return gate_title(gate.metric, gate.name, gate.segment)


def about_gate(gate: GateLook) -> str:
    """What the gate's number is."""
    return _ABOUT.get(gate.metric, gate.metric)


def amount(gate: GateLook, measure: Measure | None) -> str:
    """What the gate rests on, with what was counted."""
    return f"{count(gate.n)} {_COUNTED[measure.kind]}" if measure is not None and gate.n else NOTHING


def effective(gate: GateLook) -> str:
    """How many independent blocks it is worth."""
    return figure(gate.effective_blocks) if gate.effective_blocks else NOTHING


def as_share_of_margin(value: float, gate: GateLook) -> float:
    """A number of the gate as harm in units of its margin: 0 is no harm, 1 is the margin."""
    return (1 - value) / (1 - gate.margin) if gate.unit is Unit.SHARE else value / gate.margin


def bounds_of(gate: GateLook) -> str:
    """Both bounds in the gate's unit; a bound that is not there yet is open."""
    if gate.estimate is None:
        return NOTHING
    lower, upper = ("open" if each is None else show(each, gate.unit) for each in (gate.lower, gate.upper))
    return f"{lower} to {upper}"
