"""What is made of AWS's own words: may it pass, and what is a person told?"""

from __future__ import annotations

from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from botocore import exceptions as boto
from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError
from botocore.session import Session

from shadow_provider.hooks import aws_errors
from shadow_provider.hooks.asked import asked, in_words, remember_what_is_asked
from shadow_provider.operators.base import final_errors
from shadow_provider.plan.errors import AwsUnavailableError

ENDPOINT = "arn:aws:sagemaker:us-east-1:123456789012:endpoint/fraud"
CONFIG = "arn:aws:sagemaker:us-east-1:123456789012:endpoint-config/fraud-v1"
QUOTA = (
    "The account-level service limit 'ml.m5.xlarge for endpoint usage' is 0 Instances, with current utilization of 0 "
    "Instances and a request delta of 1 Instances. Please use AWS Service Quotas to request an increase for this "
    "quota. If AWS Service Quotas is not available, contact AWS support to request an increase for this quota."
)
DENIED = (
    "User: arn:aws:sts::123456789012:assumed-role/airflow/x is not authorized to perform: sagemaker:CreateModel on "
    "resource: arn:aws:sagemaker:us-east-1:123456789012:model/m because no identity-based policy allows the "
    "sagemaker:CreateModel action"
)
UNREADABLE = (
    "Could not access model data at s3://models/m/model.tar.gz. Please ensure that the role "
    '"arn:aws:iam::123456789012:role/execution" exists and that its trust relationship policy allows the action '
    '"sts:AssumeRole" for the service principal "sagemaker.amazonaws.com". Also ensure that the role has '
    '"s3:GetObject" permissions and that the object is located in us-east-1.'
)
IMAGE = (
    'Using non-ECR image "x" without Vpc repository access mode is not supported. The repository of your image '
    "123456789012.dkr.ecr.us-east-1.amazonaws.com/x does not grant ecr:GetDownloadUrlForLayer, ecr:BatchGetImage, "
    "ecr:BatchCheckLayerAvailability permission to sagemaker.amazonaws.com service principal."
)
PATTERN = (
    "1 validation error detected: Value 'a_b' at 'productionVariants.1.member.modelName' failed to satisfy constraint: "
    "Member must satisfy regular expression pattern: [a-zA-Z0-9]([\\-a-zA-Z0-9]*[a-zA-Z0-9])?"
)


def refused(code: str, message: str, operation: str = "CreateModel", status: int = 400) -> ClientError:
    answer: Any = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, operation)


PASSING = [
    refused("ThrottlingException", "Rate exceeded"),
    refused("Throttling", "Rate exceeded"),
    refused("SlowDown", "Please reduce your request rate.", "PutObject", 503),
    refused("InternalFailure", "", status=500),
    refused("ServiceUnavailable", "", status=503),
    refused("Unheard", "of a code that nobody knows", status=502),
    refused("ExpiredTokenException", "The security token included in the request is expired"),
    refused("ValidationException", f'Cannot update in-progress endpoint "{ENDPOINT}".', "UpdateEndpoint"),
    refused("ValidationException", f'Cannot update in-progress endpoint "{ENDPOINT}".', "DeleteEndpoint"),
    refused("ConcurrentUpdateException", "There is already a pending update", "DeregisterScalableTarget"),
    refused("ConditionalRequestConflict", "", "PutObject", 409),
    boto.EndpointConnectionError(endpoint_url="https://api.sagemaker.us-east-1.amazonaws.com/"),
    boto.ConnectionClosedError(endpoint_url="x"),
    boto.ReadTimeoutError(endpoint_url="x"),
    boto.ConnectTimeoutError(endpoint_url="x"),
    boto.ProxyConnectionError(proxy_url="x"),
    boto.SSLError(endpoint_url="x", error="EOF occurred in violation of protocol"),
    boto.ResponseStreamingError(error="cut off"),
    boto.IncompleteReadError(actual_bytes=1, expected_bytes=2),
    boto.CredentialRetrievalError(provider="assume-role", error_msg="STS did not answer"),
    ResponseParserError("Unable to parse response: <html>Bad gateway</html>"),
]

FINAL = [
    (
        refused("ValidationException", f'Cannot create already existing endpoint "{ENDPOINT}".'),
        "correct what AWS names",
    ),
    (refused("ValidationException", f'Could not find endpoint configuration "{CONFIG}".'), "was deleted, or is in"),
    (refused("ValidationException", PATTERN, "CreateEndpointConfig"), "Correct the argument that is named"),
    (refused("ValidationException", "Something nobody has seen yet"), "correct what AWS names"),
    (refused("ValidationException", UNREADABLE), "See that s3://models/m/model.tar.gz exists, that its bucket is in"),
    (refused("ValidationException", IMAGE), "ecr:GetDownloadUrlForLayer, ecr:BatchGetImage and ecr:BatchCheck"),
    (refused("ResourceLimitExceeded", QUOTA), "the quota 'ml.m5.xlarge for endpoint usage' in Service Quotas"),
    (refused("AccessDeniedException", DENIED), "Allow sagemaker:CreateModel to the role of the Airflow connection"),
    (refused("AccessDenied", "Access Denied", "ListObjectsV2", 403), "Allow s3:ListBucket to the role"),
    (refused("AccessDenied", "Access Denied", "PutObject", 403), "Allow s3:PutObject to the role"),
    (refused("UnrecognizedClientException", "The security token included in the request is invalid."), "aws_conn_id"),
    (refused("InvalidClientTokenId", "The security token included in the request is invalid."), "aws_conn_id"),
    (refused("SignatureDoesNotMatch", "The request signature we calculated does not match"), "aws_conn_id"),
    (refused("RequestTimeTooSkewed", "The difference is too large", "GetObject", 403), "clock of this machine"),
    (refused("NoSuchBucket", "The specified bucket does not exist", "PutObject", 404), "There is no such bucket"),
    (boto.NoCredentialsError(), "aws_conn_id"),
    (boto.PartialCredentialsError(provider="env", cred_var="AWS_SECRET_ACCESS_KEY"), "aws_conn_id"),
    (boto.ProfileNotFound(profile="p"), "aws_conn_id"),
    (boto.NoRegionError(), "See that region_name"),
    (boto.ParamValidationError(report="Missing required parameter in input: ModelName"), "Correct the argument"),
    (boto.SSLError(endpoint_url="x", error="CERTIFICATE_VERIFY_FAILED"), "See that verify"),
]


