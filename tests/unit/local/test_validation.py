from __future__ import annotations

from typing import Any

import pytest

from shadow_provider.local.errors import AwsError
from shadow_provider.local.validation import matches, service_model, validate


def shape(operation: str, service: str = "sagemaker") -> Any:
    return service_model(service).operation_model(operation).input_shape


@pytest.mark.parametrize(
    ("pattern", "value", "answer"),
    [
        (r"([\p{L}\p{Z}\p{N}_.:/=+\-@]*)", "grün: 1/2", True),
        (r"([\p{L}\p{Z}\p{N}_.:/=+\-@]*)", "a|b", False),
        (r"\A\S[\p{Print}]*\z", "request 1", True),
        (r"\A\S[\p{Print}]*\z", " request", False),
        (r"\A\S[\p{Print}]*\z", "réquest", False),
        (r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}", "a-b\n", False),
        (r"(unclosed", "anything", True),
    ],
)
def test_patterns_of_the_service_models(pattern: str, value: str, answer: bool) -> None:
    assert matches(pattern, value) is answer


def test_no_pattern_of_the_operations_we_answer_is_let_pass() -> None:
    from shadow_provider.local.validation import _compiled

    def patterns(found: Any, seen: set[str]) -> Any:
        if found.name in seen:
            return
        seen.add(found.name)
        if "pattern" in found.metadata:
            yield found.metadata["pattern"]
        for inner in ("members", "member", "key", "value"):
            part = getattr(found, inner, None)
            for each in part.values() if inner == "members" and part else [part] if part is not None else []:
                yield from patterns(each, seen)

    operations = ("CreateModel", "CreateEndpointConfig", "CreateEndpoint", "UpdateEndpoint", "AddTags", "ListTags")
    for operation in operations:
        for pattern in patterns(shape(operation), set()):
            assert _compiled(pattern) is not None, pattern
    for pattern in patterns(shape("InvokeEndpoint", "sagemaker-runtime"), set()):
        assert _compiled(pattern) is not None, pattern


def test_null_is_absent() -> None:
    validate(shape("CreateEndpoint"), {"EndpointName": "e", "EndpointConfigName": "c", "Tags": None})
    with pytest.raises(AwsError, match=r"^1 validation error detected: Value null at 'endpointName'"):
        validate(shape("CreateEndpoint"), {"EndpointName": None, "EndpointConfigName": "c"})


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (1, "NUMBER_VALUE can not be converted to a String"),
        (True, "TRUE_VALUE can not be converted to a String"),
        ({}, "Start of structure or map found where not expected"),
        ([], "start of list found where not expected"),
    ],
)
def test_wrong_types_are_serialization_exceptions(value: Any, said: str) -> None:
    with pytest.raises(AwsError, match=said) as caught:
        validate(shape("DescribeEndpoint"), {"EndpointName": value})
    assert caught.value.code == "SerializationException"


def test_a_boolean_is_no_number() -> None:
    with pytest.raises(AwsError, match="TRUE_VALUE can not be converted to an Integer"):
        validate(shape("ListModels"), {"MaxResults": True})
