from datetime import UTC, datetime, timedelta
from typing import Any

import botocore.session
import pytest

from shadow_provider.plan.endpoint_state import BROKEN, IN_PROGRESS, EndpointState, Outcome, Progress, outcome_of

ASKED = datetime(2026, 1, 1, 12, tzinfo=UTC)
NONE_GIVEN = "none given; see the CloudWatch logs of the endpoint"
REACHED, UNDER_WAY, FAILED = Progress.REACHED, Progress.UNDER_WAY, Progress.FAILED


def state(
    status: str, active: str | None = "old", pending: str | None = None, *, reason: str = "", **others: Any
) -> EndpointState:
    description: dict[str, Any] = {
        "EndpointName": "fraud",
        "EndpointArn": "arn",
        "EndpointStatus": status,
        "LastModifiedTime": ASKED + timedelta(minutes=1),
        **others,
    }
    if active:
        description["EndpointConfigName"] = active
    if pending:
        description["PendingDeploymentSummary"] = {"EndpointConfigName": pending}
    if reason:
        description["FailureReason"] = reason
    return EndpointState.of(description)


def test_every_status_of_aws_is_known() -> None:
    shape = botocore.session.get_session().get_service_model("sagemaker").shape_for("EndpointStatus")
    assert {"InService", *IN_PROGRESS, *BROKEN} == set(shape.enum)
    assert not IN_PROGRESS & BROKEN


@pytest.mark.parametrize(
    ("found", "progress", "reason"),
    [
        # Only this is success.
        (state("InService", "new"), REACHED, ""),
        (state("InService", "new", reason="of an older change"), REACHED, ""),
        # Nearly success.
        (state("InService", "new", "new"), UNDER_WAY, ""),
        (state("InService", "new", "other"), FAILED, "the endpoint is being changed to other, not to new"),
        (state("Updating", "new"), UNDER_WAY, ""),
        (state("SystemUpdating", "new"), UNDER_WAY, ""),
        # On the way.
        (state("Creating", None, "new"), UNDER_WAY, ""),
        (state("Creating", "new"), UNDER_WAY, ""),
        (state("Updating", "old", "new"), UNDER_WAY, ""),
        (state("Updating", "old"), UNDER_WAY, ""),
        (state("SystemUpdating", "old"), UNDER_WAY, ""),
        (state("RollingBack", "old", "new"), UNDER_WAY, ""),
        (state("RollingBack", "old"), UNDER_WAY, ""),
        # Somebody else's change.
        (state("Updating", "old", "other"), FAILED, "the endpoint is being changed to other, not to new"),
        (state("Creating", None, "other"), FAILED, "the endpoint is being changed to other, not to new"),
        # Rolled back silently: InService again, on the old config.
        (
            state("InService", "old"),
            FAILED,
            "SageMaker rolled the change back: the endpoint is InService on old, not on new. AWS's reason: "
            f"{NONE_GIVEN}",
        ),
        (
            state("InService", "old", reason="did not pass the ping health check"),
            FAILED,
            "SageMaker rolled the change back: the endpoint is InService on old, not on new. AWS's reason: "
            "did not pass the ping health check",
        ),
        # Broken, whatever config AWS names.
        (state("Failed", None), FAILED, f"the endpoint is Failed: {NONE_GIVEN}"),
        (state("Failed", "new", reason="no capacity"), FAILED, "the endpoint is Failed: no capacity"),
        (state("OutOfService", "new"), FAILED, f"the endpoint is OutOfService: {NONE_GIVEN}"),
        (state("UpdateRollbackFailed", "new"), FAILED, f"the endpoint is UpdateRollbackFailed: {NONE_GIVEN}"),
        (state("UpdateRollbackFailed", "old", "new", reason="mixed"), FAILED,
         "the endpoint is UpdateRollbackFailed: mixed"),
        (state("Deleting", "new"), FAILED, "the endpoint is being deleted"),
        (None, FAILED, "the endpoint does not exist"),
    ],
)  # fmt: skip
def test_outcome_of_a_change_from_old_to_new(found: EndpointState | None, progress: Progress, reason: str) -> None:
    assert outcome_of(found, "new") == Outcome(progress, reason)


