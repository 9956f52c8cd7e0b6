"""The reference DAG, run by Airflow, to each of its ends. What serves at the end is asked of AWS, not of Airflow."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from typing import Any

from shadow_provider.demo.airflow_run import AirflowHome, DagRun
from shadow_provider.plan import tags
from tests.airflow.conftest import BAD, BROKEN, GOOD, GROUP, IMAGE, World
from tests.aws.conftest import poll

Run = Callable[[dict[str, Any]], tuple[DagRun, AirflowHome]]


def failed_log(run: DagRun) -> str:
    return run.log.read_text(errors="replace")[-6000:]


def promotions(home: AirflowHome, endpoint: str) -> list[Any]:
    """What the events of the endpoint's asset say."""
    database = home.environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].removeprefix("sqlite:///")
    query = "SELECT e.extra FROM asset_event e JOIN asset a ON a.id = e.asset_id WHERE a.uri = ?"
    with closing(sqlite3.connect(database)) as connection:
        return [json.loads(row[0]) for row in connection.execute(query, [f"x-sagemaker://endpoint/{endpoint}"])]


def record_of(world: World, uri: str) -> Any:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return json.loads(world.s3.get_object(Bucket=bucket, Key=key)["Body"].read())


def test_a_good_candidate_is_promoted(world: World, run_reference_dag: Run) -> None:
    endpoint = world.live_endpoint()
    callers = world.callers(endpoint).start()
    try:
        run, home = run_reference_dag({"endpoint_name": endpoint, "candidate_model_data_url": world.model_data(GOOD)})
    finally:
        callers.stop()
    assert run.state == "success", failed_log(run)
    assert run.tasks[GROUP + "rollback"] == "skipped"
    decision = home.xcom(run.run_id, GROUP + "evaluate")
    assert decision["verdict"] == "PROMOTE"
    assert decision["pairs"] >= 300
    config, model, shadows = world.serving(endpoint)
    assert (config.startswith(f"{endpoint}-promoted-"), model.startswith(f"{endpoint}-candidate-")) == (True, True)
    assert shadows == 0
    # The way back stays; what only served the comparison is gone.
    assert world.names("endpoint_configs", endpoint) == sorted([f"{endpoint}-config", config])
    assert callers.failures == []
    outcome = home.xcom(run.run_id, GROUP + "conclude")
    assert outcome["endpoint_config_before"] == f"{endpoint}-config"
    assert outcome["endpoint_config_after"] == config
    assert promotions(home, endpoint) == [
        {
            "verdict": "PROMOTE",
            "endpoint": endpoint,
            "model": model,
            "record_uri": decision["record_uri"],
            "report_uri": decision["report_uri"],
            "deployment_id": f"shadow_deployment/{run.run_id}",
        }
    ]
    arn = world.sagemaker.describe_endpoint_config(EndpointConfigName=config)["EndpointConfigArn"]
    made = tags.from_aws(world.sagemaker.list_tags(ResourceArn=arn)["Tags"])
    assert (made[tags.DAG], made[tags.RUN]) == ("shadow_deployment", run.run_id)
    record = record_of(world, decision["record_uri"])
    assert record["judgement"]["verdict"] == "PROMOTE"
    assert record["configs"] == {
        "baseline": f"{endpoint}-config",
        "shadow": config.replace("-promoted-", "-shadow-"),
        "promoted": config,
    }


def test_a_bad_candidate_is_rejected_and_rolled_back(world: World, run_reference_dag: Run) -> None:
    endpoint = world.live_endpoint()
    callers = world.callers(endpoint).start()
    try:
        run, home = run_reference_dag({"endpoint_name": endpoint, "candidate_model_data_url": world.model_data(BAD)})
    finally:
        callers.stop()
    assert run.state == "success", failed_log(run)
    assert run.tasks[GROUP + "promote"] == "skipped"
    assert home.xcom(run.run_id, GROUP + "evaluate")["verdict"] == "REJECT"
    assert run.tasks[GROUP + "conclude"] == "success"
    assert promotions(home, endpoint) == []
    assert world.serving(endpoint) == (f"{endpoint}-config", f"{endpoint}-model", 0)
    assert world.names("endpoint_configs", endpoint) == [f"{endpoint}-config"]
    assert world.names("models", endpoint) == [f"{endpoint}-model"]
    assert callers.failures == []


