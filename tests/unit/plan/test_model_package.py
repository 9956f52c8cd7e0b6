"""What a verdict asks of the model registry."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.session import get_session
from hypothesis import given
from hypothesis import strategies as st

from shadow_provider.local.validation import matches
from shadow_provider.plan.errors import ModelPackageBusyError, ModelPackageError, PlanError
from shadow_provider.plan.model_package import (
    DEPLOYMENT,
    RECORD,
    VERDICT,
    Approvals,
    Decided,
    last_changed_by,
    update_request,
)

ARN = "arn:aws:sagemaker:us-east-1:123456789012:model-package/churn/3"
DECIDED = Decided("PROMOTE", "every gate passed", "s3://bucket/records/r.json", "dag/manual__2026-01-01T00:00:00+00:00")
SHAPE = get_session().get_service_model("sagemaker").operation_model("UpdateModelPackage").input_shape


def package(**others: Any) -> dict[str, Any]:
    return {"ModelPackageArn": ARN, "ModelPackageStatus": "Completed", "ModelPackageVersion": 3, **others}


def decided(verdict: str) -> Decided:
    return Decided(verdict, DECIDED.reason, DECIDED.record_uri, DECIDED.deployment_id)


@pytest.mark.parametrize(("verdict", "status"), [("PROMOTE", "Approved"), ("REJECT", "Rejected")])
def test_a_decision_sets_status_reason_and_record(verdict: str, status: str) -> None:
    assert update_request(package(ModelApprovalStatus="PendingManualApproval"), decided(verdict), Approvals()) == {
        "ModelPackageArn": ARN,
        "ModelApprovalStatus": status,
        "ApprovalDescription": f"{verdict}: every gate passed Record: s3://bucket/records/r.json",
        "CustomerMetadataProperties": {
            VERDICT: verdict,
            RECORD: "s3://bucket/records/r.json",
            DEPLOYMENT: DECIDED.deployment_id,
        },
    }


@pytest.mark.parametrize("verdict", ["INCONCLUSIVE", "INVALID"])
def test_without_a_decision_the_status_stays(verdict: str) -> None:
    request = update_request(package(ModelApprovalStatus="Approved"), decided(verdict), Approvals())
    assert request is not None
    assert set(request) == {"ModelPackageArn", "CustomerMetadataProperties"}


def test_a_status_may_be_asked_for_where_nothing_was_decided() -> None:
    asked = Approvals.parse("update_model_package", {"inconclusive": "Rejected", "invalid": "None"})
    assert (asked.of("INCONCLUSIVE"), asked.of("INVALID"), asked.of("PROMOTE")) == ("Rejected", None, "Approved")
    with pytest.raises(PlanError, match=r"update_model_package\.inconclusive='Perhaps'"):
        Approvals.parse("update_model_package", {"inconclusive": "Perhaps"})


def test_what_is_so_already_is_not_asked_again() -> None:
    request = update_request(package(), DECIDED, Approvals())
    assert request is not None
    assert update_request(package(**request), DECIDED, Approvals()) is None
    # Other people's metadata is neither sent again nor in the way.
    request["CustomerMetadataProperties"]["team"] = "pricing"
    assert update_request(package(**request), DECIDED, Approvals()) is None


def test_a_status_that_somebody_changed_back_is_set_again() -> None:
    request = update_request(package(), DECIDED, Approvals())
    assert request is not None
    again = update_request(package(**request) | {"ModelApprovalStatus": "Rejected"}, DECIDED, Approvals())
    assert again is not None
    assert set(again) == {"ModelPackageArn", "ModelApprovalStatus", "ApprovalDescription"}


def test_a_package_without_a_version_has_no_status() -> None:
    unversioned = package()
    del unversioned["ModelPackageVersion"]
    request = update_request(unversioned, DECIDED, Approvals())
    assert request is not None
    assert "ModelApprovalStatus" not in request


@pytest.mark.parametrize(
    ("status", "error"),
    [
        ("Pending", ModelPackageBusyError),
        ("InProgress", ModelPackageBusyError),
        ("Deleting", ModelPackageError),
        ("Failed", ModelPackageError),
    ],
)
def test_a_package_in_another_state_is_named_with_it(status: str, error: type[Exception]) -> None:
    with pytest.raises(error, match=f"{ARN} is {status}"):
        update_request(package(ModelPackageStatus=status), DECIDED, Approvals())


def test_metadata_without_room_is_told() -> None:
    full = {str(number): "x" for number in range(48)}
    with pytest.raises(ModelPackageError, match="has 48 CustomerMetadataProperties, and AWS takes 50"):
        update_request(package(CustomerMetadataProperties=full), DECIDED, Approvals())


@given(reason=st.text(max_size=3000), uri=st.text(min_size=1, max_size=1200), deployment=st.text(min_size=1))
def test_whatever_was_decided_the_request_is_legal(reason: str, uri: str, deployment: str) -> None:
    request = update_request(package(), Decided("REJECT", reason, uri, deployment), Approvals())
    assert request is not None
    description = SHAPE.members["ApprovalDescription"]
    assert len(request["ApprovalDescription"]) <= description.metadata["max"]
    assert "\n" not in request["ApprovalDescription"]
    values = SHAPE.members["CustomerMetadataProperties"]
    for key, value in request["CustomerMetadataProperties"].items():
        assert matches(values.key.metadata["pattern"], key)
        assert 1 <= len(value) <= values.value.metadata["max"]
        assert matches(values.value.metadata["pattern"], value)


def test_who_changed_it_last_is_what_aws_says() -> None:
    assert last_changed_by(package()) is None
    assert last_changed_by(package(LastModifiedBy={})) is None
    assert last_changed_by(package(LastModifiedBy={"IamIdentity": {"Arn": "arn:x"}, "UserProfileName": "p"})) == "arn:x"
    assert last_changed_by(package(LastModifiedBy={"UserProfileName": "pat"})) == "pat"
