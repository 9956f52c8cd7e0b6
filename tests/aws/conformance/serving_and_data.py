"""Capture, CloudWatch, the runtime, the container's contract."""

from __future__ import annotations

import json
import re
import time
from datetime import UTC, datetime
from typing import Any

from tests.aws.conformance.table import Fact, World, refusal
from tests.aws.conftest import poll

_CAPTURE, _RUNTIME = "tests/unit/local/test_capture.py::", "tests/aws/test_runtime.py::"
_CLOUDWATCH = "tests/aws/test_cloudwatch.py::"
_OPEN = "tests/aws/test_open_questions.py::"
_METRICS = "tests/aws/test_endpoint_metrics.py::"
_CONTAINER = "tests/unit/local/test_inference_handler.py::"


def _captured(world: World) -> dict[str, bytes]:
    """The objects, once both variants have some."""

    def both() -> Any:
        found = world.cloud.objects(f"captured-{world.endpoint}")
        return found if len({key.split("/")[2] for key in found}) == 2 else None

    found: dict[str, bytes] = poll(both)
    return found


def _keys(world: World) -> None:
    layout = re.compile(
        rf"captured-{world.endpoint}/{world.endpoint}/(production|shadow)/\d{{4}}/\d\d/\d\d/\d\d/\d\d-\d\d-\d{{3}}-[0-9a-f-]{{36}}\.jsonl"
    )
    assert all(layout.fullmatch(key) for key in _captured(world))


