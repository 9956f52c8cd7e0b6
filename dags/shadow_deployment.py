"""The reference pipeline: a candidate as shadow beside production, evidence, a verdict, then promotion or rollback.

Start it from the UI (every Param has a form field), by ``airflow dags trigger shadow_deployment --conf '{…}'``, or by
schedule: copy this file, give the Params your defaults and set a schedule (or set SHADOW_DEPLOYMENT_SCHEDULE).
SHADOW_DEPLOYMENT_DEFAULTS, a JSON object in the environment of all Airflow processes, replaces defaults by Param name.
"""

from __future__ import annotations

import json
import os
from typing import Any

from airflow.providers.common.compat.sdk import ParamValidationError
from airflow.sdk import DAG, Param

from shadow_provider.task_group import shadow_deployment

NAME_PATTERN = "^[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}$"
S3_PATTERN = "^s3://[^/]+(/.*)?$"


def text(default: str | None, description: str, section: str, *, title: str, pattern: str | None = None) -> Param:
    """Make a Param of one line of text; without a default it may stay empty."""
    schema: dict[str, Any] = {"pattern": pattern} if pattern else {}
    kind = "string" if default is not None else ["null", "string"]
    return Param(default, description, type=kind, title=title, section=section, **schema)


def number(
    default: float | None, description: str, section: str, *, title: str, kind: str = "integer", **limits: Any
) -> Param:
    """Make a Param of a number; without a default it may stay empty."""
    return Param(
        default,
        description,
        type=kind if default is not None else ["null", kind],
        title=title,
        section=section,
        **limits,
    )


ENDPOINT, CANDIDATE, SHADOW = "1. Endpoint", "2. Candidate", "3. Shadow"
EVIDENCE, NEW, PROMOTION, RUN = "4. Evidence and verdict", "5. Only for a new endpoint", "6. Promotion", "7. Run"

