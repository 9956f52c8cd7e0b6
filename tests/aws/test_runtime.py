from __future__ import annotations

import base64
import json
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from botocore.exceptions import ClientError
from scipy import stats

from shadow_provider.local import LocalAWS, LocalSettings
from tests.aws.conftest import cloud_of

SLOW = """
import time

def model_fn(model_dir):
    return None

def transform_fn(model, body, content_type, accept):
    time.sleep(0.5)
    return body, content_type
"""

DYING = """
import os

def model_fn(model_dir):
    return None

def transform_fn(model, body, content_type, accept):
    os._exit(3)
"""

MOODY = """
class TeapotError(Exception):
    status_code = 418

def model_fn(model_dir):
    return None

def transform_fn(model, body, content_type, accept, context):
    print("asked for", body, flush=True)
    if body == "raise":
        raise ValueError("the model is not in the mood")
    if body == "teapot":
        raise TeapotError("short and stout")
    context.response_headers["X-Amzn-SageMaker-Custom-Attributes"] = "seen=" + str(
        context.get_request_header("X-Amzn-SageMaker-Custom-Attributes")
    )
    return context.get_request_header("Accept") or "", "text/plain"
"""

FUNCTIONS = """
def model_fn(model_dir):
    return 2

def predict_fn(data, model):
    return data * model
"""


def test_an_exception_in_the_model_is_a_model_error(cloud: Any, status: Any) -> None:
    name = cloud.endpoint(cloud.config([cloud.variant("v", cloud.model(MOODY))]))
    with pytest.raises(cloud.runtime.exceptions.ModelError) as caught:
        cloud.invoke(name, b"raise")
    response = caught.value.response
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert response["OriginalStatusCode"] == 500
    assert response["OriginalMessage"].startswith("the model is not in the mood\nTraceback")
    assert response["LogStreamArn"].endswith(f":log-group:/aws/sagemaker/Endpoints/{name}")
    assert response["Error"]["Message"].startswith('Received server error (500) from primary with message "the model')
    with pytest.raises(cloud.runtime.exceptions.ModelError) as caught:
        cloud.invoke(name, b"teapot")
    assert caught.value.response["OriginalStatusCode"] == 418
    assert "Received client error (418) from primary" in caught.value.response["Error"]["Message"]
    # What the model prints and where it failed can be read.
    text = Path(status(name)["variants"][0]["logs"][0]).read_text()
    assert "asked for teapot" in text
    assert "ValueError: the model is not in the mood" in text


def test_headers_go_through(cloud: Any) -> None:
    name = cloud.endpoint(cloud.config([cloud.variant("v", cloud.model(MOODY))]))
    answer = cloud.invoke(name, b"x", Accept="application/json", CustomAttributes="c=1", TargetVariant="v")
    assert answer["CustomAttributes"] == "seen=c=1"
    assert answer["Body"].read() == b"application/json"
    assert answer["ContentType"] == "text/plain"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"EndpointName": "nothing"}, "Endpoint nothing of account 123456789012 not found."),
        ({"TargetVariant": "nothing"}, "Variant nothing not found"),
        ({"TargetVariant": "s"}, "Variant s not found"),
        ({"InferenceId": "x" * 65}, "at 'inferenceId' failed to satisfy constraint: Member must have length less"),
        ({"TargetVariant": "no_name"}, "at 'targetVariant' failed to satisfy constraint: Member must satisfy regular"),
        ({"TargetModel": "m.tar.gz"}, "does not support TargetModel"),
        ({"Body": b"x" * (25 * 1024 * 1024 + 1)}, "exceeds the limit"),
    ],
)
def test_refusals_have_the_runtimes_code(
    cloud: Any, shared_endpoint: str, arguments: dict[str, Any], said: str
) -> None:
    call = {"EndpointName": shared_endpoint, "Body": b"x", "ContentType": "text/csv", **arguments}
    with pytest.raises(ClientError) as caught:
        cloud.runtime.invoke_endpoint(**call)
    error = caught.value.response["Error"]
    assert error["Code"] == "ValidationError"
    assert said in error["Message"]


