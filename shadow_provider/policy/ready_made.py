"""Ready-made policies: sensible starting points, meant to be tightened to what one promises.

What each needs depends on the traffic: `sagemaker-shadow plan` says how many pairs and hours.
"""

from collections.abc import Callable

from shadow_provider.comparators.spec import NumberSpec, TextSpec
from shadow_provider.comparators.truth_spec import NumberTruthSpec
from shadow_provider.policy.gates import (
    Accuracy,
    Agreement,
    ComparatorOutcome,
    InvocationErrorRate,
    ModelLatency,
    PairedErrorRate,
)
from shadow_provider.policy.policy import Policy


def balanced() -> Policy:
    """Errors within half a point, the same label in 95 %, p90 latency within 15 %. The default."""
    return Policy(
        gates=(
            InvocationErrorRate(margin=0.005),
            PairedErrorRate(margin=0.005),
            Agreement(minimum=0.95),
            Accuracy(margin=0.02),
            ModelLatency(percentile="p90", margin=0.15),
        ),
    )


def conservative() -> Policy:
    """Tight margins at alpha 0.01, all hours of a day seen, and rejection at the first sure sign of more errors."""
    return Policy(
        alpha=0.01,
        gates=(
            InvocationErrorRate(margin=0.001, critical=True),
            PairedErrorRate(margin=0.001, critical=True),
            Agreement(minimum=0.99),
            Accuracy(margin=0.005),
            ModelLatency(percentile="p50", margin=0.05),
            ModelLatency(percentile="p99", margin=0.10),
        ),
        minimum_pairs=20_000,
        minimum_hours=24.0,
        minimum_day_share=1.0,
    )


def latency_only() -> Policy:
    """For a candidate that is the same model served otherwise: nothing may break, and it must not be slower."""
    return Policy(
        gates=(
            InvocationErrorRate(margin=0.005),
            PairedErrorRate(margin=0.005),
            ModelLatency(percentile="p50", margin=0.05),
            ModelLatency(percentile="p90", margin=0.10),
            ModelLatency(percentile="p99", margin=0.20),
        ),
        minimum_hours=6.0,
    )


def classification() -> Policy:
    """Labels: agreement, and accuracy where true labels come; latency is shown only."""
    return Policy(
        gates=(
            InvocationErrorRate(margin=0.005, critical=True),
            PairedErrorRate(margin=0.005),
            Agreement(minimum=0.97),
            Accuracy(margin=0.01, minimum_coverage=0.3),
            ModelLatency(percentile="p90", margin=0.20, report_only=True),
        ),
        minimum_pairs=5000,
        minimum_hours=6.0,
    )


def regression() -> Policy:
    """Numbers: nearly all within 5 % of production's, and the mean relative difference small."""
    return Policy(
        comparator=NumberSpec(relative_tolerance=0.05),
        ground_truth=NumberTruthSpec(),
        gates=(
            InvocationErrorRate(margin=0.005, critical=True),
            PairedErrorRate(margin=0.005),
            Agreement(minimum=0.95),
            ComparatorOutcome(outcome="relative_difference", margin=0.05),
            ModelLatency(percentile="p90", margin=0.20, report_only=True),
        ),
        minimum_pairs=5000,
        minimum_hours=6.0,
    )


def llm_text() -> Policy:
    """Generated text: no more empty answers or refusals, near to production's words, and not much slower."""
    return Policy(
        comparator=TextSpec(
            refusals=("i'm sorry, but", "i cannot help", "i can't help", "as an ai", "i'm unable to", "i am unable to")
        ),
        gates=(
            InvocationErrorRate(margin=0.01, critical=True),
            PairedErrorRate(margin=0.01),
            ComparatorOutcome(outcome="empty", margin=0.01),
            ComparatorOutcome(outcome="refuses", margin=0.01),
            ComparatorOutcome(outcome="chrf_distance", margin=0.5),
            ComparatorOutcome(outcome="length_difference", margin=0.3),
            ModelLatency(percentile="p50", margin=0.20),
        ),
        minimum_pairs=2000,
        minimum_hours=6.0,
        block_seconds=300,
    )


READY_MADE: dict[str, Callable[[], Policy]] = {
    each.__name__: each for each in (balanced, conservative, latency_only, classification, regression, llm_text)
}
"""By name, as a policy may be given."""
