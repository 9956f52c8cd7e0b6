"""The decision record: one immutable document that says what was decided, on what, and by which rules.

It holds no wall clock and no host: judging the same evidence again gives the same bytes.
"""

import hashlib
import json
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

import shadow_provider
from shadow_provider.plan.frozen import Frozen
from shadow_provider.policy.errors import PolicyError
from shadow_provider.policy.policy import Policy
from shadow_provider.verdict.evidence import Evidence
from shadow_provider.verdict.judge import Judgement, Verdict, judge
from shadow_provider.verdict.looks import GateState
from shadow_provider.verdict.measures import UtcTime
from shadow_provider.verdict.notes import describe

_MADE_BY = ("comparator", "ground_truth")
"""Fields of a policy that say what is counted, so that they cannot be changed once it is."""


class ConfigNames(Frozen):
    """Endpoint configs of the deployment: the way back, the one with the shadow, and the one a promotion leads to."""

    baseline: str | None = None
    shadow: str | None = None
    promoted: str | None = None


class GateAtLook(Frozen):
    """A gate at an earlier look: members as in `GateLook`."""

    name: str
    segment: str | None = None
    state: GateState
    estimate: float | None
    lower: float | None
    upper: float | None
    progress: float


class LookOfRecord(Frozen):
    """One look: when its evidence ended, and what was to be said then by what is known now.

    Attributes:
        end: of its evidence.
        pairs: until then.
        verdict: at that look.
        gates: all of them, those of segments among them.
    """

    end: UtcTime
    pairs: int
    verdict: Verdict
    gates: tuple[GateAtLook, ...]


class DecisionRecord(Frozen):
    """What was decided, with everything needed to decide it again.

    Attributes:
        schema_version: version of this document's shape.
        deployment_id: the deployment; None for an evaluation outside of one.
        incumbent_model: model behind production.
        candidate_model: model behind the shadow.
        configs: endpoint configs before and after.
        created_at: end of the evidence; not the time at which the record was written.
        final: whether the deadline had come, so that what was not decided is INCONCLUSIVE.
        policy: what was promised.
        evidence: what was observed.
        looks: every gate at every look.
        judgement: what follows: that of the last look.
        notes: what else a reader should see.
        approver: who agreed to act on it; None where nobody was asked.
        inputs_digest: SHA-256 over the keys and ETags of all objects that were read.
        versions: packages that computed it.
    """

    schema_version: Literal["2"] = "2"
    deployment_id: str | None = None
    incumbent_model: str
    candidate_model: str
    configs: ConfigNames
    created_at: UtcTime
    final: bool
    policy: Policy
    evidence: Evidence
    looks: tuple[LookOfRecord, ...]
    judgement: Judgement
    notes: tuple[str, ...] = ()
    approver: str | None = None
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

    def judged_again(self, policy: Policy | None = None) -> "DecisionRecord":
        """The record with its evidence judged once more, by its own policy or by another.

        By its own policy it is equal to this one, or the record is not to be trusted.

        Raises:
            PolicyError: the other policy compares answers in another way, which the evidence cannot tell.
        """
        policy = policy or self.policy
        for field in _MADE_BY:
            if getattr(policy, field) != getattr(self.policy, field):
                raise PolicyError(
                    f"policy: {field}: is not the one by which this record's evidence was made; take the record's, or "
                    f"evaluate the captures anew"
                )
        looks, judgement = judged_looks(policy, self.evidence, final=self.final)
        return self.model_copy(
            update={
                "policy": policy,
                "created_at": self.evidence.looks[-1],
                "looks": looks,
                "judgement": judgement,
                "notes": describe(self.evidence),
                "inputs_digest": _inputs_digest(self.evidence),
            }
        )


def decide(
    *,
    deployment_id: str | None,
    incumbent_model: str,
    candidate_model: str,
    configs: ConfigNames,
    policy: Policy,
    evidence: Evidence,
    final: bool,
) -> DecisionRecord:
    """Judge the evidence at every look, and write it all down."""
    looks, judgement = judged_looks(policy, evidence, final=final)
    return DecisionRecord(
        deployment_id=deployment_id,
        incumbent_model=incumbent_model,
        candidate_model=candidate_model,
        configs=configs,
        created_at=evidence.looks[-1],
        final=final,
        policy=policy,
        evidence=evidence,
        looks=looks,
        judgement=judgement,
        notes=describe(evidence),
        inputs_digest=_inputs_digest(evidence),
        versions={
            "shadow_provider": shadow_provider.__version__,
            "numpy": _version("numpy"),
            "scipy": _version("scipy"),
        },
    )


def judged_looks(policy: Policy, evidence: Evidence, *, final: bool) -> tuple[tuple[LookOfRecord, ...], Judgement]:
    """Every look by what is known now, and the judgement of the last one.

    Looks with the same number of whole blocks are one look: the first of them stands.
    """
    rows: list[LookOfRecord] = []
    judgement = judge(policy, evidence, final=final)
    seen: set[int] = set()
    for end in evidence.looks[:-1]:
        then = evidence.at(end)
        if 0 < then.blocks.count < evidence.blocks.count and then.blocks.count not in seen:
            seen.add(then.blocks.count)
            rows.append(_row(then, judge(policy, then, final=False)))
    return (*rows, _row(evidence, judgement)), judgement


def _row(evidence: Evidence, judgement: Judgement) -> LookOfRecord:
    fields = GateAtLook.model_fields.keys()
    return LookOfRecord(
        end=evidence.blocks.end,
        pairs=judgement.pairs,
        verdict=judgement.verdict,
        gates=tuple(
            GateAtLook.model_validate({name: getattr(gate, name) for name in fields})
            for gate in (*judgement.gates, *judgement.segments)
        ),
    )


def summary(record: DecisionRecord) -> dict[str, Any]:
    """What fits into an XCom: the verdict, its reason, and a line a gate. JSON types only."""
    judgement = record.judgement
    fields = {"name", "state", "estimate", "lower", "upper", "margin"}
    return {
        "verdict": judgement.verdict.value,
        "reason": judgement.reason,
        "pairs": judgement.pairs,
        "looks": len(record.looks),
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