@pytest.fixture(scope="module")
def shared_endpoint(aws: Any, make_model_archive: Any, wait_until: Any) -> str:
    source = "def model_fn(d): return 1\ndef transform_fn(m, b, c, a): return b, c"
    container = {"Image": "i", "ModelDataUrl": make_model_archive("shared", source)}
    role = "arn:aws:iam::123456789012:role/r"
    sagemaker = aws("sagemaker")
    sagemaker.create_model(ModelName="shared", ExecutionRoleArn=role, PrimaryContainer=container)
    common = {"ModelName": "shared", "InstanceType": "ml.c5.large", "InitialInstanceCount": 1}
    sagemaker.create_endpoint_config(
        EndpointConfigName="shared",
        ProductionVariants=[{"VariantName": "p", **common}],
        ShadowProductionVariants=[{"VariantName": "s", **common}],
    )
    sagemaker.create_endpoint(EndpointName="shared", EndpointConfigName="shared")
    wait_until(lambda: sagemaker.describe_endpoint(EndpointName="shared")["EndpointStatus"] == "InService")
    return "shared"


def test_default_functions_speak_csv_json_and_npy(cloud: Any) -> None:
    import io

    name = cloud.endpoint(cloud.config([cloud.variant("v", cloud.model(FUNCTIONS))]))
    answer = cloud.invoke(name, b"1,2\n3,4\n", Accept="text/csv")
    assert np.genfromtxt(io.BytesIO(answer["Body"].read()), delimiter=",").tolist() == [[2, 4], [6, 8]]
    answer = cloud.invoke(name, b"[1, 2]", ContentType="application/json")
    assert (answer["ContentType"], json.load(answer["Body"])) == ("application/json", [2, 4])
    packed = io.BytesIO()
    np.save(packed, np.arange(3))
    answer = cloud.invoke(name, packed.getvalue(), ContentType="application/x-npy", Accept="application/x-npy")
    assert np.load(io.BytesIO(answer["Body"].read())).tolist() == [0, 2, 4]
    with pytest.raises(cloud.runtime.exceptions.ModelError) as caught:
        cloud.invoke(name, b"?", ContentType="image/png")
    assert caught.value.response["OriginalStatusCode"] == 415


def test_requests_spread_over_all_instances(cloud: Any) -> None:
    source = "import os\ndef model_fn(d): return os.getpid()\ndef transform_fn(m, b, c, a): return str(m), 'text/csv'"
    name = cloud.endpoint(cloud.config([cloud.variant("v", cloud.model(source), InitialInstanceCount=3)]))
    pids = [cloud.invoke(name)["Body"].read() for _ in range(30)]
    assert len(set(pids)) == 3
    assert all(pids.count(pid) == 10 for pid in set(pids))


def test_production_variants_share_by_weight(cloud: Any) -> None:
    model = cloud.model()
    config = cloud.config(
        [cloud.variant("a", model, InitialVariantWeight=1), cloud.variant("b", model, InitialVariantWeight=3)]
    )
    name = cloud.endpoint(config)
    count = 600
    hits = sum(cloud.invoke(name)["InvokedProductionVariant"] == "b" for _ in range(count))
    assert stats.binom.ppf(1e-6, count, 0.75) <= hits <= stats.binom.isf(1e-6, count, 0.75)
    assert cloud.invoke(name, TargetVariant="a")["InvokedProductionVariant"] == "a"


def test_a_payload_may_have_the_documented_25_mib(cloud: Any) -> None:
    measuring = "def model_fn(d): pass\ndef transform_fn(m, b, c, a): return str(len(b)), 'text/csv'"
    name = cloud.endpoint(cloud.config([cloud.variant("v", cloud.model(measuring))]))
    limit = 25 * 1024 * 1024
    assert cloud.invoke(name, bytes(limit))["Body"].read() == b"26214400"
    with pytest.raises(ClientError, match="exceeds the limit of 26214400 bytes"):
        cloud.invoke(name, bytes(limit + 1))