@pytest.mark.parametrize("error", PASSING, ids=lambda error: getattr(error, "response", None) and str(error)[:60])
def test_what_may_pass_is_left_to_a_retry_with_its_cause(error: Exception) -> None:
    with pytest.raises(AwsUnavailableError) as caught, final_errors():
        raise error
    told = str(caught.value)
    assert told.startswith("AWS did not carry out ")
    assert "This may pass; the task's next try goes on from here." in told
    assert "\n" not in told
    code = error.response["Error"]["Code"] if isinstance(error, ClientError) else type(error).__name__
    assert f": {code}" in told


@pytest.mark.parametrize(("error", "what_to_do"), FINAL, ids=lambda item: str(item)[:60])
def test_what_is_final_fails_for_good_and_says_what_to_do(error: Exception, what_to_do: str) -> None:
    with pytest.raises(AirflowFailException) as caught, final_errors():
        raise error
    told = str(caught.value)
    assert what_to_do in told
    words = error.response["Error"]["Message"] if isinstance(error, ClientError) else str(error)
    assert words.rstrip(".").replace("\n", " ") in told
    assert told.startswith(f"AWS refused {error.operation_name if isinstance(error, ClientError) else 'a call'}: ")


def test_a_message_is_whole_and_ends_once() -> None:
    assert aws_errors.in_words(refused("NoSuchBucket", "The specified bucket does not exist.", "PutObject", 404)) == (
        "AWS refused PutObject: NoSuchBucket: The specified bucket does not exist. There is no such bucket: correct "
        "its name (capture, record, model data or ground truth), or create it."
    )
    assert aws_errors.in_words(refused("ThrottlingException", "Rate exceeded", "DescribeEndpoint")) == (
        "AWS did not carry out DescribeEndpoint: ThrottlingException: Rate exceeded. It was asked more than once. This "
        "may pass; the task's next try goes on from here."
    )


def test_an_expired_session_is_told_how_to_be_renewed() -> None:
    told = aws_errors.in_words(refused("ExpiredToken", "The provided token has expired.", "GetObject"))
    assert "give it a role to assume" in told


def test_hostile_words_of_others_stay_one_printable_line() -> None:
    told = aws_errors.in_words(refused("ValidationException", "x\n[2026] ERROR forged\x1b[31m\u202e<b>"))
    assert told.isprintable()
    assert "x [2026] ERROR forged" in told


@pytest.mark.parametrize(
    ("operation", "parameters", "words"),
    [
        ("CreateModel", {"ModelName": "m", "Environment": {"TOKEN": "secret"}}, "CreateModel of model 'm'"),
        (
            "UpdateEndpoint",
            {"EndpointName": "e", "EndpointConfigName": "c"},
            "UpdateEndpoint of endpoint config 'c', endpoint 'e'",
        ),
        ("GetObject", {"Bucket": "b", "Key": "k/l"}, "GetObject of s3://b/k/l"),
        ("ListObjectsV2", {"Bucket": "b", "Prefix": "p/"}, "ListObjectsV2 of s3://b/p/"),
        ("DeleteAlarms", {"AlarmNames": list("abcd")}, "DeleteAlarms of alarms 'a', 'b', 'c', …"),
        ("GetMetricData", {}, "GetMetricData"),
        ("DescribeModel", {"ModelName": "m\n"}, "DescribeModel of model 'm '"),
    ],
)
def test_a_call_is_named_by_what_it_is_about_and_never_by_its_contents(
    operation: str, parameters: dict[str, Any], words: str
) -> None:
    assert in_words(operation, parameters) == words


def test_the_error_of_a_call_that_never_left_knows_what_was_asked() -> None:
    client = Session().create_client(
        "sagemaker",
        region_name="us-east-1",
        aws_access_key_id="x",
        aws_secret_access_key="y",
        endpoint_url="http://127.0.0.1:9",
    )
    remember_what_is_asked(client)
    client.meta.events.register("before-send.*.*", _unreachable)
    with pytest.raises(boto.EndpointConnectionError) as caught:
        client.describe_endpoint(EndpointName="fraud")
    assert asked(caught.value) == "DescribeEndpoint of endpoint 'fraud'"
    assert "See that region_name" in aws_errors.in_words(caught.value)


def _unreachable(**_: Any) -> None:
    raise boto.EndpointConnectionError(endpoint_url="http://127.0.0.1:9")


@pytest.mark.parametrize("error", [ValueError("x"), KeyError("x"), RuntimeError("x")])
def test_errors_of_the_code_are_not_taken_for_aws(error: Exception) -> None:
    assert not aws_errors.may_pass(error)
    with pytest.raises(type(error)), final_errors():
        raise error
