"""The noise floor where the shadow runs production's own model: what differs although nothing was changed."""

from dataclasses import dataclass
from datetime import datetime

from shadow_provider.comparators.build import comparator
from shadow_provider.comparators.noise import Suggestion, suggest, with_rules, with_tolerance
from shadow_provider.comparators.spec import ComparatorSpec, JsonSpec, NumberSpec
from shadow_provider.evidence.collect import captures_of
from shadow_provider.evidence.engine.engine import take_look
from shadow_provider.evidence.engine.model import Settings
from shadow_provider.evidence.engine.store import WritingS3Client
from shadow_provider.plan.endpoint_config import ShadowRun
from shadow_provider.policy.policy import Policy


@dataclass(frozen=True)
class NoiseFloor:
    """What was learnt.

    Attributes:
        suggestions: for each field that differs by itself, the most frequent first.
        comparator: the policy's, with the tolerances that let the noise pass.
    """

    suggestions: tuple[Suggestion, ...]
    comparator: ComparatorSpec


def noise_floor(
    s3: WritingS3Client, *, endpoint_name: str, run: ShadowRun, policy: Policy, until: datetime
) -> NoiseFloor:
    """Learn tolerances from all pairs until a time.

    Args:
        s3: a boto3 client that may read the captures.
        endpoint_name: the endpoint.
        run: its variants and captures; both must run the same model, or a difference is taken for noise.
        policy: its comparator must be one of numbers or of JSON.
        until: end of the window.

    Raises:
        ValueError: a comparator that has no tolerances, or too few pairs. Errors of the client pass through.
    """
    spec = policy.comparator
    if not isinstance(spec, JsonSpec | NumberSpec):
        raise ValueError(f"a comparator of kind {spec.kind} has no tolerances; take number or json")
    result = take_look(
        captures_of(s3, endpoint_name, run, policy, run.since),
        comparator(spec),
        until=until,
        last=True,
        settings=Settings(block_seconds=policy.effective_block_seconds),
    )
    if result.summary is None:
        raise ValueError(f"no pairs under {run.capture_s3_uri}/{endpoint_name}")
    found = suggest(result.summary)
    learnt = with_rules(spec, found) if isinstance(spec, JsonSpec) else with_tolerance(spec, found)
    return NoiseFloor(found, learnt)
