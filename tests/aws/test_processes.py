"""However the server ends, no model process outlives it; and what moto serves, it serves through our front."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from shadow_provider.local import LocalAWS, LocalSettings, model_archive
from tests.deployment_policies import blue_green, percent

CALLER = """
import sys, time
from shadow_provider.local import LocalAWS, LocalSettings

aws = LocalAWS(LocalSettings())
aws.start()
print(aws.pid, flush=True)
time.sleep(600)
"""

COMMAND = """
import sys
from pathlib import Path
from shadow_provider.local import LocalSettings, serve

serve(LocalSettings(), Path(sys.argv[1]), lambda address: print(address.endpoint_url, flush=True))
print("ended in order", flush=True)
"""

# A model that starts a process, which starts another; both tell their number and neither ends by itself.
ANCESTOR = """
import subprocess, sys

CHILD = (
    "import subprocess, sys, time; "
    "child = subprocess.Popen([sys.executable, '-S', '-c', 'import time; time.sleep(600)'], stdin=subprocess.DEVNULL); "
    "print(child.pid, flush=True); time.sleep(600)"
)

def model_fn(model_dir):
    child = subprocess.Popen([sys.executable, "-S", "-c", CHILD], stdout=subprocess.PIPE, text=True)
    return child.pid, int(child.stdout.readline())

def predict_fn(data, model):
    return list(model)
"""

HOLDER = """
import sys, time
from shadow_provider.local.temporary import owned_directory

with owned_directory() as path:
    print(path, flush=True)
    time.sleep(600)
