from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from botocore.exceptions import ClientError

from tests.aws.conftest import NUMBERED, traffic

BROKEN = "def model_fn(model_dir):\n    raise RuntimeError('no such weights')\ndef predict_fn(data, model): return data"
LATE = "import time\ndef model_fn(d): time.sleep(1)\ndef transform_fn(m, b, c, a): return b, c"
PING_FAILED = (
    "The primary container for production variant {} did not pass the ping health check. "
    "Please check CloudWatch logs for this endpoint."
)


def test_a_broken_model_fails_the_endpoint_with_awss_reason(cloud: Any, local_aws: Any) -> None:
    config = cloud.config([cloud.variant("AllTraffic", cloud.model(BROKEN))])
    name = cloud.endpoint(config, wait=False)
    described = cloud.settled(name)
    assert described["EndpointStatus"] == "Failed"
    assert described["FailureReason"] == PING_FAILED.format("AllTraffic")
    assert "ProductionVariants" not in described
    # The cause can be found.
    assert "RuntimeError: no such weights" in Path(local_aws.log_path).read_text()
    for call, said in (
        (cloud.sagemaker.update_endpoint, "can only be deleted"),
        (cloud.sagemaker.create_endpoint, "Cannot create already existing endpoint"),
    ):
        with pytest.raises(ClientError, match=said):
            call(EndpointName=name, EndpointConfigName=config)
    with pytest.raises(ClientError, match="not found"):
        cloud.invoke(name)
    cloud.delete(name)


def test_a_variants_own_startup_limit_counts(cloud: Any) -> None:
    hanging = "import time\ndef model_fn(d): time.sleep(600)\ndef predict_fn(d, m): return d"
    variant = cloud.variant("v", cloud.model(hanging), ContainerStartupHealthCheckTimeoutInSeconds=60)
    name = cloud.endpoint(cloud.config([variant]), wait=False)
    without = cloud.endpoint(cloud.config([cloud.variant("v", cloud.model(LATE))]))
    assert cloud.describe(without)["EndpointStatus"] == "InService"
    assert cloud.describe(name)["EndpointStatus"] == "Creating"
    with pytest.raises(ClientError, match=f'Cannot update in-progress endpoint "arn:.*:endpoint/{name}"\\.'):
        cloud.sagemaker.delete_endpoint(EndpointName=name)
    cloud.endpoints.remove(name)


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"this is no archive", "Failed to extract model data archive"), (None, "Failed to download model data")],
)
def test_model_data_that_cannot_be_used(cloud: Any, content: bytes | None, said: str) -> None:
    model = cloud.model()
    url = cloud.sagemaker.describe_model(ModelName=model)["Containers"][0]["ModelDataUrl"]
    key = url.removeprefix(f"s3://{cloud.bucket}/")
    if content is None:
        cloud.s3.delete_object(Bucket=cloud.bucket, Key=key)
    else:
        cloud.s3.put_object(Bucket=cloud.bucket, Key=key, Body=content)
    described = cloud.settled(cloud.endpoint(cloud.config([cloud.variant("v", model)]), wait=False))
    assert described["EndpointStatus"] == "Failed"
    assert described["FailureReason"].startswith(said)


def test_an_update_swaps_without_a_failed_request(cloud: Any) -> None:
    old = cloud.config([cloud.variant("v", cloud.model(NUMBERED.format(n=1)))])
    late = "import time\n" + NUMBERED.format(n=2).replace("return 2", "time.sleep(0.4) or 2", 1)
    late = late.replace("def model_fn(d): time", "def model_fn(d): return time")
    new = cloud.config([cloud.variant("v", cloud.model(late))], [cloud.variant("s", cloud.model())])
    name = cloud.endpoint(old)
    with traffic(cloud, name) as seen:
        cloud.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=new)
        during = cloud.describe(name)
        assert during["EndpointStatus"] == "Updating"
        assert during["EndpointConfigName"] == old
        assert "ShadowProductionVariants" not in during
        pending = during["PendingDeploymentSummary"]
        assert pending["EndpointConfigName"] == new
        assert [variant["VariantName"] for variant in pending["ShadowProductionVariants"]] == ["s"]
        assert pending["ProductionVariants"][0]["VariantStatus"][0]["StatusMessage"] == "Launching 1 instance(s)."
        with pytest.raises(ClientError, match="Cannot update in-progress endpoint"):
            cloud.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=old)
        after = cloud.settled(name)
        assert (after["EndpointStatus"], after["EndpointConfigName"]) == ("InService", new)
        assert "PendingDeploymentSummary" not in after
        assert "FailureReason" not in after
        # The shadow goes again.
        cloud.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=old)
        assert "ShadowProductionVariants" not in cloud.settled(name)
        cloud.invoke(name)
    assert set(seen) == {b"1", b"2"}
    assert len(seen) > 20