@pytest.mark.parametrize("status", sorted({"InService", *IN_PROGRESS, *BROKEN}))
@pytest.mark.parametrize("active", [None, "old", "new", "other"])
@pytest.mark.parametrize("pending", [None, "old", "new", "other"])
@pytest.mark.parametrize("not_before", [None, ASKED, ASKED + timedelta(hours=1)])
def test_success_is_inservice_on_the_config_asked_for_with_nothing_pending(
    status: str, active: str | None, pending: str | None, not_before: datetime | None
) -> None:
    outcome = outcome_of(state(status, active, pending), "new", not_before=not_before)
    assert (outcome.progress is REACHED) is (status == "InService" and active == "new" and pending is None)
    assert bool(outcome.reason) is (outcome.progress is FAILED)


@pytest.mark.parametrize(
    ("not_before", "progress"),
    [
        (None, FAILED),
        (ASKED, FAILED),
        (ASKED + timedelta(minutes=1), FAILED),
        (ASKED + timedelta(minutes=1, microseconds=1), UNDER_WAY),
    ],
)
def test_an_endpoint_not_touched_since_the_change_was_asked_for_has_not_failed(
    not_before: datetime | None, progress: Progress
) -> None:
    assert outcome_of(state("InService", "old"), "new", not_before=not_before).progress is progress


@pytest.mark.parametrize("found", [state("Failed", "old"), state("OutOfService", "old"), None])
def test_what_is_broken_has_failed_however_old_it_is(found: EndpointState | None) -> None:
    assert outcome_of(found, "new", not_before=ASKED + timedelta(days=1)).progress is FAILED


def test_a_description_with_only_the_required_members_is_read() -> None:
    # botocore: name, arn, status and both times are required; a Failed creation has no variants.
    found = EndpointState.of(
        {
            "EndpointName": "fraud",
            "EndpointArn": "arn",
            "EndpointStatus": "Failed",
            "CreationTime": ASKED,
            "LastModifiedTime": ASKED,
        }
    )
    assert (found.active_config, found.pending_config, found.failure_reason) == (None, None, "")
    assert (found.production, found.shadows) == ((), ())
    assert found.summary() == "Failed on no config yet"


def test_variants_are_read_as_far_as_aws_gives_them() -> None:
    found = state(
        "InService",
        ProductionVariants=[
            {"VariantName": "p", "CurrentInstanceCount": 2, "DesiredInstanceCount": 3, "CurrentWeight": 1.0}
        ],
        ShadowProductionVariants=[{"VariantName": "s"}],
        PendingDeploymentSummary=None,
    )
    (production,), (shadow,) = found.production, found.shadows
    assert (production.name, production.current_instances, production.desired_instances, production.weight) == (
        "p", 2, 3, 1.0,
    )  # fmt: skip
    assert (shadow.name, shadow.current_instances, shadow.desired_instances, shadow.weight) == ("s", None, None, None)


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (state("InService", "old"), "InService on old"),
        (state("Updating", "old", "new"), "Updating on old, changing to new"),
        (state("InService", "old", reason="ping"), "InService on old (ping)"),
        (state("Creating", None, "new", reason="slow"), "Creating on no config yet, changing to new (slow)"),
    ],
)
def test_summary(found: EndpointState, text: str) -> None:
    assert found.summary() == text


HOSTILE = "bad\n[2026] ERROR forged\r\x1b[31mred\u202egnp <script>alert(1)</script> | x" + "y" * 5000


def test_a_hostile_reason_is_one_printable_line_wherever_it_is_told() -> None:
    found = state("InService", "old", reason=HOSTILE)
    outcome = outcome_of(found, "new")
    for told in (found.failure_reason, found.summary(), outcome.reason):
        assert told.isprintable()
        assert len(told) < 2500
        assert "bad [2026] ERROR forged" in told
