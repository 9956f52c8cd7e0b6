"""Runs the pipeline in every way that needs other permissions: `python -m tests.iam FILE` writes down its AWS calls.

The processes of a run sign with their own names, so each call is its task's.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

HOME = tempfile.TemporaryDirectory(prefix="shadow-provider-iam-")
os.environ["AIRFLOW_HOME"] = HOME.name
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
os.environ["AWS_EC2_METADATA_DISABLED"] = "true"

from airflow.sdk import DAG, Param  # noqa: E402 - Airflow reads its home when imported

from shadow_provider.operators import evaluate  # noqa: E402
from shadow_provider.operators.orphans import SageMakerShadowOrphansOperator  # noqa: E402
from shadow_provider.plan.deployment import Deployment  # noqa: E402
from shadow_provider.plan.lease import KEPT_GENERATIONS, Lease, LeaseState  # noqa: E402
from shadow_provider.plan.tags import to_aws  # noqa: E402
from shadow_provider.task_group import shadow_deployment  # noqa: E402
from tests.chaos.cloud import Cloud, running_cloud  # noqa: E402
from tests.chaos.evidence import put_clock_ahead, put_evidence  # noqa: E402
from tests.chaos.runner import Runner  # noqa: E402
from tests.chaos.scenarios import BUCKET, ENDPOINT, IMAGE, ROLE, SCENARIOS, Scenario  # noqa: E402
from tests.chaos.warm import warm_up  # noqa: E402

RUN_ID = "manual__2026-01-01T00:00:00+00:00"
GROUP = "digits"
_SCALING: dict[str, Any] = {"ServiceNamespace": "sagemaker", "ResourceId": f"endpoint/{ENDPOINT}/variant/AllTraffic",
                            "ScalableDimension": "sagemaker:variant:DesiredInstanceCount"}  # fmt: skip
_TRACKING = {
    "TargetValue": 100.0,
    "PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"},
}
_LARGER = "ml.m5.2xlarge"


def dag_of(scenario: Scenario, **more: Any) -> DAG:
    """The pipeline of a scenario; `more` replaces arguments."""
    conf = scenario.conf
    container = {"Image": IMAGE, "ModelDataUrl": conf["candidate"]}
    arguments: dict[str, Any] = {
        "endpoint_name": ENDPOINT,
        "candidate_container": container,
        "execution_role_arn": ROLE,
        "data_capture": {"DestinationS3Uri": conf["captures"]},
        "guardrails": scenario.guardrails,
        "expected_account_id": "123456789012",
        "timeout": 60,
        "deferrable": True,
        "default_args": {"retries": 0, "retry_delay": timedelta(0)},
        **{name: conf[name] for name in ("policy", "deadline", "poll_interval", "look_interval", "capture_lag",
                                         "watch_minutes", "metric_lag")},
    }  # fmt: skip
    if scenario.new_endpoint:
        arguments["production_container"] = {"Image": IMAGE, "ModelDataUrl": conf["incumbent"]}
        arguments["production_variant"] = {"instance_type": "ml.m5.xlarge", "initial_instance_count": 1}
    with DAG(dag_id="iam", schedule=None, params={"conf": Param({}, type="object")}) as dag:
        shadow_deployment(**arguments | more)
    return dag


def run(
    cloud: Cloud, scenario: Scenario, log: Path, dag: DAG, before: Mapping[str, Callable[[], Any]] | None = None
) -> None:
    """One run, which must come to the scenario's end."""
    steps = {
        "evaluate": lambda: put_evidence(cloud, scenario),
        "promote": lambda: cloud.set_faults(scenario.while_promoting),
        **(before or {}),
    }
    runner = Runner(dag, RUN_ID, {}, cloud.connection_uri, log, before=steps)
    with cloud.caller(log):
        runner.run()
    if runner.state != scenario.state:
        raise RuntimeError(f"{scenario.name}: {runner.state}\n{log.read_text()[-6000:]}")


def plain(cloud: Cloud, scenario: Scenario, log: Path) -> None:
    """A scenario as it is."""
    cloud.prepare(scenario)
    run(cloud, scenario, log, dag_of(scenario))


