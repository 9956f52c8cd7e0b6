"""A whole run, searched for what nobody may read: in its logs, in Airflow's database, in records and reports."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from shadow_provider.demo.airflow_run import AirflowHome
from tests.airflow.conftest import BUCKET, GROUP, IMAGE, POLICY, ROLE, World

DAGS = Path(__file__).parent / "dags"
# What the model is given, what the connection holds, and what stands in the answers that are captured.
OF_THE_MODEL = "canary-of-the-model"
OF_THE_CONNECTION = "canary-of-the-connection"
KEY = "canaryofthekey"
OF_THE_ANSWERS = "5555444433332222"

SAYS_A_CARD = f"""
def model_fn(model_dir): return None
def transform_fn(model, body, content_type, accept):
    return "card {OF_THE_ANSWERS} " + str(int(body) % 10), "text/csv"
"""
# It starts only with what is hidden from all others.
SAYS_OTHERWISE = SAYS_A_CARD.replace("str(int(body) % 10)", '"?"').replace(
    "return None", f'import os; assert os.environ["SETTING"] == "{OF_THE_MODEL}"'
)


def database(home: AirflowHome) -> bytes:
    """All of Airflow's database, with what has not been folded into its file yet."""
    return b"".join(path.read_bytes() for path in sorted(home.directory.glob("airflow.db*")))


def documents(world: World, prefix: str) -> Iterator[tuple[str, bytes]]:
    """Every object that the deployment wrote, but SageMaker's captures: those are the payload."""
    pages = world.s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
    for page in pages:
        for item in page.get("Contents", []):
            yield item["Key"], world.s3.get_object(Bucket=BUCKET, Key=item["Key"])["Body"].read()


def test_no_secret_is_found_anywhere_after_a_run(world: World) -> None:
    endpoint = world.live_endpoint(SAYS_A_CARD)
    extra = json.dumps({"note": OF_THE_CONNECTION, "endpoint_url": world.aws.endpoint_url, "region_name": "us-east-1"})
    connection = f"aws://{KEY[:6]}:{KEY}@/?__extra__={quote(extra)}"
    home = world.home(DAGS, AIRFLOW_CONN_AWS_DEFAULT=connection, AIRFLOW_VAR_SHADOW_TEST_SETTING=OF_THE_MODEL,
                      SHADOW_TEST_DEFERRABLE="1")  # fmt: skip
    policy = POLICY | {"examples": {"show": "answers", "mask": [r"\d{16}"]}}
    conf = {
        "endpoint_name": endpoint,
        "image": IMAGE,
        "candidate": world.model_data(SAYS_OTHERWISE),
        "role": ROLE,
        "captures": f"s3://{BUCKET}/secret",
        "policy": policy,
        "deadline": 60,
        "poll_interval": 1,
        "capture_lag": 1,
    }
    before = database(home)
    callers = world.callers(endpoint).start()
    try:
        run = home.run(DAGS / "pipelines.py", {"conf": conf}, lambda *_: None)
    finally:
        callers.stop()
        home.environment["AIRFLOW_CONN_AWS_DEFAULT"] = world.aws.connection_uri
    log = run.log.read_text(errors="replace")
    assert run.state == "success", log[-6000:]
    decision = home.xcom(run.run_id, GROUP + "evaluate")
    assert decision["verdict"] == "REJECT"

    places = {"the log": log.encode(), "the database": database(home)}
    assert endpoint.encode() in places["the database"], "it is the database of this run"
    assert endpoint.encode() not in before
    places |= dict(documents(world, "secret/shadow-decisions/"))
    record = next(body for key, body in places.items() if key.endswith(".json") and b'"judgement"' in body)
    shown = json.loads(record)["evidence"]["examples"]
    assert "card ***" in json.dumps(shown), "answers are shown, and masked"
    assert any(key.endswith(".html") for key in places)
    for where, text in places.items():
        for secret in (OF_THE_MODEL, OF_THE_CONNECTION, KEY, OF_THE_ANSWERS):
            # What a look keeps between looks is not for eyes, but it is for AWS's: there, answers are no secret.
            if secret == OF_THE_ANSWERS and "-looks/" in where:
                continue
            assert secret.encode() not in text, f"{secret} in {where}"
            assert base64.b64encode(secret.encode()) not in text, f"{secret} in {where}, in base64"