@pytest.mark.parametrize(("production", "shadow", "share"), [(1, 0.5, 0.5), (2, 0.5, 0.25), (1, 3, 1.0), (1, 0, 0.0)])
def test_the_weights_give_the_mirrored_share(
    cloud: Any, status: Any, wait_until: Any, production: float, shadow: float, share: float
) -> None:
    model = cloud.model()
    config = cloud.config(
        [cloud.variant("p", model, InitialVariantWeight=production)],
        [cloud.variant("s", model, InitialVariantWeight=shadow)],
    )
    name = cloud.endpoint(config)
    count = 800
    for _ in range(count):
        cloud.invoke(name)
    wait_until(lambda: status(name)["variants"][1]["in_flight"] == 0)
    counters = status(name)["counters"]
    assert counters["p"]["requests"] == count
    assert counters["s"]["dropped"] == 0
    low, high = (count * share,) * 2 if share in (0, 1) else stats.binom.interval(1 - 2e-6, count, share)
    assert low <= counters["s"]["requests"] <= high


def mirror_metric(cloud: Any, name: str, metric: str) -> tuple[float, float]:
    """Sum and count of a metric of mirroring."""
    (point,) = cloud.cloudwatch.get_metric_statistics(
        Namespace="Local/SageMaker",
        MetricName=metric,
        Dimensions=[{"Name": "EndpointName", "Value": name}, {"Name": "VariantName", "Value": "s"}],
        StartTime=time.time() - 3600,
        EndTime=time.time() + 60,
        Period=7200,
        Statistics=["Sum", "SampleCount"],
    )["Datapoints"]
    return point["Sum"], point["SampleCount"]


def seconds_per_call(cloud: Any, name: str, count: int) -> list[float]:
    taken = []
    for _ in range(count):
        started = time.perf_counter()
        assert cloud.invoke(name)["Body"].read() == b"1,2\n"
        taken.append(time.perf_counter() - started)
        assert taken[-1] < 0.45, f"call {len(taken)} waited"
    return taken


def test_a_slow_shadow_changes_nothing_for_the_caller(cloud: Any, status: Any) -> None:
    model = cloud.model()
    config = cloud.config([cloud.variant("p", model)], [cloud.variant("s", cloud.model(SLOW))])
    name = cloud.endpoint(config)
    taken = seconds_per_call(cloud, name, 400)
    # The shadow needs half a second for each: a single wait for it would show.
    assert statistics.median(taken) < 0.05
    counters = status(name)["counters"]["s"]
    # It cannot keep up: 256 copies may wait, all others are dropped and counted.
    assert counters["dropped"] > 0
    assert counters["mirrored"] + counters["dropped"] == 400
    published = {
        metric: mirror_metric(cloud, name, metric) for metric in ("MirroredRequests", "MirroredRequestsDropped")
    }
    assert published == {
        "MirroredRequests": (counters["mirrored"], 400),
        "MirroredRequestsDropped": (counters["dropped"], 400),
    }


def test_a_dying_shadow_changes_nothing_for_the_caller(cloud: Any, status: Any, wait_until: Any) -> None:
    config = cloud.config([cloud.variant("p", cloud.model())], [cloud.variant("s", cloud.model(DYING))])
    name = cloud.endpoint(config)
    first = status(name)["variants"][1]["pids"]
    seconds_per_call(cloud, name, 50)
    wait_until(lambda: status(name)["counters"]["s"]["errors"] > 0)
    assert cloud.describe(name)["EndpointStatus"] == "InService"
    # Like a container it is started again.
    wait_until(lambda: status(name)["variants"][1]["pids"] not in (first, [None]))
    assert status(name)["counters"]["p"]["errors"] == 0