def test_a_failed_update_leaves_the_old_config_in_service(cloud: Any, status: Any) -> None:
    old = cloud.config([cloud.variant("v", cloud.model(NUMBERED.format(n=1)))])
    bad = cloud.config(
        [cloud.variant("v", cloud.model(NUMBERED.format(n=2)))], [cloud.variant("s", cloud.model(BROKEN))]
    )
    good = cloud.config([cloud.variant("v", cloud.model(NUMBERED.format(n=3)))])
    name = cloud.endpoint(old)
    pids = status(name)["variants"][0]["pids"]
    with traffic(cloud, name) as seen:
        cloud.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=bad)
        after = cloud.settled(name)
    assert (after["EndpointStatus"], after["EndpointConfigName"]) == ("InService", old)
    assert after["FailureReason"] == PING_FAILED.format("s")
    assert "PendingDeploymentSummary" not in after
    assert set(seen) == {b"1"}
    assert status(name)["variants"][0]["pids"] == pids
    # The next update that succeeds clears the reason.
    cloud.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=good)
    after = cloud.settled(name)
    assert after["EndpointConfigName"] == good
    assert "FailureReason" not in after


def test_requests_under_way_finish_in_the_old_fleet(cloud: Any) -> None:
    slow = "def model_fn(d): return 1\ndef transform_fn(m, b, c, a): return time.sleep(1.5) or 'old', 'text/csv'"
    name = cloud.endpoint(cloud.config([cloud.variant("v", cloud.model("import time\n" + slow))]))
    new = cloud.config([cloud.variant("v", cloud.model(NUMBERED.format(n=2)))])
    answers: list[bytes] = []
    caller = threading.Thread(target=lambda: answers.append(cloud.invoke(name)["Body"].read()))
    caller.start()
    time.sleep(0.2)
    cloud.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=new)
    while (body := cloud.invoke(name)["Body"].read()) != b"2":
        assert body == b"old"
    caller.join()
    assert answers == [b"old"]
    cloud.settled(name)


def test_an_update_needs_the_active_config(cloud: Any) -> None:
    model = cloud.model()
    old, new = cloud.config([cloud.variant("v", model)]), cloud.config([cloud.variant("v", model)])
    name = cloud.endpoint(old)
    cloud.sagemaker.delete_endpoint_config(EndpointConfigName=old)
    with pytest.raises(ClientError, match=f'Could not find endpoint configuration ".*:endpoint-config/{old}"'):
        cloud.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=new)


@pytest.mark.parametrize(
    ("options", "weight", "count"),
    [
        ({}, 1.0, 1),
        ({"RetainAllVariantProperties": True}, 0.5, 2),
        (
            {
                "RetainAllVariantProperties": True,
                "ExcludeRetainedVariantProperties": [{"VariantPropertyType": "DesiredWeight"}],
            },
            1.0,
            2,
        ),
    ],
)
def test_variant_properties_are_retained_when_asked(
    cloud: Any, options: dict[str, Any], weight: float, count: int
) -> None:
    model = cloud.model()
    old = cloud.config([cloud.variant("v", model, InitialVariantWeight=0.5, InitialInstanceCount=2)])
    new = cloud.config([cloud.variant("v", model)])
    name = cloud.endpoint(old)
    cloud.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=new, **options)
    (variant,) = cloud.settled(name)["ProductionVariants"]
    assert (variant["CurrentWeight"], variant["DesiredWeight"]) == (weight, weight)
    assert (variant["CurrentInstanceCount"], variant["DesiredInstanceCount"]) == (count, count)


def test_describe_endpoint_has_awss_members(cloud: Any) -> None:
    config = cloud.config(
        [cloud.variant("p", cloud.model())],
        [cloud.variant("s", cloud.model(), InitialInstanceCount=2, InitialVariantWeight=0.5)],
        DataCaptureConfig=cloud.capture_config("summary", percentage=40),
    )
    described = cloud.describe(cloud.endpoint(config))
    (shadow,) = described["ShadowProductionVariants"]
    assert shadow["CurrentWeight"] == 0.5
    assert shadow["CurrentInstanceCount"] == 2
    assert shadow["DeployedImages"][0]["ResolvedImage"].partition("@sha256:")[1]
    assert not {"ModelName", "InstanceType"} & set(shadow)
    assert described["DataCaptureConfig"] == {
        "EnableCapture": True,
        "CaptureStatus": "Started",
        "CurrentSamplingPercentage": 40,
        "DestinationS3Uri": f"s3://{cloud.bucket}/summary",
        "KmsKeyId": "",
    }


def test_the_container_gets_its_environment_and_not_ours(cloud: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    source = (
        "import os\ndef model_fn(d): return ','.join(sorted(k for k in os.environ if k.startswith(('AWS_', 'MY_'))))\n"
        "def transform_fn(m, b, c, a): return m + os.environ['OMP_NUM_THREADS'], 'text/csv'"
    )
    model = cloud.model(source, Environment={"MY_OWN": "x", "AWS_SET_BY_CALLER": "y"})
    name = cloud.endpoint(cloud.config([cloud.variant("v", model)]))
    assert cloud.invoke(name)["Body"].read() == b"AWS_SET_BY_CALLER,MY_OWN1"


def test_a_process_that_cannot_be_started_again_is_started_once_it_can(
    cloud: Any, status: Any, wait_until: Any
) -> None:
    name = cloud.endpoint(cloud.config([cloud.variant("v", cloud.model())]))
    (variant,) = status(name)["variants"]
    (pid,) = variant["pids"]
    directory = Path(psutil.Process(pid).cwd())
    away = directory.rename(directory.with_name("away"))
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: status(name)["variants"][0]["restarts"] > 0)
    away.rename(directory)
    wait_until(lambda: status(name)["variants"][0]["healthy"] == 1)
    assert cloud.invoke(name)["Body"].read() == b"1,2\n"
