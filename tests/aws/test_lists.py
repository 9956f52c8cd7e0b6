"""The control plane's lists through boto3's own paginators."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.aws.conftest import IMAGE, ROLE

LISTS = {
    "list_models": ("Models", "ModelName", "Descending"),
    "list_endpoint_configs": ("EndpointConfigs", "EndpointConfigName", "Descending"),
    "list_endpoints": ("Endpoints", "EndpointName", "Descending"),
    "list_model_package_groups": ("ModelPackageGroupSummaryList", "ModelPackageGroupName", "Ascending"),
    "list_model_packages": ("ModelPackageSummaryList", "ModelPackageName", "Ascending"),
}


@pytest.fixture
def make(cloud: Any, make_model_archive: Any) -> Callable[[str, str], None]:
    """Makes something that a list shows."""
    model, url = cloud.model(), make_model_archive("listed", "")
    config = cloud.config([cloud.variant("v", model)])

    def made(operation: str, name: str) -> None:
        sagemaker = cloud.sagemaker
        container = {"Image": IMAGE, "ModelDataUrl": url}
        match operation:
            case "list_models":
                sagemaker.create_model(ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer=container)
            case "list_endpoint_configs":
                sagemaker.create_endpoint_config(
                    EndpointConfigName=name, ProductionVariants=[cloud.variant("v", model)]
                )
            case "list_endpoints":
                sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config)
                cloud.endpoints.append(name)
            case "list_model_package_groups":
                sagemaker.create_model_package_group(ModelPackageGroupName=name)
            case "list_model_packages":
                specification = {
                    "Containers": [container],
                    "SupportedTransformInstanceTypes": ["ml.m5.xlarge"],
                    "SupportedRealtimeInferenceInstanceTypes": ["ml.m5.xlarge"],
                }
                sagemaker.create_model_package(ModelPackageName=name, InferenceSpecification=specification)

    return made


def refusal(call: Any, **arguments: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


@pytest.mark.parametrize("operation", LISTS)
def test_a_list_has_its_default_order_and_goes_on_where_it_was(
    cloud: Any, make: Callable[[str, str], None], unique: Any, operation: str
) -> None:
    answer, member, order = LISTS[operation]
    stem = unique("listed").replace("-", "x")
    created = [f"{stem}-{letter}" for letter in "cadb"]
    for name in created:
        make(operation, name)
    call = getattr(cloud.sagemaker, operation)

    def names(found: Any) -> list[str]:
        return [item[member] for item in found[answer]]

    expected = created[::-1] if order == "Descending" else created
    assert names(call(NameContains=stem)) == expected
    first = call(NameContains=stem, SortBy="Name", SortOrder="Ascending", MaxResults=2)
    assert names(first) == [f"{stem}-a", f"{stem}-b"]
    make(operation, f"{stem}-0")
    make(operation, f"{stem}-e")
    request = {"NameContains": stem, "SortBy": "Name", "SortOrder": "Ascending"}
    rest = call(**request, NextToken=first["NextToken"])
    assert names(rest) == [f"{stem}-c", f"{stem}-d", f"{stem}-e"]
    assert "NextToken" not in rest
    invalid = ("ValidationException", "The provided NextToken is invalid.")
    assert refusal(call, NameContains="other", NextToken=first["NextToken"]) == invalid
    assert refusal(call, NextToken="MTA=") == invalid
    for other in LISTS:
        if other != operation:
            assert refusal(getattr(cloud.sagemaker, other), **request, NextToken=first["NextToken"]) == invalid
    assert "at 'maxResults' failed to satisfy constraint" in refusal(call, MaxResults=101)[1]


@pytest.mark.parametrize("operation", LISTS)
def test_times_bound_a_list(cloud: Any, make: Callable[[str, str], None], unique: Any, operation: str) -> None:
    answer, member, _ = LISTS[operation]
    name = unique("timed")
    make(operation, name)
    call = getattr(cloud.sagemaker, operation)
    now, hour = datetime.now(UTC), timedelta(hours=1)
    assert [item[member] for item in call(NameContains=name, CreationTimeAfter=now - hour)[answer]] == [name]
    assert call(NameContains=name, CreationTimeAfter=now + hour)[answer] == []
    assert call(NameContains=name, CreationTimeBefore=now - hour)[answer] == []


def test_endpoints_by_status_and_change(cloud: Any, make: Callable[[str, str], None], unique: Any) -> None:
    name = unique("stated")
    make("list_endpoints", name)
    cloud.settled(name)
    modified = cloud.describe(name)["LastModifiedTime"]

    def found(**request: Any) -> list[str]:
        return [
            item["EndpointName"] for item in cloud.sagemaker.list_endpoints(NameContains=name, **request)["Endpoints"]
        ]

    assert found(StatusEquals="InService", SortBy="Status") == [name]
    assert found(StatusEquals="Failed") == []
    assert found(LastModifiedTimeAfter=modified - timedelta(hours=1)) == [name]
    assert found(LastModifiedTimeBefore=modified - timedelta(hours=1)) == []


@pytest.mark.parametrize("order", ["Ascending", "Descending"])
@pytest.mark.parametrize("sort_by", ["Name", "CreationTime"])
def test_a_paginator_sees_everything_once_while_others_create_and_delete(
    cloud: Any, make: Callable[[str, str], None], unique: Any, sort_by: str, order: str
) -> None:
    stem = unique("walked").replace("-", "x")
    lasting = [f"{stem}-{number:02}" for number in range(12)]
    for name in lasting:
        make("list_models", name)
    stop = threading.Event()

    def disturb() -> None:
        number = 0
        while not stop.is_set():
            name = f"{stem}-{number % 12:02}-{number}"
            make("list_models", name)
            if number % 2:
                cloud.sagemaker.delete_model(ModelName=name)
            number += 1

    thread = threading.Thread(target=disturb)
    thread.start()
    try:
        for _ in range(5):
            pages = cloud.sagemaker.get_paginator("list_models").paginate(
                NameContains=stem, SortBy=sort_by, SortOrder=order, PaginationConfig={"PageSize": 3}
            )
            seen = []
            for page in pages:
                seen += [item["ModelName"] for item in page["Models"]]
                if len(seen) > 60:
                    stop.set()
            assert len(seen) == len(set(seen))
            assert set(lasting) <= set(seen)
    finally:
        stop.set()
        thread.join()