PARAMS = {
    "endpoint_name": text(
        "digits",
        "The endpoint to give the candidate to. A live one keeps serving as it is; a new one needs section 5.",
        ENDPOINT,
        title="Endpoint",
        pattern=NAME_PATTERN,
    ),
    "aws_conn_id": text("aws_default", "Airflow connection to AWS.", ENDPOINT, title="AWS connection"),
    "region_name": text(None, "Empty: the connection's region.", ENDPOINT, title="Region"),
    "expected_account_id": text(
        None, "Fail before anything is done unless the connection leads to this AWS account. Empty: any.", ENDPOINT,
        title="Expected account", pattern="^\\d{12}$",
    ),
    "expected_region": text(None, "The same for the region. Empty: any.", ENDPOINT, title="Expected region"),
    "when_held": Param(
        "wait",
        "What to do while another deployment has the endpoint.",
        type="string",
        enum=["wait", "fail"],
        title="When the endpoint is held",
        section=ENDPOINT,
    ),
    "hold_timeout_hours": number(
        24.0, "How long to wait for it.", ENDPOINT, title="Wait for the endpoint (hours)", kind="number",
        exclusiveMinimum=0,
    ),
    "lease_s3_uri": text(
        None,
        "Where the lease lies that keeps two deployments apart; the same for every DAG that deploys to this endpoint. "
        "Empty: beside the endpoint's own captures.",
        ENDPOINT,
        title="Lease",
        pattern=S3_PATTERN,
    ),
    "candidate_image": text(
        None, "Registry path of the candidate's serving image.", CANDIDATE, title="Image"
    ),
    "candidate_model_data_url": text(
        None, "The candidate's model.tar.gz.", CANDIDATE, title="Model data", pattern=S3_PATTERN
    ),
    "candidate_environment": Param(
        None,
        "Environment of the candidate's container. No secrets: whoever may describe the model sees them.",
        type=["null", "object"],
        title="Environment",
        section=CANDIDATE,
    ),
    "candidate_model_package": text(
        None, "A version of the model registry (name or ARN), instead of image and data.", CANDIDATE,
        title="Model package",
    ),
    "update_model_package": Param(
        True,
        "Let the model package's approval status follow the verdict: approved on promotion, rejected on rejection, "
        "with reason and record. Without a model package it means nothing.",
        type="boolean",
        title="Update model package",
        section=RUN,
    ),
    "candidate_model_name": text(
        None, "An existing SageMaker model, instead of all of the above.", CANDIDATE, title="Existing model"
    ),
    "execution_role_arn": text(
        None, "The role that SageMaker assumes for models made here.", CANDIDATE, title="Execution role"
    ),
    "sampling_percentage": number(
        100.0, "Share of the live requests that SageMaker copies to the candidate.", SHADOW,
        title="Mirrored share (%)", kind="number", exclusiveMinimum=0, maximum=100,
    ),
    "shadow_instance_type": text(None, "Empty: as production.", SHADOW, title="Instance type"),
    "shadow_instance_count": number(None, "Empty: as production has now.", SHADOW, title="Instances", minimum=1),
    "shadow_min_capacity": number(
        None, "With the next two, the shadow scales by itself. Empty: it keeps its instances.", SHADOW,
        title="Autoscaling: instances at least", minimum=1,
    ),
    "shadow_max_capacity": number(None, "See above.", SHADOW, title="Autoscaling: instances at most", minimum=1),
    "shadow_invocations_per_instance": number(
        None, "Requests per minute and instance that autoscaling holds.", SHADOW,
        title="Autoscaling: requests per instance", kind="number", exclusiveMinimum=0,
    ),
    "promote_infrastructure": Param(
        "production",
        "Whose instance type, count, timeouts and the like serve after a promotion: production's as they are, or the "
        "shadow's, if it was tested with all requests (mirrored share 100).",
        type="string",
        enum=["production", "shadow"],
        title="Promote on the instances of",
        section=SHADOW,
    ),
    "capture_s3_uri": text(
        None,
        "Where requests and answers of both variants are captured, all of them. Empty: as the endpoint captures now.",
        SHADOW,
        title="Capture to",
        pattern=S3_PATTERN,
    ),
    "policy": Param(
        None,
        "What the candidate must prove: the name of a ready-made policy (balanced, conservative, latency_only, "
        "classification, regression, llm_text), or JSON with gates, margins, minimum_pairs, alpha. Empty: balanced.",
        type=["null", "object", "string"],
        title="Policy",
        section=EVIDENCE,
    ),
    "minimum_duration_minutes": number(
        0, "How long the shadow runs at least, so that the traffic is representative.", EVIDENCE,
        title="Minimum duration (minutes)", kind="number", minimum=0,
    ),
    "deadline_hours": number(
        None, "Until when evidence is waited for. What is not proven by then is INCONCLUSIVE and is rolled back. "
        "Empty: as the policy says.", EVIDENCE, title="Deadline (hours)", kind="number", exclusiveMinimum=0,
    ),
    "look_interval_seconds": number(
        None, "Seconds between two looks at the evidence. Empty: as the policy says.", EVIDENCE,
        title="Look interval (seconds)", kind="number", exclusiveMinimum=0,
    ),
    "ground_truth_s3_uri": text(
        None, "True labels as Model Monitor has them, if there are any.", EVIDENCE, title="Ground truth",
        pattern=S3_PATTERN,
    ),
    "production_guard": Param(
        "on",
        "Give the deployment up and roll back when production itself is surely worse since the shadow was added: on, "
        'off, or JSON such as {"error_rate_margin": 0.005, "latency_margin": 0.2, "percentile": "p90"}.',
        type=["null", "object", "string"],
        title="Production guard",
        section=EVIDENCE,
    ),
    "record_s3_uri": text(
        None, "Where decision records go. Empty: beside the captures.", EVIDENCE, title="Decision records",
        pattern=S3_PATTERN,
    ),
    "production_image": text(None, "Registry path of production's serving image.", NEW, title="Image"),
    "production_model_data_url": text(
        None, "Production's model.tar.gz.", NEW, title="Model data", pattern=S3_PATTERN
    ),
    "production_model_name": text(None, "An existing SageMaker model instead.", NEW, title="Existing model"),
    "production_instance_type": text(None, "For example ml.m5.xlarge.", NEW, title="Instance type"),
    "production_instance_count": number(None, "At least 1.", NEW, title="Instances", minimum=1),
    "guardrail_strategy": Param(
        None,
        "How traffic moves to the candidate: at once, a canary first, in equal steps, batch by batch, or as in the "
        "endpoint's last update before. Empty: at once and without any alarm.",
        type=["null", "string"],
        enum=[None, "ALL_AT_ONCE", "CANARY", "LINEAR", "ROLLING", "AS_BEFORE"],
        title="Guardrails",
        section=PROMOTION,
    ),
    "guardrail_step_percent": number(
        None, "Size of the canary, of a linear step or of a rolling batch, in percent of production's instances.",
        PROMOTION, title="Step (%)", minimum=1, maximum=50,
    ),
    "guardrail_wait_interval_seconds": number(
        None, "How long each step bakes under the alarms.", PROMOTION, title="Step bakes (seconds)", minimum=0,
        maximum=3600,
    ),
    "guardrail_termination_wait_seconds": number(
        None, "How long the new fleet bakes with all the traffic, with the old one still there. Not for ROLLING.",
        PROMOTION, title="All bakes (seconds)", minimum=0, maximum=3600,
    ),
    "guardrail_maximum_execution_seconds": number(
        None, "After so long SageMaker rolls back. Must exceed the waits together.", PROMOTION,
        title="Longest (seconds)", minimum=600, maximum=28800,
    ),
    "guardrail_alarm_names": Param(
        None,
        "Existing CloudWatch alarms: one that goes off while a step bakes rolls the promotion back.",
        type=["null", "array"],
        items={"type": "string"},
        title="Alarms",
        section=PROMOTION,
    ),
    "guardrail_alarms_from_policy": Param(
        None,
        "Make alarms on the new fleet from the policy's margins on errors and latency, and remove them after.",
        type=["null", "boolean"],
        title="Alarms from the policy",
        section=PROMOTION,
    ),
    "smoke_test": Param(
        "if_captured",
        "Send a captured request of production's to the new production: if there is one, in any case, or not at all.",
        type="string",
        enum=["if_captured", "required", "off"],
        title="Smoke request",
        section=PROMOTION,
    ),
    "watch_minutes": number(
        5.0, "How long the new production is watched against the policy's margins; 0 for not at all.", PROMOTION,
        title="Watch (minutes)", kind="number", minimum=0, maximum=1440,
    ),
    "metric_lag_seconds": number(
        180.0, "Seconds that CloudWatch's datapoints may take to arrive.", RUN, title="Metric lag (seconds)",
        kind="number", exclusiveMinimum=0,
    ),
    "poll_interval_seconds": number(
        30.0, "Seconds between two questions to AWS while something is waited for.", RUN,
        title="Poll interval (seconds)", kind="number", exclusiveMinimum=0,
    ),
    "capture_lag_seconds": number(
        300.0, "Seconds that captures may take to arrive in S3; younger evidence waits for the next look.", RUN,
        title="Capture lag (seconds)", kind="number", exclusiveMinimum=0,
    ),
    "out_of_reach": Param(
        "warn",
        "What to do where the deadline cannot reach a deciding gate at production's present traffic: warn in the log, "
        "or refuse to begin.",
        type="string",
        enum=["warn", "refuse"],
        title="Out of reach",
        section=EVIDENCE,
    ),
    "fail_unless_promoted": Param(
        False,
        "Fail the run when the candidate was not promoted, although it was rolled back cleanly.",
        type="boolean",
        title="Fail unless promoted",
        section=RUN,
    ),
}  # fmt: skip


