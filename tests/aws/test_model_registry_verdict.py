"""The candidate is a version of the model registry: its approval follows the verdict, once AWS shows it carried out."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from shadow_provider.operators.conclude import SageMakerShadowConcludeOperator
from shadow_provider.operators.model import SageMakerShadowModelOperator
from shadow_provider.plan.errors import ModelPackageBusyError, PlanError
from shadow_provider.plan.model_package import DEPLOYMENT, RECORD, VERDICT
from tests.aws.test_model_packages import Registry, registry  # noqa: F401 - fixture
from tests.aws.test_operators import (  # noqa: F401 - fixtures
    ROLE,
    Flow,
    hook,
    live,
    machine,
    make_flow,
)


class Updates:
    """UpdateModelPackage calls of a client."""

    def __init__(self, client: Any) -> None:
        self.made: list[dict[str, Any]] = []
        client.meta.events.register(
            "provide-client-params.sagemaker.UpdateModelPackage", lambda params, **_: self.made.append(dict(params))
        )


@pytest.fixture
def version(registry: Registry) -> str:  # noqa: F811
    return registry.version(registry.group(), ModelApprovalStatus="Approved")


def conclude(flow: Flow, verdict: str, package: Any, **arguments: Any) -> Any:
    decision = {"verdict": verdict, "reason": "because", "record_uri": "s3://b/r.json", "report_uri": "s3://b/r.html"}
    return flow.run(
        SageMakerShadowConcludeOperator,
        decision=decision,
        baseline_config_name=flow.baseline,
        model_package=package,
        **arguments,
    )


def deploy_version(flow: Flow, package: str) -> None:
    made = flow.run(
        SageMakerShadowModelOperator,
        side="shadow",
        container={"model_package_name": package},
        execution_role_arn=ROLE,
    )
    flow.config(made["model_name"])
    flow.deploy()


@pytest.mark.parametrize(
    ("verdict", "status"), [("PROMOTE", "Approved"), ("REJECT", "Rejected"), ("INCONCLUSIVE", "Approved")]
)
def test_the_verdict_is_written_once_and_only_when_carried_out(
    live: Flow,  # noqa: F811
    registry: Registry,  # noqa: F811
    version: str,
    verdict: str,
    status: str,
) -> None:
    deploy_version(live, version)
    updates = Updates(live.hook.sagemaker)
    with pytest.raises(AirflowFailException, match="should serve"):
        conclude(live, verdict, version)
    assert updates.made == []
    if verdict == "PROMOTE":
        live.promote()
    else:
        live.rollback()
    told = conclude(live, verdict, version)["model_package"]
    assert told == {
        "arn": version,
        "approval_before": "Approved",
        "approval": status,
        "changed": True,
        "last_changed_by": None,
    }
    described = registry.describe(version)
    assert described["ModelApprovalStatus"] == status
    assert described["CustomerMetadataProperties"] == {
        VERDICT: verdict,
        RECORD: "s3://b/r.json",
        DEPLOYMENT: live.deployment.deployment_id,
    }
    decided = verdict != "INCONCLUSIVE"
    assert described.get("ApprovalDescription") == (f"{verdict}: because Record: s3://b/r.json" if decided else None)
    # A retry or a cleared task changes nothing.
    assert conclude(live, verdict, version)["model_package"]["changed"] is False
    assert len(updates.made) == 1


def test_the_registry_is_left_alone_where_asked(live: Flow, registry: Registry, version: str) -> None:  # noqa: F811
    for switch in (False, "False", "None"):
        assert conclude(live, "REJECT", version, update_model_package=switch)["model_package"] is None
    assert conclude(live, "REJECT", "None")["model_package"] is None
    assert registry.describe(version)["ModelApprovalStatus"] == "Approved"
    asked = {"inconclusive": "PendingManualApproval"}
    assert conclude(live, "INCONCLUSIVE", version, update_model_package=asked)["model_package"]["approval"] == (
        "PendingManualApproval"
    )


def test_a_clean_rollback_that_fails_the_run_still_tells_the_registry(
    live: Flow,  # noqa: F811
    registry: Registry,  # noqa: F811
    version: str,
) -> None:
    with pytest.raises(AirflowFailException, match="was rolled back cleanly"):
        conclude(live, "REJECT", version, fail_unless_promoted=True)
    assert registry.describe(version)["ModelApprovalStatus"] == "Rejected"


def test_a_package_that_is_gone_or_not_ready_is_told(
    live: Flow,  # noqa: F811
    registry: Registry,  # noqa: F811
    version: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    described = registry.describe(version)
    for status, error in (("Deleting", AirflowFailException), ("InProgress", ModelPackageBusyError)):
        monkeypatch.setattr(
            live.hook.sagemaker,
            "describe_model_package",
            lambda status=status, **_: {**described, "ModelPackageStatus": status},
        )
        with pytest.raises(error, match=f"{version} is {status}"):
            conclude(live, "REJECT", version)
    monkeypatch.undo()
    registry.sagemaker.delete_model_package(ModelPackageName=version)
    with pytest.raises(AirflowFailException, match="it is gone, so the verdict REJECT is not written to it"):
        conclude(live, "REJECT", version)


def test_arguments_are_checked_at_parse() -> None:
    arguments: dict[str, Any] = {"task_id": "t", "endpoint_name": "e", "decision": {}, "baseline_config_name": "b"}
    with pytest.raises(PlanError, match="model_package="):
        SageMakerShadowConcludeOperator(**arguments, model_package="x" * 177)
    with pytest.raises(PlanError, match=r"update_model_package\.promote='Yes'"):
        SageMakerShadowConcludeOperator(**arguments, update_model_package={"promote": "Yes", "reject": "{{ x }}"})
