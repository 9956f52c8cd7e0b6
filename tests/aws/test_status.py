"""What the status page says of endpoints, as the live view shows it."""

from __future__ import annotations

import json
import os
import signal
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest

from shadow_provider.local import LocalAWS
from shadow_provider.local.faults import VariantFault

SLOW = """
import time

def model_fn(model_dir):
    time.sleep(3)

def predict_fn(data, model):
    return data
"""


def test_roles_shares_and_healthy_processes(cloud: Any, status: Callable[[str], Any], wait_until: Any) -> None:
    model = cloud.model()
    production = [cloud.variant("p", model, InitialVariantWeight=4, InitialInstanceCount=2)]
    endpoint = cloud.endpoint(cloud.config(production, [cloud.variant("s", model, InitialVariantWeight=1)]))
    found = {variant["name"]: variant for variant in status(endpoint)["variants"]}
    assert {name: (each["role"], each["share"]) for name, each in found.items()} == {
        "p": ("production", 1.0),
        "s": ("shadow", 0.25),
    }
    assert (found["p"]["healthy"], len(found["p"]["pids"])) == (2, 2)
    assert status(endpoint)["pending"] is None
    os.kill(found["p"]["pids"][0], signal.SIGKILL)
    wait_until(lambda: status(endpoint)["variants"][0]["healthy"] == 1)
    wait_until(lambda: status(endpoint)["variants"][0]["healthy"] == 2)


def test_shares_of_two_production_variants(cloud: Any, status: Callable[[str], Any]) -> None:
    model = cloud.model()
    variants = [cloud.variant("a", model, InitialVariantWeight=3), cloud.variant("b", model, InitialVariantWeight=1)]
    endpoint = cloud.endpoint(cloud.config(variants))
    assert [variant["share"] for variant in status(endpoint)["variants"]] == [0.75, 0.25]


def test_latency_is_in_milliseconds_and_absent_without_requests(
    local_aws: LocalAWS, cloud: Any, status: Callable[[str], Any]
) -> None:
    endpoint = cloud.endpoint(cloud.config([cloud.variant("v", cloud.model())]))
    assert status(endpoint)["variants"][0]["latency_ms"] is None
    with local_aws.fault(VariantFault(kind="latency", seconds=0.2, endpoint=endpoint)):
        cloud.invoke(endpoint)
    latency = status(endpoint)["variants"][0]["latency_ms"]
    assert 200 <= latency["p50"] <= latency["p99"] < 2000


def test_a_deployment_under_way(cloud: Any, status: Callable[[str], Any]) -> None:
    endpoint = cloud.endpoint(cloud.config([cloud.variant("v", cloud.model())]))
    config = cloud.config([cloud.variant("v", cloud.model(SLOW), InitialInstanceCount=2)])
    cloud.sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName=config)
    pending = status(endpoint)["pending"]
    assert pending["endpoint_config"] == config
    (variant,) = pending["variants"]
    assert (variant["name"], variant["role"], variant["instances"], variant["desired"]) == ("v", "production", 0, 2)
    assert variant["stages"] == ["Creating"]


def test_the_overview_is_all_of_it_at_once(local_aws: LocalAWS, cloud: Any) -> None:
    fault = local_aws.faults.add(VariantFault(kind="error", endpoint="nobody"))
    cloud.sagemaker.list_models()
    cloud.sagemaker.list_endpoints()
    url = f"{local_aws.endpoint_url}/_local/overview?exclude=ListModels&limit=1"
    found = json.load(urllib.request.urlopen(url))
    assert found["status"].keys() == local_aws.status().keys()
    assert [each["id"] for each in found["faults"]] == [fault.id]
    (call,) = found["calls"]
    assert (call["operation"], call["sequence"]) == ("ListEndpoints", found["last"])


@pytest.mark.parametrize("query", ["since=x", "limit=-1", "colour=red"])
def test_a_wrong_filter_is_refused(local_aws: LocalAWS, query: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"{local_aws.endpoint_url}/_local/overview?{query}")
    with caught.value:
        assert caught.value.code == 400
        assert query.partition("=")[0] in json.load(caught.value)["error"]