"""


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


class Running:
    """A server that was started otherwise."""

    def __init__(self, url: str) -> None:
        self.url = url

    def boto3_client(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="local",
            aws_secret_access_key="local",
        )

    def status(self) -> Any:
        return json.load(urllib.request.urlopen(f"{self.url}/_local/status"))


def start_endpoint(running: LocalAWS | Running, archive: bytes, wait_until: Any) -> list[int]:
    s3, sagemaker = running.boto3_client("s3"), running.boto3_client("sagemaker")
    s3.create_bucket(Bucket="bucket")
    s3.put_object(Bucket="bucket", Key="model.tar.gz", Body=archive)
    role = "arn:aws:iam::123456789012:role/r"
    container = {"Image": "i", "ModelDataUrl": "s3://bucket/model.tar.gz"}
    sagemaker.create_model(ModelName="m", ExecutionRoleArn=role, PrimaryContainer=container)
    common = {"ModelName": "m", "InstanceType": "ml.m5.large", "InitialInstanceCount": 2}
    sagemaker.create_endpoint_config(
        EndpointConfigName="c",
        ProductionVariants=[{"VariantName": "p", **common}],
        ShadowProductionVariants=[{"VariantName": "s", **common}],
    )
    sagemaker.create_endpoint(EndpointName="e", EndpointConfigName="c")
    wait_until(lambda: sagemaker.describe_endpoint(EndpointName="e")["EndpointStatus"] == "InService")
    (endpoint,) = running.status()["endpoints"]
    pids = [pid for variant in endpoint["variants"] for pid in variant["pids"]]
    assert len(pids) == 4
    assert all(alive(pid) for pid in pids)
    return pids


@pytest.fixture
def archive(cloud: Any) -> bytes:
    name = cloud.model()
    content: bytes = cloud.s3.get_object(Bucket=cloud.bucket, Key=f"models/{name}/model.tar.gz")["Body"].read()
    return content


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_no_process_outlives_the_server(number: signal.Signals, archive: bytes, wait_until: Any) -> None:
    with LocalAWS(LocalSettings()) as running:
        server = running.pid
        pids = start_endpoint(running, archive, wait_until)
        os.kill(server, number)
        wait_until(lambda: not any(alive(pid) for pid in [server, *pids]), 10)


def test_no_process_of_an_update_outlives_the_server(archive: bytes, wait_until: Any) -> None:
    with LocalAWS(LocalSettings(guardrails_with_shadow="supported")) as running:
        old = start_endpoint(running, archive, wait_until)
        sagemaker = running.boto3_client("sagemaker")
        policy = blue_green("CANARY", 3600, CanarySize=percent(50))
        sagemaker.update_endpoint(EndpointName="e", EndpointConfigName="c", DeploymentConfig=policy)

        def baking() -> bool:
            described = sagemaker.describe_endpoint(EndpointName="e")
            variant = described["PendingDeploymentSummary"]["ProductionVariants"][0]
            return bool(variant["VariantStatus"][0]["Status"] == "Baking")

        wait_until(baking)
        rows = subprocess.run(["ps", "-A", "-o", "ppid=,pid="], capture_output=True, text=True).stdout.splitlines()
        pids = [int(row.split()[1]) for row in rows if row.split()[0] == str(running.pid)]
        assert len(set(pids) - set(old)) >= 4  # two fleets
        os.kill(running.pid, signal.SIGTERM)
        wait_until(lambda: not any(alive(pid) for pid in pids), 10)


def test_no_server_outlives_its_caller(wait_until: Any) -> None:
    caller = subprocess.Popen([sys.executable, "-c", CALLER], stdout=subprocess.PIPE)
    assert caller.stdout is not None
    server = int(caller.stdout.readline())
    assert alive(server)
    caller.kill()
    caller.wait()
    caller.stdout.close()
    wait_until(lambda: not alive(server), 10)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_what_a_model_started_ends_with_the_server_too(number: signal.Signals, wait_until: Any, tmp_path: Path) -> None:
    command = subprocess.Popen(
        [sys.executable, "-c", COMMAND, str(tmp_path / "ready.json")],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    assert command.stdout is not None
    url = command.stdout.readline().strip()
    running = Running(url)
    pids = start_endpoint(running, model_archive(ANCESTOR), wait_until)
    answer = running.boto3_client("sagemaker-runtime").invoke_endpoint(
        EndpointName="e", Body=b"[]", ContentType="application/json"
    )
    descendants = json.load(answer["Body"])
    assert len(descendants) == 2
    assert all(alive(pid) for pid in descendants)
    assert list(tmp_path.glob("local-aws-*"))
    os.kill(command.pid, number)
    command.wait(10)
    command.stdout.close()
    wait_until(lambda: not any(alive(pid) for pid in [*pids, *descendants]), 10)
    wait_until(lambda: not list(tmp_path.glob("local-aws-*")), 10)


def test_what_a_model_started_ends_when_the_model_does(local_aws: LocalAWS, cloud: Any, wait_until: Any) -> None:
    endpoint = cloud.endpoint(cloud.config([cloud.variant("v", cloud.model(ANCESTOR))]))
    descendants = json.load(cloud.invoke(endpoint, b"[]", ContentType="application/json")["Body"])
    (found,) = [each for each in local_aws.status()["endpoints"] if each["name"] == endpoint]
    os.kill(found["variants"][0]["pids"][0], signal.SIGKILL)
    wait_until(lambda: not any(alive(pid) for pid in descendants), 10)


def test_a_directory_whose_owner_was_killed_is_removed_by_the_next(wait_until: Any, tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}

    def start() -> tuple[subprocess.Popen[str], Path]:
        holder = subprocess.Popen([sys.executable, "-c", HOLDER], stdout=subprocess.PIPE, text=True, env=environment)
        assert holder.stdout is not None
        path = Path(holder.stdout.readline().strip())
        holder.stdout.close()
        return holder, path

    killed, abandoned = start()
    held, kept = start()
    unlocked = tmp_path / "local-aws-of-another-kind"
    unlocked.mkdir()
    assert abandoned.is_dir()
    killed.kill()
    killed.wait()
    last, _ = start()
    assert not abandoned.exists()
    assert kept.is_dir(), "its owner is alive"
    assert unlocked.is_dir(), "it is not known to be ours"
    for holder in (held, last):
        holder.kill()
        holder.wait()


def test_serve_as_the_command_uses_it(tmp_path: Path, wait_until: Any) -> None:
    ready = tmp_path / "ready.json"
    command = subprocess.Popen([sys.executable, "-c", COMMAND, str(ready)], stdout=subprocess.PIPE, text=True)
    assert command.stdout is not None
    url = command.stdout.readline().strip()
    wait_until(ready.exists)
    told = json.loads(ready.read_text())
    assert (told["endpoint_url"], told["pid"]) == (url, command.pid)
    assert told["connection_uri"].startswith("aws://")
    assert json.load(urllib.request.urlopen(f"{url}/_local/health")) == {"status": "ok"}
    assert url.startswith("http://127.0.0.1:")
    command.send_signal(signal.SIGTERM)
    rest, _ = command.communicate(timeout=10)
    assert rest == "ended in order\n"
    assert command.returncode == 0


def test_several_run_at_once_and_share_nothing() -> None:
    with LocalAWS() as one, LocalAWS(LocalSettings(region="eu-west-1", account_id="999999999999")) as other:
        one.boto3_client("s3").create_bucket(Bucket="only-here")
        assert other.boto3_client("s3").list_buckets()["Buckets"] == []
        assert other.boto3_client("sts").get_caller_identity()["Account"] == "999999999999"
        with pytest.raises(ClientError, match="arn:aws:sagemaker:eu-west-1:999999999999:endpoint/e"):
            other.boto3_client("sagemaker").describe_endpoint(EndpointName="e")


def test_a_server_that_cannot_start_says_why(local_aws: LocalAWS) -> None:
    port = int(local_aws.endpoint_url.rpartition(":")[2])
    with pytest.raises(RuntimeError, match=r"[Aa]ddress already in use"):
        LocalAWS(LocalSettings(port=port)).start()


def test_a_model_that_never_answers_fails_in_time(cloud: Any, wait_until: Any) -> None:
    name = cloud.model("import time\ndef model_fn(d): time.sleep(600)\ndef predict_fn(d, m): return d")
    archive = cloud.s3.get_object(Bucket=cloud.bucket, Key=f"models/{name}/model.tar.gz")["Body"].read()
    with LocalAWS(LocalSettings(startup_timeout=0.7, provisioning_seconds=0.3)) as running:
        started = time.monotonic()
        with pytest.raises(AssertionError, match="not within"):
            start_endpoint(running, archive, lambda condition: wait_until(condition, 0.9))
        described = wait_until(
            lambda: (
                (found := running.boto3_client("sagemaker").describe_endpoint(EndpointName="e"))["EndpointStatus"]
                == "Failed"
                and found
            )
        )
        assert time.monotonic() - started > 1.0
        assert "did not pass the ping health check" in described["FailureReason"]
        (endpoint,) = running.status()["endpoints"]
        assert endpoint["variants"] == []


@pytest.mark.parametrize("key", ["a%2Fb", "question?mark=1", "semi;colon", "ünï/cødé", "./dot", "sp ace+plus", "a//b"])
def test_odd_keys_reach_s3_unchanged(cloud: Any, key: str) -> None:
    body = key.encode() * 3
    cloud.s3.put_object(Bucket=cloud.bucket, Key=f"odd/{key}", Body=body)
    assert cloud.s3.get_object(Bucket=cloud.bucket, Key=f"odd/{key}")["Body"].read() == body
    listed = cloud.s3.list_objects_v2(Bucket=cloud.bucket, Prefix="odd/")["Contents"]
    assert f"odd/{key}" in [item["Key"] for item in listed]


def test_metadata_keeps_its_spelling(cloud: Any) -> None:
    metadata = {"a_b": "1", "c-d": "2"}
    cloud.s3.put_object(Bucket=cloud.bucket, Key="meta", Body=b"", Metadata=metadata)
    assert cloud.s3.head_object(Bucket=cloud.bucket, Key="meta")["Metadata"] == metadata


def test_if_none_match_makes_a_lease(cloud: Any) -> None:
    cloud.s3.put_object(Bucket=cloud.bucket, Key="lease", Body=b"mine", IfNoneMatch="*")
    with pytest.raises(ClientError) as caught:
        cloud.s3.put_object(Bucket=cloud.bucket, Key="lease", Body=b"theirs", IfNoneMatch="*")
    assert caught.value.response["Error"]["Code"] == "PreconditionFailed"
    assert cloud.s3.get_object(Bucket=cloud.bucket, Key="lease")["Body"].read() == b"mine"


def test_a_large_object_goes_through(cloud: Any) -> None:
    body = os.urandom(12 * 1024 * 1024)
    cloud.s3.put_object(Bucket=cloud.bucket, Key="large", Body=body)
    answer = cloud.s3.get_object(Bucket=cloud.bucket, Key="large", Range="bytes=5-14")
    assert answer["Body"].read() == body[5:15]
    cloud.s3.delete_object(Bucket=cloud.bucket, Key="large")


def test_the_services_behind_moto_answer(aws: Callable[[str], Any], cloud: Any) -> None:
    iam, autoscaling = aws("iam"), aws("application-autoscaling")
    iam.create_role(RoleName="execution", AssumeRolePolicyDocument="{}")
    arn = iam.get_role(RoleName="execution")["Role"]["Arn"]
    assumed = aws("sts").assume_role(RoleArn=arn, RoleSessionName="session")
    assert assumed["AssumedRoleUser"]["Arn"].endswith("assumed-role/execution/session")
    endpoint = cloud.endpoint(cloud.config([cloud.variant("v", cloud.model())]))
    target = {
        "ServiceNamespace": "sagemaker",
        "ResourceId": f"endpoint/{endpoint}/variant/v",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    }
    autoscaling.register_scalable_target(**target, MinCapacity=1, MaxCapacity=2)
    listed = autoscaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]
    assert [item["ResourceId"] for item in listed] == [target["ResourceId"]]


def test_no_page_of_html_leaves(local_aws: LocalAWS, aws: Callable[[str], Any]) -> None:
    started = time.monotonic()
    with pytest.raises(ClientError) as caught:
        aws("iam").generate_organizations_access_report(EntityPath="o-a1b2c3d4e5/r-f6g7h8i9j0example")
    assert caught.value.response["Error"]["Code"] == "UnknownOperationException"
    assert time.monotonic() - started < 5
    for path in ("/moto-api/reset", "/_local/nothing"):
        with pytest.raises(urllib.error.HTTPError) as answered:
            urllib.request.urlopen(local_aws.endpoint_url + path)
        assert "json" in answered.value.headers["content-type"]
        answered.value.close()


@pytest.mark.parametrize(
    ("call", "status", "code"),
    [
        (lambda s3, bucket: s3.head_bucket(Bucket="there-is-none"), 404, "404"),
        (lambda s3, bucket: s3.head_object(Bucket=bucket, Key="none"), 404, "404"),
        (lambda s3, bucket: s3.get_object(Bucket=bucket, Key="none"), 404, "NoSuchKey"),
        (lambda s3, bucket: s3.get_object(Bucket="there-is-none", Key="none"), 404, "NoSuchBucket"),
    ],
    ids=["head-bucket", "head-object", "get-object", "get-from-no-bucket"],
)
def test_what_s3_does_not_have_is_not_found(
    cloud: Any, call: Callable[[Any, str], Any], status: int, code: str
) -> None:
    with pytest.raises(ClientError) as refused:
        call(cloud.s3, cloud.bucket)
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert refused.value.response["Error"]["Code"] == code
