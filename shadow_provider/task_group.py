"""The whole pipeline as one task group, to be put into any DAG."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from airflow.sdk import Asset, TaskGroup, TriggerRule, XComArg

from shadow_provider.operators.autoscaling import SageMakerShadowAutoscalingOperator
from shadow_provider.operators.base import DEFAULT_DEPLOYMENT_ID
from shadow_provider.operators.cleanup import SageMakerShadowCleanupOperator
from shadow_provider.operators.conclude import SageMakerShadowConcludeOperator
from shadow_provider.operators.endpoint import SageMakerShadowEndpointOperator
from shadow_provider.operators.endpoint_config import SageMakerShadowEndpointConfigOperator
from shadow_provider.operators.evaluate import (
    DEFAULT_CAPTURE_LAG_SECONDS,
    SageMakerShadowEvaluateOperator,
)
from shadow_provider.operators.lease import (
    DEFAULT_HOLD_TIMEOUT,
    SageMakerShadowHoldEndpointOperator,
    SageMakerShadowReleaseEndpointOperator,
)
from shadow_provider.operators.model import SageMakerShadowModelOperator
from shadow_provider.operators.plan import SageMakerShadowPlanOperator
from shadow_provider.operators.promote import SageMakerShadowPromoteOperator
from shadow_provider.operators.rollback import SageMakerShadowRollbackOperator
from shadow_provider.operators.waiting import DEFAULT_DEFERRABLE, DEFAULT_POLL_SECONDS, DEFAULT_TIMEOUT
from shadow_provider.operators.watch import (
    DEFAULT_METRIC_LAG_SECONDS,
    DEFAULT_WATCH_MINUTES,
    SMOKE_TESTS,
    SageMakerShadowWatchOperator,
)
from shadow_provider.sensors.endpoint import SageMakerShadowEndpointSensor
from shadow_provider.sensors.evidence import SageMakerShadowEvidenceSensor

# Every task may be run again at any point, so retries are safe; errors that no retry can mend do not use them.
_DEFAULT_ARGS = {"retries": 2, "retry_delay": timedelta(seconds=30)}


@dataclass(frozen=True)
class ShadowDeployment:
    """The task group, and the tasks whose results other tasks of a DAG may want.

    Attributes:
        group: put it between other tasks: ``train >> deployment.group >> announce``.
        evaluate: its ``output`` is the decision (``verdict``, ``reason``, ``pairs``, ``gates``,
            ``record_uri``, ``report_uri``).
        promote: skipped unless the verdict is PROMOTE.
        watch: its ``output`` says ``promoted`` once the new production was verified and watched.
        conclude: its ``output`` says what serves before and after; successful only if that is what the verdict wants.
    """

    group: TaskGroup
    evaluate: SageMakerShadowEvaluateOperator
    promote: SageMakerShadowPromoteOperator
    watch: SageMakerShadowWatchOperator
    conclude: SageMakerShadowConcludeOperator


def shadow_deployment(
    *,
    endpoint_name: Any,
    candidate_container: Mapping[str, Any] | None = None,
    candidate_model_name: Any = None,
    execution_role_arn: Any = None,
    production_container: Mapping[str, Any] | None = None,
    production_model_name: Any = None,
    production_variant: Mapping[str, Any] | None = None,
    shadow_variant: Mapping[str, Any] | None = None,
    sampling_percentage: Any = 100.0,
    shadow_autoscaling: Mapping[str, Any] | None = None,
    promote_infrastructure: Any = "production",
    guardrails: Any = None,
    smoke_test: Any = SMOKE_TESTS[0],
    watch_minutes: Any = DEFAULT_WATCH_MINUTES,
    metric_lag: Any = DEFAULT_METRIC_LAG_SECONDS,
    data_capture: Mapping[str, Any] | None = None,
    policy: Any = None,
    minimum_duration: timedelta | float | Any = 0,
    deadline: timedelta | float | Any = None,
    ground_truth_s3_uri: Any = None,
    record_s3_uri: Any = None,
    production_guard: Any = "on",
    out_of_reach: Any = "warn",
    fail_unless_promoted: Any = False,
    update_model_package: Any = True,
    asset: Asset | str | None = None,
    timeout: timedelta | float = DEFAULT_TIMEOUT,
    poll_interval: Any = DEFAULT_POLL_SECONDS,
    look_interval: Any = None,
    capture_lag: Any = DEFAULT_CAPTURE_LAG_SECONDS,
    lease_s3_uri: Any = None,
    when_held: Any = "wait",
    hold_timeout: timedelta | float | Any = DEFAULT_HOLD_TIMEOUT,
    expected_account_id: Any = None,
    expected_region: Any = None,
    deployment_id: Any = DEFAULT_DEPLOYMENT_ID,
    deferrable: bool = DEFAULT_DEFERRABLE,
    cancel_on_kill: bool = False,
    aws_conn_id: Any = "aws_default",
    region_name: Any = None,
    verify: bool | str | None = None,
    botocore_config: dict[str, Any] | None = None,
    group_id: str = "shadow_deployment",
    default_args: Mapping[str, Any] | None = None,
) -> ShadowDeployment:
    """Chain the steps of a shadow deployment: models, config, endpoint, evidence, verdict, promotion or rollback.

    For a live endpoint give ``endpoint_name`` and the candidate; production is read from the endpoint. For a new
    endpoint give the production model and ``production_variant`` as well. Every argument of type ``Any`` may be a
    template, an XComArg or ``dag.param(…)``; so may the values of the mappings.

    Args:
        endpoint_name: the endpoint.
        candidate_container: ``{"image", "model_data_url", "environment"}`` or ``{"model_package_name"}``.
        candidate_model_name: an existing model instead, or the name for the one to be made.
        execution_role_arn: the role of models that are made.
        production_container: as ``candidate_container``, for a new endpoint.
        production_model_name: as ``candidate_model_name``, for a new endpoint.
        production_variant: ``{"instance_type", "initial_instance_count", "variant_name"}``, for a new endpoint.
        shadow_variant: the same for the shadow; what is left out is as in production.
        sampling_percentage: share of requests copied to the shadow, above 0 and up to 100.
        shadow_autoscaling: ``{"min_capacity", "max_capacity", "invocations_per_instance"}`` lets the shadow scale by
            itself while it runs; None keeps it at its instance count. Production's own autoscaling is kept in any case.
        promote_infrastructure: ``production``, or ``shadow`` to serve on the shadow's instances after the promotion;
            only with ``sampling_percentage`` 100.
        guardrails: how traffic moves to the candidate: ``{"strategy", "step_percent", "wait_interval_seconds",
            "termination_wait_seconds", "alarm_names", "alarms_from_policy", …}``; None moves it all at once.
        smoke_test: a captured request of production's is sent to the new production: ``if_captured``, ``required`` or
            ``off``.
        watch_minutes: how long the new production is watched against the policy's margins; 0 for not at all.
        metric_lag: seconds that CloudWatch's datapoints may take to arrive.
        data_capture: ``{"destination_s3_uri", "sampling_percentage", "kms_key_id"}`` while the shadow runs.
        policy: what the candidate must prove: a policy, the name of a ready-made one, a mapping, YAML or JSON; None is
            the balanced one.
        minimum_duration: how long the shadow runs at least, timedelta or seconds.
        deadline: until when evidence is waited for, from the making of the shadow config on, timedelta or seconds;
            None is the policy's.
        ground_truth_s3_uri: prefix of the true labels, where there are any.
        record_s3_uri: prefix for decision records; by default beside the captures.
        production_guard: while the shadow runs, production is compared with itself before, and a deployment under which
            it is surely worse is given up and rolled back: ``on``, ``off``, or ``{"error_rate_margin",
            "latency_margin", "percentile", "alpha"}``; what is left out follows the policy.
        out_of_reach: ``warn``, or ``refuse`` to begin where the deadline cannot reach a deciding gate at production's
            present traffic.
        fail_unless_promoted: fail the run when the candidate was not promoted, although it was rolled back cleanly.
        update_model_package: where the candidate is a model package, let its approval status follow the verdict, with
            reason and record; see ``SageMakerShadowConcludeOperator``.
        asset: an ``Asset`` or its URI (also a template) that gets an event when, and only when, the candidate was
            promoted; ``extra`` has verdict, endpoint, model, record and deployment.
        timeout: how long each change of the endpoint may take, timedelta or seconds.
        poll_interval: seconds between two looks at the endpoint or at the count of requests.
        look_interval: seconds between two looks at the captures; None is the policy's.
        capture_lag: seconds that captures may take to arrive in S3.
        lease_s3_uri: prefix of the lease that keeps other deployments off the endpoint, the same for every DAG that
            deploys to it; by default beside the endpoint's own captures, see docs/lease.md.
        when_held: while another deployment has the endpoint, ``wait`` or ``fail``.
        hold_timeout: how long to wait for it, timedelta or seconds.
        expected_account_id: fail before anything is done unless the connection leads to this AWS account.
        expected_region: the same for the AWS region.
        deployment_id: see ``DeploymentOperator``.
        deferrable: wait in the triggerer.
        cancel_on_kill: whether a promotion whose task is killed on its worker is given up and rolled back, instead of
            tried again; see ``ConfigChangeOperator``.
        aws_conn_id: Airflow connection of every task.
        region_name: AWS region of every task.
        verify: as in boto3.
        botocore_config: as in the amazon provider.
        group_id: of the task group.
        default_args: for the tasks of the group; by default two retries, which are safe at every point.

    Returns:
        The group and its tasks of interest.

    Raises:
        PlanError: an argument breaks a rule; at DAG parse, unless it is a template.
    """
    common: dict[str, Any] = {
        "endpoint_name": endpoint_name,
        "deployment_id": deployment_id,
        "expected_account_id": expected_account_id,
        "expected_region": expected_region,
        "aws_conn_id": aws_conn_id,
        "region_name": region_name,
        "verify": verify,
        "botocore_config": botocore_config,
    }
    waiting = {"deferrable": deferrable, "poll_interval": poll_interval}
    with TaskGroup(
        group_id=group_id,
        tooltip="Shadow deployment of a SageMaker model: evidence, verdict, then promotion or rollback",
        default_args={**_DEFAULT_ARGS, **(default_args or {})},  # type: ignore[arg-type]  # attrs hides its type
    ) as group:
        plan = SageMakerShadowPlanOperator(
            task_id="plan",
            policy=policy,
            deadline=deadline,
            sampling_percentage=sampling_percentage,
            out_of_reach=out_of_reach,
            promote_infrastructure=promote_infrastructure,
            **common,
        )
        hold = SageMakerShadowHoldEndpointOperator(
            task_id="hold_endpoint",
            lease_s3_uri=lease_s3_uri,
            data_capture=data_capture,
            when_held=when_held,
            timeout=hold_timeout,
            **common,
            **waiting,
        )
        # Without its result (it failed) there is no lease: the rollback must go back all the same.
        held = {**common, "lease_s3_uri": hold.output}
        changing = {**held, **waiting, "timeout": timeout}
        production = SageMakerShadowModelOperator(
            task_id="create_production_model",
            side="production",
            container=production_container,
            model_name=production_model_name,
            execution_role_arn=execution_role_arn,
            **held,
        )
        candidate = SageMakerShadowModelOperator(
            task_id="create_shadow_model",
            side="shadow",
            container=candidate_container,
            model_name=candidate_model_name,
            execution_role_arn=execution_role_arn,
            **held,
        )
        config = SageMakerShadowEndpointConfigOperator(
            task_id="create_endpoint_config",
            candidate_model_name=_field(candidate, "model_name"),
            production_model_name=_field(production, "model_name"),
            production_variant=production_variant,
            shadow_variant=shadow_variant,
            sampling_percentage=sampling_percentage,
            data_capture=data_capture,
            **held,
        )
        deploy = SageMakerShadowEndpointOperator(task_id="deploy_endpoint", wait_for_completion=False, **changing)
        autoscaling = SageMakerShadowAutoscalingOperator(
            task_id="autoscale_shadow", shadow_autoscaling=shadow_autoscaling, **held
        )
        in_service = SageMakerShadowEndpointSensor(task_id="wait_in_service", mode="reschedule", **changing)
        evidence = SageMakerShadowEvidenceSensor(
            task_id="wait_for_evidence",
            policy=policy,
            minimum_duration=minimum_duration,
            deadline=deadline,
            production_guard=production_guard,
            mode="reschedule",
            **held,
            **waiting,
        )
        evaluate = SageMakerShadowEvaluateOperator(
            task_id="evaluate",
            policy=policy,
            deadline=deadline,
            look_interval=look_interval,
            capture_lag=capture_lag,
            ground_truth_s3_uri=ground_truth_s3_uri,
            record_s3_uri=record_s3_uri,
            production_guard=production_guard,
            deferrable=deferrable,
            **held,
        )
        promote = SageMakerShadowPromoteOperator(
            task_id="promote",
            verdict=_field(evaluate, "verdict"),
            promote_infrastructure=promote_infrastructure,
            cancel_on_kill=cancel_on_kill,
            guardrails=guardrails,
            policy=policy,
            **changing,
        )
        watch = SageMakerShadowWatchOperator(
            task_id="watch_promotion",
            policy=policy,
            smoke_test=smoke_test,
            watch_minutes=watch_minutes,
            metric_lag=metric_lag,
            deferrable=deferrable,
            **held,
        )
        # Runs whatever happened before, looks at AWS, and acts only where the endpoint is not where it should be.
        rollback = SageMakerShadowRollbackOperator(
            task_id="rollback",
            unless_promoted=watch.output,
            guardrails=guardrails,
            trigger_rule=TriggerRule.ALL_DONE,
            **changing,
        )
        clean_up = SageMakerShadowCleanupOperator(task_id="clean_up", trigger_rule=TriggerRule.NONE_FAILED, **common)
        # It has no lease, for it may end after the release. A failed step makes it upstream_failed, so a clean rollback
        # cannot turn a failed run green.
        conclude = SageMakerShadowConcludeOperator(
            task_id="conclude",
            decision=evaluate.output,
            baseline_config_name=_field(config, "baseline_config_name"),
            fail_unless_promoted=fail_unless_promoted,
            model_package=_package_of(candidate_container),
            update_model_package=update_model_package,
            asset=asset,
            trigger_rule=TriggerRule.NONE_FAILED,
            **common,
        )
        release = SageMakerShadowReleaseEndpointOperator(
            task_id="release_endpoint", trigger_rule=TriggerRule.ALL_DONE, **held
        )
        plan >> hold >> [production, candidate] >> config >> deploy >> in_service
        in_service >> autoscaling >> evidence >> evaluate >> promote
        promote >> watch >> rollback >> clean_up >> [conclude, release]
        [evaluate, promote, watch, rollback] >> conclude
    return ShadowDeployment(group=group, evaluate=evaluate, promote=promote, watch=watch, conclude=conclude)


def _package_of(container: Mapping[str, Any] | None) -> Any:
    """Return the model package of a container as a person gives it, in snake_case or PascalCase."""
    container = container or {}
    return container.get("model_package_name", container.get("ModelPackageName"))


def _field(task: Any, key: str) -> Any:
    """Return one field of a task's result; such a reference also makes the task an upstream."""
    return XComArg(task, key=key)
