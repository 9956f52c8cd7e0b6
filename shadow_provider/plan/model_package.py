"""What the verdict means for the candidate's version in the model registry.

Limits (botocore's model of UpdateModelPackage): ApprovalDescription 1,024 characters of one line; at most 50
CustomerMetadataProperties with values of 256 letters, digits, spaces and _ . : / = + - @.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from shadow_provider.plan.arguments import MaybeNone, Specification
from shadow_provider.plan.errors import ModelPackageBusyError, ModelPackageError
from shadow_provider.plan.plain_text import plain
from shadow_provider.plan.tags import tag_value

Approval = Literal["Approved", "Rejected", "PendingManualApproval"]

VERDICT = "shadow-provider:verdict"
RECORD = "shadow-provider:record"
DEPLOYMENT = "shadow-provider:deployment"

_LONGEST_DESCRIPTION = 1024
_MOST_PROPERTIES = 50


class Approvals(Specification):
    """Which approval status a verdict gives.

    Attributes:
        promote: of a verdict PROMOTE.
        reject: of a verdict REJECT.
        inconclusive: of a verdict INCONCLUSIVE; None leaves the status as it is.
        invalid: of a verdict INVALID; None leaves the status as it is.
    """

    promote: Approval = "Approved"
    reject: Approval = "Rejected"
    inconclusive: Annotated[Approval | None, MaybeNone] = None
    invalid: Annotated[Approval | None, MaybeNone] = None

    def of(self, verdict: str) -> Approval | None:
        """Return the status that this verdict gives; None leaves it as it is."""
        found: Approval | None = getattr(self, verdict.lower(), None)
        return found


class PackageName(Specification):
    """The candidate's model package; None where it is none.

    Attributes:
        model_package: name, name/version or ARN.
    """

    model_package: Annotated[Annotated[str, Field(max_length=176)] | None, MaybeNone] = None


@dataclass(frozen=True)
class Decided:
    """What was decided of a candidate.

    Attributes:
        verdict: the verdict.
        reason: in one sentence.
        record_uri: where the decision record stands.
        deployment_id: of the deployment.
    """

    verdict: str
    reason: str
    record_uri: str
    deployment_id: str

    def description(self) -> str:
        """Return the ApprovalDescription: verdict, reason and, where there is room for it, the record's place."""
        tail = f" Record: {plain(self.record_uri)}" if self.record_uri else ""
        if len(tail) > _LONGEST_DESCRIPTION // 2:
            tail = ""
        head = plain(f"{self.verdict}: {self.reason}")
        room = _LONGEST_DESCRIPTION - len(tail)
        return (head if len(head) <= room else head[: room - 1] + "…") + tail

    def properties(self) -> dict[str, str]:
        """Return the CustomerMetadataProperties; a place that is no legal value is shortened, with a digest."""
        wanted = {VERDICT: self.verdict, RECORD: self.record_uri, DEPLOYMENT: self.deployment_id}
        return {key: tag_value(value) for key, value in wanted.items() if value}


def update_request(description: Mapping[str, Any], decided: Decided, approvals: Approvals) -> dict[str, Any] | None:
    """Return the UpdateModelPackage request; None where everything is so already.

    Args:
        description: DescribeModelPackage.
        decided: what was decided.
        approvals: which status the verdict gives.

    Raises:
        ModelPackageBusyError: the package is still being made.
        ModelPackageError: it is being deleted, failed, or has no room for the metadata.
    """
    arn, status = description["ModelPackageArn"], description["ModelPackageStatus"]
    if status in {"Pending", "InProgress"}:
        raise ModelPackageBusyError(f"Model package {arn} is {status}: its approval cannot be set yet")
    if status != "Completed":
        raise ModelPackageError(
            f"Model package {arn} is {status}: somebody else deletes it or it is not usable, so the verdict "
            f"{decided.verdict} is not written to it. The endpoint is as the verdict wants it; give "
            "update_model_package=False to leave the registry alone."
        )
    changes: dict[str, Any] = {}
    approval = approvals.of(decided.verdict)
    # AWS gives a status to versions of a group only.
    if approval is not None and description.get("ModelPackageVersion") is not None:
        said = {"ModelApprovalStatus": approval, "ApprovalDescription": decided.description()}
        if any(description.get(key) != value for key, value in said.items()):
            changes |= said
    present = description.get("CustomerMetadataProperties") or {}
    properties = decided.properties()
    if any(present.get(key) != value for key, value in properties.items()):
        if len(present | properties) > _MOST_PROPERTIES:
            raise ModelPackageError(
                f"Model package {arn} has {len(present)} CustomerMetadataProperties, and AWS takes {_MOST_PROPERTIES}: "
                f"there is no room for {', '.join(properties)}. Remove some, or give update_model_package=False."
            )
        changes["CustomerMetadataProperties"] = properties
    return {"ModelPackageArn": arn, **changes} if changes else None


def last_changed_by(description: Mapping[str, Any]) -> str | None:
    """Return who changed a package last, as AWS knows them; None where it does not say."""
    user = description.get("LastModifiedBy") or {}
    identity = user.get("IamIdentity") or {}
    found = identity.get("Arn") or user.get("UserProfileArn") or user.get("UserProfileName")
    return plain(str(found)) if found else None