def test_the_caller_has_the_answer_before_the_shadow_is_asked(cloud: Any) -> None:
    stamp = (
        "import time\ndef model_fn(d): return 0\n"
        "def transform_fn(m, b, c, a): return time.sleep({}) or repr(time.time()), 'text/csv'"
    )
    capture = cloud.capture_config("order/")
    config = cloud.config(
        [cloud.variant("p", cloud.model(stamp.format(0.05)))],
        [cloud.variant("s", cloud.model(stamp.format(0)))],
        DataCaptureConfig=capture,
    )
    name = cloud.endpoint(config)
    for number in range(5):
        cloud.invoke(name, InferenceId=str(number))
    cloud.delete(name)
    times: dict[str, list[float]] = {"p": [], "s": []}
    for key, content in cloud.objects(f"order/{name}/").items():
        records = sorted(
            map(json.loads, content.splitlines()), key=lambda record: record["eventMetadata"]["inferenceId"]
        )
        times[key.split("/")[2]] += [float(record["captureData"]["endpointOutput"]["data"]) for record in records]
    assert len(times["p"]) == len(times["s"]) == 5
    assert all(answered < copied for answered, copied in zip(times["p"], times["s"], strict=True))


def test_failed_invocations_are_captured_without_output(cloud: Any) -> None:
    config = cloud.config([cloud.variant("v", cloud.model(MOODY))], DataCaptureConfig=cloud.capture_config("failed/"))
    name = cloud.endpoint(config)
    with pytest.raises(cloud.runtime.exceptions.ModelError):
        cloud.invoke(name, b"raise")
    cloud.invoke(name, b"\xff\xfe", ContentType="application/octet-stream")
    cloud.delete(name)
    (content,) = cloud.objects(f"failed/{name}/").values()
    failed, binary = (json.loads(line)["captureData"] for line in content.splitlines())
    assert list(failed) == ["endpointInput"]
    assert binary["endpointInput"]["encoding"] == "BASE64"
    assert base64.b64decode(binary["endpointInput"]["data"]) == b"\xff\xfe"
    assert binary["endpointOutput"]["encoding"] == "BASE64"


def test_capture_sampling_is_binomial(cloud: Any) -> None:
    config = cloud.config(
        [cloud.variant("v", cloud.model())], DataCaptureConfig=cloud.capture_config("sampled/", percentage=30)
    )
    name = cloud.endpoint(config)
    count = 500
    for _ in range(count):
        cloud.invoke(name)
    cloud.delete(name)
    captured = sum(content.count(b"\n") for content in cloud.objects(f"sampled/{name}/").values())
    assert stats.binom.ppf(1e-6, count, 0.3) <= captured <= stats.binom.isf(1e-6, count, 0.3)


def test_large_bodies_and_many_callers_at_once(cloud: Any) -> None:
    name = cloud.endpoint(cloud.config([cloud.variant("v", cloud.model())]))
    bodies = [bytes([65 + number]) * (number * 100_000 + 1) for number in range(20)]
    with ThreadPoolExecutor(8) as pool:
        answers = pool.map(lambda body: cloud.invoke(name, body)["Body"].read(), bodies)
    assert list(answers) == bodies


def test_a_model_has_its_time_and_no_more(unique: Any) -> None:
    slow = "import time\ndef model_fn(d): pass\ndef transform_fn(m, b, c, a): time.sleep(float(b)); return b, c"
    with LocalAWS(LocalSettings(invocation_timeout=0.5)) as running:
        cloud = cloud_of(running, unique)
        name = cloud.endpoint(cloud.config([cloud.variant("v", cloud.model(slow))]))
        cloud.invoke(name, b"0.01")
        with pytest.raises(ClientError, match="Your invocation timed out while waiting for a response") as caught:
            cloud.invoke(name, b"3")
    assert caught.value.response["Error"]["Code"] == "ModelError"
    assert caught.value.response["OriginalStatusCode"] == 0