def _records(world: World) -> None:
    for content in _captured(world).values():
        for line in content.splitlines():
            record = json.loads(line)
            assert set(record) == {"captureData", "eventMetadata", "eventVersion"}
            assert record["eventVersion"] == "0"
            assert record["captureData"]["endpointInput"]["mode"] == "INPUT"
            assert record["captureData"]["endpointInput"]["encoding"] == "CSV"
            assert record["eventMetadata"].get("inferenceId", "conformance") == "conformance"
            datetime.strptime(record["eventMetadata"]["inferenceTime"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


def _metrics(world: World) -> None:
    def names() -> set[str]:
        found = world.cloud.cloudwatch.list_metrics(
            Namespace="AWS/SageMaker", Dimensions=[{"Name": "EndpointName", "Value": world.endpoint}]
        )["Metrics"]
        own = {(one["Dimensions"][-1]["Value"], one["MetricName"]) for one in found if len(one["Dimensions"]) == 2}
        return {name for variant, name in own if variant == "shadow"}

    wanted = {"Invocations", "InvocationsPerInstance", "ModelLatency", "OverheadLatency"}
    wanted |= {"Invocation4XXErrors", "Invocation5XXErrors", "InvocationModelErrors"}
    poll(lambda: wanted <= names())


def _statistics(world: World, **others: Any) -> dict[str, Any]:
    asked = {
        "Namespace": "AWS/SageMaker",
        "MetricName": "Invocations",
        "Dimensions": [
            {"Name": "EndpointName", "Value": world.endpoint},
            {"Name": "VariantName", "Value": "production"},
        ],
        "StartTime": time.time() - 600,
        "EndTime": time.time() + 60,
        "Period": 60,
        "Statistics": ["Sum"],
    }
    return {**asked, **others}


def _partial_dimensions(world: World) -> None:
    asked = _statistics(world, Dimensions=[{"Name": "EndpointName", "Value": world.endpoint}])
    assert world.cloud.cloudwatch.get_metric_statistics(**asked)["Datapoints"] == []


def _wrong_unit(world: World) -> None:
    assert world.cloud.cloudwatch.get_metric_statistics(**_statistics(world, Unit="Bytes"))["Datapoints"] == []


def _too_many(world: World) -> None:
    asked = _statistics(world, StartTime=time.time() - 1441 * 60)
    assert "limit of 1,440" in refusal(world.cloud.cloudwatch.get_metric_statistics, **asked)[1]


def _both_statistics(world: World) -> None:
    refusal(world.cloud.cloudwatch.get_metric_statistics, **_statistics(world, ExtendedStatistics=["p99"]))


def _odd_period(world: World) -> None:
    refusal(world.cloud.cloudwatch.get_metric_statistics, **_statistics(world, Period=90))


def _runtime_code(world: World) -> None:
    code, message = refusal(world.cloud.runtime.invoke_endpoint, EndpointName="none", Body=b"1")
    assert (code, message) == ("ValidationError", "Endpoint none of account 123456789012 not found.")


def _inference_id(world: World) -> None:
    assert refusal(world.cloud.invoke, name=world.endpoint, InferenceId="x" * 65)[0] == "ValidationError"


def _case(world: World) -> None:
    assert refusal(world.cloud.invoke, name=world.endpoint.upper())[0] == "ValidationError"


def _target_shadow(world: World) -> None:
    assert refusal(world.cloud.invoke, name=world.endpoint, TargetVariant="shadow")[0] == "ValidationError"


FACTS = [
    Fact(
        "4.1/keys",
        "D",
        "<endpoint>/<variant>/yyyy/mm/dd/hh/MM-SS-mmm-<uuid>.jsonl, the shadow under its own name",
        _keys,
    ),
    Fact(
        "4.1/rotation",
        "I",
        "An object for each instance, hour and interval",
        proofs=(f"{_CAPTURE}test_an_hour_has_its_own_object", f"{_CAPTURE}test_each_instance_has_its_own_objects"),
    ),
    Fact(
        "4.1/disk",
        "D",
        "Capture stops when the disk is nearly full",
        missing="nothing measures the disk of an instance",
    ),
    Fact("4.2/record", "O", "Members, modes, encodings, times of a record", _records),
    Fact(
        "4.2/encoding",
        "D",
        "CSV or JSON by the listed content types, else base64",
        proofs=(f"{_CAPTURE}test_the_content_type_decides_the_encoding",),
    ),
    Fact(
        "4.2/options",
        "D",
        "Only what CaptureOptions name is captured",
        proofs=(f"{_CAPTURE}test_only_what_the_options_name_is_captured",),
    ),
    Fact(
        "4.3/inference-id",
        "O",
        "Both variants' records carry the caller's inference id",
        proofs=("tests/aws/test_seed.py::test_captures_of_both_variants_pair_by_inference_id",),
    ),
    Fact(
        "4.3/event-id",
        "?",
        "Whether both records share the eventId",
        proofs=(f"{_CAPTURE}test_event_ids_are_own_or_shared",),
        setting="capture_event_id",
    ),
    Fact(
        "4.3/sampling",
        "?",
        "Whether capture is sampled once per request or per variant",
        proofs=(f"{_CAPTURE}test_sampling_is_per_variant_or_per_request",),
        setting="capture_sampling",
    ),
    Fact(
        "4.3/failed",
        "?",
        "What is captured of a failed call",
        proofs=(f"{_CAPTURE}test_failed_invocations_follow_the_setting",),
        setting="capture_failed_invocations",
    ),
    Fact("4.3/payload-cap", "?", "Largest payload that is captured", missing="payloads are captured whole"),
    Fact(
        "4.4/ground-truth",
        "D",
        "Ground truth beside the captures",
        missing="it is the caller who writes it; nothing of AWS's is to be modelled",
    ),
    Fact(
        "5.1/metrics", "D", "Invocations, errors and latencies for both variants, told apart by VariantName", _metrics
    ),
    Fact(
        "5.1/units-and-sums",
        "D",
        "Units, counts and percentiles of the endpoint's metrics",
        proofs=(f"{_CLOUDWATCH}test_endpoint_metrics_of_both_variants",),
    ),
    Fact(
        "5.1/enhanced",
        "D",
        "Enhanced metrics are told apart by InstanceId",
        proofs=(f"{_METRICS}test_enhanced_metrics_tell_the_instances_apart",),
    ),
    Fact("5.1/streaming", "D", "Metrics of streams", missing="there is no streaming"),
    Fact(
        "5.2/utilization",
        "D",
        "CPU, memory and disk of each instance",
        proofs=(f"{_METRICS}test_utilization_is_that_of_the_processes_and_their_children",),
    ),
    Fact("5.2/gpu", "D", "GPU and GPU memory", missing="nothing looks for a GPU"),
    Fact(
        "5.3/idle",
        "?",
        "Whether a minute without traffic has no datapoint or a zero",
        proofs=(f"{_METRICS}test_idle_minutes_can_have_zeros",),
        setting="idle_metrics",
    ),
    Fact("5.3/exact-dimensions", "D", "A part of the dimensions finds nothing", _partial_dimensions),
    Fact("5.3/unit", "D", "Another unit finds nothing", _wrong_unit),
    Fact("5.3/1440", "D", "At most 1440 datapoints per GetMetricStatistics", _too_many),
    Fact("5.3/either-statistics", "D", "Statistics or ExtendedStatistics", _both_statistics),
    Fact("5.3/period", "D", "Period is a multiple of 60", _odd_period),
    Fact(
        "5.3/retention",
        "D",
        "Old data is kept in long periods only",
        proofs=("tests/unit/local/test_metric_store.py::test_old_values_are_seen_in_long_periods_only",),
    ),
    Fact(
        "5.3/pages",
        "D",
        "GetMetricData: newest first, pages of datapoints",
        proofs=(f"{_CLOUDWATCH}test_many_datapoints_come_in_pages", f"{_CLOUDWATCH}test_periods_order_and_edges"),
    ),
    Fact(
        "5.3/lag",
        "I",
        "Values are seen minutes later",
        proofs=("tests/unit/local/test_metric_store.py::test_values_can_be_seen_after_the_lag",),
        setting="metric_lag_seconds",
    ),
    Fact(
        "5.3/throttles",
        "D",
        "Calls per second",
        proofs=("tests/aws/test_faults.py::test_refusals_in_the_words_of_each_protocol",),
    ),
    Fact(
        "5.4/protocols",
        "O",
        "JSON 1.0 and 1.1, REST-JSON, and the query protocol of older SDKs",
        proofs=("tests/clients/test_clients.py", f"{_CLOUDWATCH}test_the_query_protocol_of_older_sdks"),
    ),
    Fact("5.4/cbor", "O", "CloudWatch in CBOR", missing="no client of the supported ones chooses it"),
    Fact(
        "6.1/headers",
        "D",
        "Inference id, custom attributes, accept and content type reach the model; other headers do not",
        proofs=(f"{_RUNTIME}test_headers_go_through",),
    ),
    Fact("6.1/inference-id", "D", "InferenceId has at most 64 characters", _inference_id),
    Fact("6.1/case", "D", "The endpoint's name is matched exactly when it is invoked", _case),
    Fact(
        "6.1/target-shadow",
        "?",
        "TargetVariant that names a shadow",
        _target_shadow,
        proofs=(
            f"{_OPEN}test_a_shadow_that_is_asked_for_answers",
            f"{_OPEN}test_a_shadow_that_is_asked_for_answers_while_traffic_shifts",
        ),
        setting="target_variant_shadow",
    ),
    Fact(
        "6.2/payload",
        "D",
        "A largest payload: 25 MB, or 6 MB by the service model",
        proofs=(
            "tests/aws/test_fuzz.py::test_what_is_too_large_is_refused_while_it_comes",
            f"{_RUNTIME}test_a_payload_may_have_the_documented_25_mib",
            f"{_OPEN}test_the_payload_has_the_service_models_limit",
        ),
        setting="max_payload_bytes",
    ),
    Fact(
        "6.2/time",
        "D",
        "The model has 60 s",
        proofs=(f"{_RUNTIME}test_a_model_has_its_time_and_no_more",),
        setting="invocation_timeout",
    ),
    Fact("6.3/code", "D", "The runtime's code is ValidationError, not ValidationException", _runtime_code),
    Fact(
        "6.3/model-error",
        "O",
        "ModelError 424 with OriginalStatusCode and OriginalMessage",
        proofs=(f"{_RUNTIME}test_an_exception_in_the_model_is_a_model_error",),
    ),
    Fact(
        "6.3/shadow-failure",
        "D",
        "A shadow that fails changes nothing for the caller",
        proofs=(f"{_RUNTIME}test_a_dying_shadow_changes_nothing_for_the_caller",),
    ),
    Fact(
        "6.3/slow-shadow",
        "?",
        "Whether a slow shadow costs the caller time (documented: no impact)",
        proofs=(f"{_RUNTIME}test_a_slow_shadow_changes_nothing_for_the_caller",),
    ),
    Fact(
        "6.3/streams",
        "D",
        "InvokeEndpointWithResponseStream",
        missing="not implemented: UnknownOperationException, whether the call is signed or not",
    ),
    Fact("12/streams", "?", "Whether streams are mirrored and captured", missing="there is no streaming"),
    Fact(
        "7/start",
        "D",
        "GET /ping until the startup window is over",
        proofs=("tests/aws/test_lifecycle.py::test_a_variants_own_startup_limit_counts",),
    ),
    Fact(
        "7/environment",
        "D",
        "The container gets its own environment",
        proofs=("tests/aws/test_lifecycle.py::test_the_container_gets_its_environment_and_not_ours",),
    ),
    Fact(
        "7/functions",
        "D",
        "model_fn, input_fn, predict_fn, output_fn or transform_fn, each with context if it takes one",
        proofs=(
            f"{_CONTAINER}test_functions_may_take_a_context",
            f"{_CONTAINER}test_transform_fn_excludes_the_functions_it_replaces",
        ),
    ),
    Fact(
        "7/read-only",
        "D",
        "/opt/ml/model is read-only",
        missing="a process reads its model where it was unpacked; nothing keeps it from writing there",
    ),
]
