from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from shadow_provider.demo import setup
from shadow_provider.demo.models import ModelArchive
from shadow_provider.demo.setup import EndpointNotServingError, create_live_endpoint, ensure_bucket, store_models


def refusal(operation: str, message: str, status: int = 400) -> ClientError:
    response: Any = {
        "Error": {"Code": "ValidationException", "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return ClientError(response, operation)


class StubS3:
    class meta:  # noqa: N801 - boto3's own name
        region_name = "eu-west-1"

    def __init__(self, bucket_status: int) -> None:
        self.created: list[dict[str, Any]] = []
        self.stored: list[str] = []
        self._bucket_status = bucket_status

    def head_bucket(self, **_: Any) -> None:
        if self._bucket_status != 200:
            raise refusal("HeadBucket", "x", self._bucket_status)

    def head_object(self, **_: Any) -> Any:
        raise refusal("HeadObject", "x", 404)

    def create_bucket(self, **request: Any) -> None:
        self.created.append(request)

    def put_object(self, **request: Any) -> None:
        self.stored.append(f"{request['Bucket']}/{request['Key']}")


class StubSageMaker:
    """Creates what is not there; DescribeEndpoint answers the given states in turn, the last one for ever."""

    def __init__(self, *states: str, there: tuple[str, ...] = (), serves: str = "digits-baseline") -> None:
        self.created: list[str] = []
        self._states = list(states)
        self._there = there
        self._serves = serves

    def create_model(self, **request: Any) -> None:
        self._create("model", request["ModelName"])

    def create_endpoint_config(self, **request: Any) -> None:
        self._create("config", request["EndpointConfigName"])

    def create_endpoint(self, **request: Any) -> None:
        self._create("endpoint", request["EndpointName"])

    def _create(self, kind: str, name: str) -> None:
        if kind in self._there:
            raise refusal("Create", f'Cannot create already existing {kind} "{name}".')
        self.created.append(name)

    def describe_endpoint(self, **_: Any) -> dict[str, Any]:
        status = self._states.pop(0) if len(self._states) > 1 else self._states[0]
        reason = {"FailureReason": "no ping"} if status == "Failed" else {}
        return {"EndpointStatus": status, "EndpointConfigName": self._serves, **reason}


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setup, "_POLL_SECONDS", 0)


def test_a_missing_bucket_is_created_in_the_clients_region_and_filled(tmp_path: Path) -> None:
    path = tmp_path / "model.tar.gz"
    path.write_bytes(b"x")
    s3 = StubS3(404)
    assert store_models({"good": ModelArchive("good", path, "0", None, None)}, s3) == {
        "good": "s3://shadow-demo/models/good/model.tar.gz"
    }
    assert s3.created == [
        {"Bucket": "shadow-demo", "CreateBucketConfiguration": {"LocationConstraint": "eu-west-1"}},
    ]
    assert s3.stored == ["shadow-demo/models/good/model.tar.gz"]


def test_a_bucket_that_exists_is_left_alone() -> None:
    s3 = StubS3(200)
    ensure_bucket(s3, "models")
    assert s3.created == []


def test_a_bucket_that_is_forbidden_is_not_created() -> None:
    s3 = StubS3(403)
    with pytest.raises(ClientError):
        ensure_bucket(s3, "models")
    assert s3.created == []


def test_creates_model_config_and_endpoint_and_waits() -> None:
    sagemaker = StubSageMaker("Creating", "Creating", "InService")
    assert create_live_endpoint(sagemaker) == "digits-baseline"
    assert sagemaker.created == ["digits-incumbent", "digits-baseline", "digits"]


def test_goes_on_where_an_earlier_call_broke_off() -> None:
    sagemaker = StubSageMaker("InService", there=("model", "config"))
    create_live_endpoint(sagemaker)
    assert sagemaker.created == ["digits"]


@pytest.mark.parametrize("status", ["InService", "Updating", "RollingBack"])
def test_an_endpoint_that_serves_something_else_by_now_is_left_as_it_is(status: str) -> None:
    sagemaker = StubSageMaker(status, there=("model", "config", "endpoint"), serves="digits-promoted")
    assert create_live_endpoint(sagemaker) == "digits-promoted"
    assert sagemaker.created == []


def test_another_refusal_is_not_taken_for_an_existing_one(monkeypatch: pytest.MonkeyPatch) -> None:
    sagemaker = StubSageMaker("InService")

    def refuse(**_: Any) -> None:
        raise refusal("CreateEndpoint", "Could not find model")

    monkeypatch.setattr(sagemaker, "create_endpoint", refuse)
    with pytest.raises(ClientError, match="Could not find model"):
        create_live_endpoint(sagemaker)


def test_an_endpoint_that_fails_is_told_with_its_reason() -> None:
    with pytest.raises(EndpointNotServingError, match="digits is Failed: no ping"):
        create_live_endpoint(StubSageMaker("Creating", "Failed"))


def test_waits_no_longer_than_asked() -> None:
    with pytest.raises(EndpointNotServingError, match="digits is Creating: no reason given"):
        create_live_endpoint(StubSageMaker("Creating"), timeout=0)