def registered(cloud: Cloud, log: Path) -> None:
    """A version of the model registry for a production that scales by itself, promoted with the shadow's instances."""
    scenario = SCENARIOS["promote"]
    cloud.prepare(scenario)
    cloud.autoscaling.register_scalable_target(**_SCALING, MinCapacity=1, MaxCapacity=2)
    cloud.autoscaling.put_scaling_policy(
        **_SCALING,
        PolicyName="requests",
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration=_TRACKING,
    )
    cloud.autoscaling.put_scheduled_action(
        **_SCALING,
        ScheduledActionName="night",
        Schedule="cron(0 1 * * ? *)",
        ScalableTargetAction={"MinCapacity": 1, "MaxCapacity": 1},
    )
    cloud.sagemaker.create_model_package_group(ModelPackageGroupName=GROUP)
    container = {"Image": IMAGE, "ModelDataUrl": scenario.conf["candidate"]}
    version = cloud.sagemaker.create_model_package(
        ModelPackageGroupName=GROUP,
        InferenceSpecification={
            "Containers": [container],
            "SupportedContentTypes": ["text/csv"],
            "SupportedResponseMIMETypes": ["text/csv"],
        },
        ModelApprovalStatus="Approved",
    )["ModelPackageArn"]
    dag = dag_of(
        scenario,
        candidate_container={"model_package_name": version},
        shadow_variant={"instance_type": _LARGER},
        shadow_autoscaling={"min_capacity": 1, "max_capacity": 2, "invocations_per_instance": 1000},
        promote_infrastructure="shadow",
    )
    run(cloud, scenario, log, dag)


def put_leases(cloud: Cloud, count: int) -> None:
    """The leases of deployments that held the endpoint before, and released it."""
    for generation in range(1, count + 1):
        began = datetime.now(tz=UTC) - timedelta(days=1)
        lease = Lease(
            endpoint=ENDPOINT,
            owner=f"before-{generation}",
            generation=generation,
            state=LeaseState.RELEASED,
            acquired=began,
            renewed=began,
            expires=began,
        )
        key = f"captures/shadow-leases/{ENDPOINT}/{generation:08}.json"
        cloud.s3.put_object(Bucket=BUCKET, Key=key, Body=lease.model_dump_json().encode())


def many_looks(cloud: Cloud, log: Path) -> None:
    """So many looks, and deployments before, that what the first ones left is removed."""
    scenario = replace(SCENARIOS["inconclusive"], deadline=16.0)
    cloud.prepare(scenario)
    put_leases(cloud, KEPT_GENERATIONS + 2)
    ahead, evaluate.now = evaluate.now, lambda: datetime.now(tz=UTC)
    try:
        run(cloud, scenario, log, dag_of(scenario))
    finally:
        evaluate.now = ahead


def orphans(cloud: Cloud, log: Path) -> None:
    """What a dead deployment left is found and removed."""
    cloud.prepare(SCENARIOS["promote"])
    put_leases(cloud, 1)
    dead = Deployment(endpoint_name=ENDPOINT, deployment_id="dead")
    container = {"Image": IMAGE, "ModelDataUrl": SCENARIOS["promote"].conf["candidate"]}
    cloud.sagemaker.create_model(
        ModelName=dead.names.candidate_model,
        ExecutionRoleArn=ROLE,
        Containers=[container],
        Tags=to_aws(dead.tags("candidate", container)),
    )
    variant = {"VariantName": "AllTraffic", "ModelName": "theirs", "InstanceType": _LARGER, "InitialInstanceCount": 1}
    cloud.sagemaker.create_endpoint_config(
        EndpointConfigName=dead.names.promoted_config,
        ProductionVariants=[variant],
        Tags=to_aws(dead.tags("promoted", variant)),
    )
    alarm = {
        "AlarmName": f"{dead.names.alarms}errors",
        "MetricName": "Errors",
        "Namespace": "Test",
        "Period": 60,
        "EvaluationPeriods": 1,
        "Statistic": "Sum",
        "Threshold": 1.0,
        "ComparisonOperator": "GreaterThanThreshold",
    }
    cloud.cloudwatch.put_metric_alarm(**alarm, Tags=to_aws(dead.tags("guard", alarm)))
    with DAG(dag_id="orphans", schedule=None) as dag:
        SageMakerShadowOrphansOperator(
            task_id="find_orphans", older_than=0.001, remove=True, lease_s3_uri=f"s3://{BUCKET}/captures"
        )
    runner = Runner(dag, RUN_ID, {}, cloud.connection_uri, log)
    if runner.run() != "success" or not runner.result("find_orphans")["removed"]:
        raise RuntimeError(f"orphans: {runner.state}, {runner.result('find_orphans')}\n{log.read_text()[-6000:]}")


def main(target: Path) -> None:
    """Run all, and write the calls by the name of the run."""
    warm_up()
    put_clock_ahead()
    ways: dict[str, Callable[[Cloud, Path], None]] = {
        name: lambda cloud, log, name=name: plain(cloud, SCENARIOS[name], log)  # type: ignore[misc]
        for name in ("guarded", "reject", "new", "broken")
    }
    ways |= {"registered": registered, "many_looks": many_looks, "orphans": orphans}
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder, running_cloud() as cloud:
        for name, way in ways.items():
            log = Path(folder) / f"{name}.log"
            log.touch()
            way(cloud, log)
            found[name] = [call.model_dump(mode="json") for call in cloud.calls("task.", "trigger.")]
    target.write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
