"""The runs that are disturbed: where they start from, what the candidate is, and what they come to undisturbed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shadow_provider.local.faults import EndpointFault, Fault

ENDPOINT = "prices"
BUCKET = "chaos"
IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/sklearn:1.5"
ROLE = "arn:aws:iam::123456789012:role/execution"

# Numbers by their last digit; the bad candidate is always wrong, the broken one does not start.
GOOD = """
def model_fn(model_dir): return None
def transform_fn(model, body, content_type, accept):
    return str(int(body) % 10), "text/csv"
"""
BAD = GOOD.replace("int(body) % 10", "99")
BROKEN = 'def model_fn(model_dir): raise RuntimeError("no weights")'

# So lenient that little evidence decides: what is tested is not the statistics.
_POLICY: dict[str, Any] = {
    "alpha": 0.2,
    "minimum_pairs": 15,
    "minimum_join_rate": 0.3,
    "share_tolerance": 0.49,
    "block_seconds": 1,
}
_NO_ERRORS = {"metric": "invocation_error_rate", "margin": 0.5}
_CANARY = {
    "strategy": "CANARY",
    "step_percent": 50,
    "wait_interval_seconds": 1,
    "termination_wait_seconds": 0,
    "alarms_from_policy": True,
}


@dataclass(frozen=True)
class Scenario:
    """One way in which a deployment goes.

    Attributes:
        name: its name.
        candidate: source of the candidate's model.
        verdict: what is decided; None if it does not get so far.
        state: of the run.
        new_endpoint: whether the deployment makes its endpoint.
        minimum: the least agreement that is accepted.
        deadline: seconds.
        guardrails: of the promotion.
        while_promoting: faults that are set when the promotion begins.
    """

    name: str
    candidate: str
    verdict: str | None
    state: str = "success"
    new_endpoint: bool = False
    minimum: float = 0.5
    deadline: float = 60.0
    guardrails: Mapping[str, Any] | None = field(default=None, hash=False)
    while_promoting: tuple[Fault, ...] = ()

    @property
    def agrees(self) -> bool:
        """Whether the candidate says what the incumbent says."""
        return self.candidate is GOOD

    @property
    def conf(self) -> dict[str, Any]:
        """The run's Params."""
        return {
            "endpoint_name": ENDPOINT,
            "image": IMAGE,
            "incumbent": f"s3://{BUCKET}/models/incumbent/model.tar.gz",
            "candidate": f"s3://{BUCKET}/models/candidate/model.tar.gz",
            "role": ROLE,
            "captures": f"s3://{BUCKET}/captures",
            "policy": _POLICY | {"gates": [{"metric": "agreement", "minimum": self.minimum}, _NO_ERRORS]},
            "deadline": self.deadline,
            "poll_interval": 0.2,
            "look_interval": 0.2,
            "capture_lag": 0.8,
            "watch_minutes": 0.05,
            "metric_lag": 0.2,
        }


SCENARIOS = {
    each.name: each
    for each in (
        Scenario("promote", GOOD, "PROMOTE"),
        Scenario("reject", BAD, "REJECT"),
        Scenario("inconclusive", GOOD, "INCONCLUSIVE", minimum=0.9999, deadline=18.0),
        Scenario("broken", BROKEN, None, state="failed"),
        Scenario("new", GOOD, "PROMOTE", new_endpoint=True),
        Scenario("guarded", GOOD, "PROMOTE", guardrails=_CANARY),
        Scenario(
            "rolled_back",
            GOOD,
            "PROMOTE",
            state="failed",
            while_promoting=(EndpointFault(kind="rollback", endpoint=ENDPOINT),),
        ),
    )
}