def replace_defaults(params: dict[str, Param], text: str) -> None:
    """Give Params the defaults of a JSON object, e.g. ``{"endpoint_name": "digits", "deadline_hours": 24}``."""
    where = "SHADOW_DEPLOYMENT_DEFAULTS"
    try:
        defaults = json.loads(text)
    except ValueError as error:
        raise ValueError(f"{where} is not JSON: {error}") from error
    if not isinstance(defaults, dict):
        raise ValueError(f"{where} must be a JSON object of Param names and values, not {text}")
    if unknown := sorted(set(defaults) - set(params)):
        raise ValueError(f"{where}: there is no Param {', '.join(unknown)}")
    for name, value in defaults.items():
        try:
            params[name].resolve(value)
        except ParamValidationError as error:
            raise ValueError(f"{where}: {name}: {error}") from error


replace_defaults(PARAMS, os.environ.get("SHADOW_DEPLOYMENT_DEFAULTS") or "{}")

with DAG(
    dag_id="shadow_deployment",
    schedule=os.environ.get("SHADOW_DEPLOYMENT_SCHEDULE") or None,
    catchup=False,
    max_active_runs=1,
    params=PARAMS,
    tags=["sagemaker", "shadow"],
    doc_md=__doc__,
) as dag:

    def param(name: str) -> Any:
        """Refer to a Param, with its type kept: unlike a template, a number stays a number and nothing stays nothing.

        Airflow 3.1.0 cannot serialise such a reference without a default, so it gets the Param's own.
        """
        return dag.param(name, PARAMS[name].value)

    shadow_deployment(
        endpoint_name=param("endpoint_name"),
        aws_conn_id=param("aws_conn_id"),
        region_name=param("region_name"),
        candidate_container={
            "image": param("candidate_image"),
            "model_data_url": param("candidate_model_data_url"),
            "environment": param("candidate_environment"),
            "model_package_name": param("candidate_model_package"),
        },
        candidate_model_name=param("candidate_model_name"),
        execution_role_arn=param("execution_role_arn"),
        production_container={
            "image": param("production_image"),
            "model_data_url": param("production_model_data_url"),
        },
        production_model_name=param("production_model_name"),
        production_variant={
            "instance_type": param("production_instance_type"),
            "initial_instance_count": param("production_instance_count"),
        },
        shadow_variant={
            "instance_type": param("shadow_instance_type"),
            "initial_instance_count": param("shadow_instance_count"),
        },
        sampling_percentage=param("sampling_percentage"),
        shadow_autoscaling={
            "min_capacity": param("shadow_min_capacity"),
            "max_capacity": param("shadow_max_capacity"),
            "invocations_per_instance": param("shadow_invocations_per_instance"),
        },
        promote_infrastructure=param("promote_infrastructure"),
        guardrails={
            "strategy": param("guardrail_strategy"),
            "step_percent": param("guardrail_step_percent"),
            "wait_interval_seconds": param("guardrail_wait_interval_seconds"),
            "termination_wait_seconds": param("guardrail_termination_wait_seconds"),
            "maximum_execution_seconds": param("guardrail_maximum_execution_seconds"),
            "alarm_names": param("guardrail_alarm_names"),
            "alarms_from_policy": param("guardrail_alarms_from_policy"),
        },
        smoke_test=param("smoke_test"),
        watch_minutes=param("watch_minutes"),
        metric_lag=param("metric_lag_seconds"),
        data_capture={"destination_s3_uri": param("capture_s3_uri")},
        policy=param("policy"),
        minimum_duration="{{ params.minimum_duration_minutes * 60 }}",
        deadline="{{ params.deadline_hours * 3600 if params.deadline_hours else None }}",
        ground_truth_s3_uri=param("ground_truth_s3_uri"),
        record_s3_uri=param("record_s3_uri"),
        production_guard=param("production_guard"),
        out_of_reach=param("out_of_reach"),
        lease_s3_uri=param("lease_s3_uri"),
        when_held=param("when_held"),
        hold_timeout="{{ params.hold_timeout_hours * 3600 }}",
        expected_account_id=param("expected_account_id"),
        expected_region=param("expected_region"),
        fail_unless_promoted=param("fail_unless_promoted"),
        update_model_package=param("update_model_package"),
        asset="x-sagemaker://endpoint/{{ params.endpoint_name }}",
        poll_interval=param("poll_interval_seconds"),
        look_interval=param("look_interval_seconds"),
        capture_lag=param("capture_lag_seconds"),
        deferrable=True,
    )

if __name__ == "__main__":
    dag.test()
