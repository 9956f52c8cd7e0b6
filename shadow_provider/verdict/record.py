"""The decision record: one immutable document that says what was decided, on what, and by which rules.

It holds no wall clock and no host: judging the same evidence again gives the same bytes.
"""

import hashlib
import json
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

from pydantic import AwareDatetime

import shadow_provider
from shadow_provider.plan.policy import Policy
from shadow_provider.verdict.evidence import Evidence, Frozen
from shadow_provider.verdict.judge import Judgement, judge


class ConfigNames(Frozen):
    """Endpoint configs of the deployment: the way back, the one with the shadow, and the one a promotion leads to."""

    baseline: str
    shadow: str
    promoted: str | None = None


class DecisionRecord(Frozen):
    """What was decided, with everything needed to decide it again.

    Attributes:
        schema_version: version of this document's shape.
        deployment_id: the deployment.
        incumbent_model: model behind production.
        candidate_model: model behind the shadow.
        configs: endpoint configs before and after.
        created_at: end of the evidence's window; not the time at which the record was written.
        policy: what was promised.
        evidence: what was observed.
        judgement: what follows.
        inputs_digest: SHA-256 over the keys and ETags of all objects that were read.
        versions: packages that computed it.
    """

    schema_version: Literal["1"] = "1"
    deployment_id: str
    incumbent_model: str
    candidate_model: str
    configs: ConfigNames
    created_at: AwareDatetime
    policy: Policy
    evidence: Evidence
    judgement: Judgement
    inputs_digest: str
    versions: dict[str, str]

    def canonical_bytes(self) -> bytes:
        """The record as UTF-8 JSON with sorted keys and no spaces: equal records give equal bytes."""
        document = self.model_dump(mode="json")
        text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        return text.encode()

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical bytes, in hexadecimal digits."""
        return hashlib.sha256(self.canonical_bytes()).hexdigest()

    def judged_again(self) -> "DecisionRecord":
        """The record with its evidence judged once more; equal to this one, or the record is not to be trusted."""
        return self.model_copy(update={"judgement": judge(self.policy, self.evidence)})


def decide(
    *,
    deployment_id: str,
    incumbent_model: str,
    candidate_model: str,
    configs: ConfigNames,
    policy: Policy,
    evidence: Evidence,
) -> DecisionRecord:
    """Judge the evidence and write it all down."""
    return DecisionRecord(
        deployment_id=deployment_id,
        incumbent_model=incumbent_model,
        candidate_model=candidate_model,
        configs=configs,
        created_at=evidence.window.end,
        policy=policy,
        evidence=evidence,
        judgement=judge(policy, evidence),
        inputs_digest=_inputs_digest(evidence),
        versions={
            "shadow_provider": shadow_provider.__version__,
            "numpy": _version("numpy"),
            "scipy": _version("scipy"),
        },
    )


def summary(judged: DecisionRecord | Judgement) -> dict[str, Any]:
    """What fits into an XCom: the verdict, its reason, and a line a gate. JSON types only."""
    judgement = judged.judgement if isinstance(judged, DecisionRecord) else judged
    fields = {"metric", "state", "estimate", "lower", "upper", "margin"}
    return {
        "verdict": judgement.verdict.value,
        "reason": judgement.reason,
        "pairs": judgement.pairs,
        "gates": [gate.model_dump(mode="json", include=fields) for gate in judgement.gates],
    }


def _inputs_digest(evidence: Evidence) -> str:
    lines = sorted(f"{source.kind} {source.location} {source.digest}" for source in evidence.sources)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # pragma: no cover - a hard dependency
        return "unknown"