def test_a_broken_candidate_fails_the_run_and_leaves_the_incumbent_untouched(
    world: World, run_reference_dag: Run
) -> None:
    endpoint = world.live_endpoint()
    callers = world.callers(endpoint).start()
    try:
        run, _ = run_reference_dag({"endpoint_name": endpoint, "candidate_model_data_url": world.model_data(BROKEN)})
    finally:
        callers.stop()
    assert run.state == "failed"
    assert run.tasks[GROUP + "wait_in_service"] == "failed"
    # One try only: no retry can mend a candidate that does not start.
    log = run.log.read_text(errors="replace")
    assert log.count(f"starting task_id={GROUP}wait_in_service") == 1
    assert "SageMaker rolled the change back" in log
    assert "did not pass the ping health check" in log
    assert run.tasks[GROUP + "rollback"] == "success"
    assert run.tasks[GROUP + "conclude"] == "upstream_failed"
    assert world.serving(endpoint) == (f"{endpoint}-config", f"{endpoint}-model", 0)
    assert world.names("models", endpoint) == [f"{endpoint}-model"]
    assert callers.failures == []


def test_without_traffic_nothing_is_promoted(world: World, run_reference_dag: Run) -> None:
    endpoint = world.live_endpoint()
    run, home = run_reference_dag(
        {
            "endpoint_name": endpoint,
            "candidate_model_data_url": world.model_data(GOOD),
            "deadline_hours": 8 / 3600,
            "fail_unless_promoted": True,
        }
    )
    assert home.xcom(run.run_id, GROUP + "evaluate")["verdict"] in {"INCONCLUSIVE", "INVALID"}
    assert world.serving(endpoint) == (f"{endpoint}-config", f"{endpoint}-model", 0)
    # Rolled back cleanly, but the run was asked to fail unless the candidate was promoted.
    assert run.tasks[GROUP + "rollback"] == "success"
    assert run.state == "failed"


def test_a_new_endpoint_is_made_with_both_variants_and_promoted(world: World, run_reference_dag: Run) -> None:
    endpoint = world.unique("new")
    callers = world.callers(endpoint)

    def in_service() -> bool:
        listed = world.sagemaker.list_endpoints(NameContains=endpoint, StatusEquals="InService")["Endpoints"]
        return bool(listed)

    starter = threading.Thread(target=lambda: (poll(in_service, 60), callers.start()), daemon=True)
    starter.start()
    try:
        run, home = run_reference_dag(
            {
                "endpoint_name": endpoint,
                "candidate_model_data_url": world.model_data(GOOD),
                "production_image": IMAGE,
                "production_model_data_url": world.model_data(GOOD),
                "production_instance_type": "ml.m5.xlarge",
                "production_instance_count": 1,
            }
        )
    finally:
        starter.join(60)
        callers.stop()
    assert run.state == "success", failed_log(run)
    assert home.xcom(run.run_id, GROUP + "evaluate")["verdict"] == "PROMOTE"
    config, model, shadows = world.serving(endpoint)
    assert (config.split("-")[2], model.split("-")[2], shadows) == ("promoted", "candidate", 0)
    assert callers.failures == []


def test_a_guarded_promotion_is_green_and_leaves_no_alarm(world: World, run_reference_dag: Run) -> None:
    endpoint = world.live_endpoint()
    callers = world.callers(endpoint).start()
    try:
        run, home = run_reference_dag(
            {
                "endpoint_name": endpoint,
                "candidate_model_data_url": world.model_data(GOOD),
                "guardrail_strategy": "ALL_AT_ONCE",
                "guardrail_termination_wait_seconds": 3,
                "guardrail_alarms_from_policy": True,
                "smoke_test": "required",
            }
        )
    finally:
        callers.stop()
    assert run.state == "success", failed_log(run)
    assert run.tasks[GROUP + "rollback"] == "skipped"
    config, model, shadows = world.serving(endpoint)
    assert (config.split("-")[2], model.split("-")[2], shadows) == ("promoted", "candidate", 0)
    described = world.sagemaker.describe_endpoint(EndpointName=endpoint)
    guarded = described["LastDeploymentConfig"]
    assert guarded["BlueGreenUpdatePolicy"]["TerminationWaitInSeconds"] == 3
    assert [each["AlarmName"] for each in guarded["AutoRollbackConfiguration"]["Alarms"]] == [
        config.replace("-promoted-", "-guard-") + "-errors"
    ]
    alarms = world.aws.boto3_client("cloudwatch").describe_alarms(AlarmNamePrefix=endpoint)["MetricAlarms"]
    assert alarms == []
    watched = home.xcom(run.run_id, GROUP + "watch_promotion")
    assert (watched["promoted"], watched["smoke"]["sent"]) == (True, True)
    assert watched["watched_minutes"] > 0
    assert callers.failures == []
