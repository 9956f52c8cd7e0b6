"""Models, endpoint configurations, shadow rules."""

from __future__ import annotations

from typing import Any

from tests.aws.conformance.table import ARN, Fact, World, refused
from tests.aws.conftest import BUCKET, IMAGE, ROLE, Cloud

_CONTAINER = {"Image": IMAGE, "ModelDataUrl": f"s3://{BUCKET}/none/model.tar.gz"}
_MODEL: dict[str, Any] = {"ModelName": "conformance", "ExecutionRoleArn": ROLE}
_VARIANT = Cloud.variant("v", "MODEL")
_CONFIG: dict[str, Any] = {"EndpointConfigName": "conformance", "ProductionVariants": [_VARIANT]}
_SHADOW = Cloud.variant("shadow", "MODEL")
_CONTROL = "tests/aws/test_control_plane.py::"


def _shadowed(production: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    return {
        "EndpointConfigName": "conformance",
        "ProductionVariants": [{**_VARIANT, **(production or {})}],
        "ShadowProductionVariants": [{**_SHADOW, **changes}],
    }


def _defaults(world: World) -> None:
    variant = {
        name: value for name, value in world.cloud.variant("v", world.model).items() if name != "InitialVariantWeight"
    }
    made = world.cloud.config([variant])
    shown = world.cloud.sagemaker.describe_endpoint_config(EndpointConfigName=made)
    assert shown["ProductionVariants"][0]["InitialVariantWeight"] == 1.0


def _shown_as_sent(world: World) -> None:
    shown = world.cloud.sagemaker.describe_model(ModelName=world.model)
    assert shown["ModelArn"] == f"{ARN}:model/{world.model}"
    assert shown["Containers"][0]["Mode"] == "SingleModel"


def _summary(world: World) -> None:
    summary = world.described["DataCaptureConfig"]
    assert set(summary) == {
        "EnableCapture",
        "CaptureStatus",
        "CurrentSamplingPercentage",
        "DestinationS3Uri",
        "KmsKeyId",
    }
    assert summary["CaptureStatus"] == "Started"


def _unmodelled_code(world: World) -> None:
    assert not hasattr(world.cloud.sagemaker.exceptions, "ValidationException")
    assert hasattr(world.cloud.sagemaker.exceptions, "ResourceLimitExceeded")


FACTS = [
    Fact(
        "1.1/model-name",
        "D",
        "ModelName: at most 63 of letters, digits and inner hyphens",
        refused(
            "create_model", "1 validation error detected: Value 'a_b' at 'modelName'", **{**_MODEL, "ModelName": "a_b"}
        ),
    ),
    Fact(
        "1.1/containers-exclusive",
        "D",
        "PrimaryContainer excludes Containers",
        refused(
            "create_model", "You can specify either", **_MODEL, PrimaryContainer=_CONTAINER, Containers=[_CONTAINER]
        ),
    ),
    Fact("1.1/arn", "D", "CreateModel answers the model's ARN; its Mode is SingleModel unless said", _shown_as_sent),
    Fact(
        "1.1/environment",
        "D",
        "Environment: 100 entries, 1024 bytes each, 32 KB in all",
        proofs=(
            f"{_CONTROL}test_what_create_model_refuses",
            f"{_CONTROL}test_environments_have_a_hundred_entries_at_most",
        ),
    ),
    Fact(
        "1.1/model-data",
        "D",
        "ModelDataUrl or ModelDataSource; S3Prefix ends in a slash",
        proofs=(f"{_CONTROL}test_how_model_data_may_be_named",),
    ),
    Fact(
        "1.1/registry",
        "D",
        "A container may name a model package version, which gives image and data and must be approved",
        proofs=(
            "tests/aws/test_model_packages.py::test_an_endpoint_serves_the_package_of_its_model",
            "tests/aws/test_model_packages.py::test_a_version_must_be_approved",
            "tests/aws/test_model_packages.py::test_approval_can_be_made_needless",
        ),
        setting="model_package_approval",
    ),
    Fact(
        "1.1/no-symlinks",
        "D",
        "model.tar.gz holds no links that lead out of it",
        proofs=("tests/unit/local/test_model_data.py::test_what_is_unsafe_or_broken_is_refused",),
    ),
    Fact(
        "1.1/network-isolation",
        "D",
        "EnableNetworkIsolation cuts the container off",
        missing="stored and shown; processes share the machine's network",
    ),
    Fact(
        "1.2/name-exists-endpoint",
        "O",
        'Cannot create already existing endpoint "<arn>".',
        refused(
            "create_endpoint",
            f'Cannot create already existing endpoint "{ARN}:endpoint/ENDPOINT".',
            EndpointName="ENDPOINT",
            EndpointConfigName="CONFIG",
        ),
    ),
    Fact(
        "1.2/name-exists-config",
        "O",
        'Cannot create already existing endpoint configuration "<arn>".',
        refused(
            "create_endpoint_config",
            f'Cannot create already existing endpoint configuration "{ARN}:endpoint-config/CONFIG".',
            **{**_CONFIG, "EndpointConfigName": "CONFIG"},
        ),
    ),
    Fact(
        "1.2/name-exists-model",
        "O",
        "Cannot create already existing model",
        refused(
            "create_model",
            f'Cannot create already existing model "{ARN}:model/MODEL".',
            ModelName="MODEL",
            ExecutionRoleArn=ROLE,
            PrimaryContainer=_CONTAINER,
        ),
    ),
    Fact(
        "1.2/no-endpoint",
        "O",
        'Could not find endpoint "<arn>".',
        refused("describe_endpoint", f'Could not find endpoint "{ARN}:endpoint/none".', EndpointName="none"),
    ),
    Fact(
        "1.2/no-config",
        "O",
        'Could not find endpoint configuration "<arn>".',
        refused(
            "create_endpoint",
            f'Could not find endpoint configuration "{ARN}:endpoint-config/none".',
            EndpointName="conformance",
            EndpointConfigName="none",
        ),
    ),
    Fact(
        "1.2/no-model",
        "O",
        'Could not find model "<arn>".',
        refused("delete_model", f'Could not find model "{ARN}:model/none".', ModelName="none"),
    ),
    Fact(
        "1.2/bad-field",
        "O",
        "N validation error(s) detected: Value '…' at 'productionVariants.1.member.modelName' failed to satisfy …",
        refused(
            "create_endpoint_config",
            "1 validation error detected: Value 'a_b' at 'productionVariants.1.member.modelName' failed to satisfy "
            "constraint: Member must satisfy regular expression pattern: ",
            EndpointConfigName="conformance",
            ProductionVariants=[Cloud.variant("v", "a_b")],
        ),
        proofs=("tests/aws/test_constraints.py::test_each_constraint_is_checked",),
    ),
    Fact(
        "1.2/bad-map",
        "O",
        "A map or list of scalars is echoed whole: Map value must satisfy constraint: [Member must have length …]",
        refused(
            "create_model",
            "1 validation error detected: Value '{A="
            + "x" * 1025
            + "}' at 'primaryContainer.environment' failed to satisfy constraint: Map value must satisfy constraint: "
            "[Member must have length less than or equal to 1024, Member must have length greater than or equal to 0, "
            "Member must satisfy regular expression pattern: [\\S\\s]*]",
            **_MODEL,
            PrimaryContainer={**_CONTAINER, "Environment": {"A": "x" * 1025}},
        ),
    ),
    Fact(
        "1.2/model-data-unreadable",
        "O",
        "CreateModel itself answers: Could not access model data at s3://…",
        refused(
            "create_model",
            f"Could not access model data at {_CONTAINER['ModelDataUrl']}. ",
            **_MODEL,
            PrimaryContainer=_CONTAINER,
        ),
    ),
    Fact(
        "1.2/ecr",
        "O",
        "CreateModel refuses an image that its role cannot pull",
        missing="images are not run, so nothing is pulled",
    ),
    Fact(
        "1.2/quota", "O", "ResourceLimitExceeded", proofs=("tests/aws/test_quotas.py::test_a_new_endpoint_has_to_fit",)
    ),
    Fact(
        "1.2/throttled",
        "O",
        "ThrottlingException: Rate exceeded",
        proofs=("tests/aws/test_faults.py::test_refusals_in_the_words_of_each_protocol",),
    ),
    Fact(
        "1.2/code-not-modelled",
        "D",
        "ValidationException is no modelled exception of boto3's client; ResourceLimitExceeded is one",
        _unmodelled_code,
    ),
    Fact(
        "1.2/no-cascade",
        "D",
        "What is in use may be deleted; nothing cascades",
        proofs=(f"{_CONTROL}test_what_is_in_use_may_be_deleted_and_nothing_goes_with_it",),
    ),
    Fact("2.1/weight-default", "D", "InitialVariantWeight is 1.0 unless said", _defaults),
    Fact(
        "2.1/unique-names",
        "O",
        "Variant names are unique within a configuration",
        refused(
            "create_endpoint_config",
            "Variant names must be unique",
            EndpointConfigName="conformance",
            ProductionVariants=[_VARIANT, _VARIANT],
        ),
    ),
    Fact(
        "2.1/eleven-variants",
        "D",
        "At most 10 production variants",
        lambda world: refused(
            "create_endpoint_config",
            "1 validation error detected: Value '[",
            EndpointConfigName="conformance",
            ProductionVariants=[Cloud.variant(f"v{n}", world.model) for n in range(11)],
        )(world),
    ),
    Fact(
        "2.1/volume-size",
        "D",
        "VolumeSizeInGB is 1 to 512",
        refused(
            "create_endpoint_config",
            "1 validation error detected: Value '513' at 'productionVariants.1.member.volumeSizeInGB'",
            **{**_CONFIG, "ProductionVariants": [{**_VARIANT, "VolumeSizeInGB": 513}]},
        ),
    ),
    Fact(
        "2.1/startup-timeout",
        "D",
        "ContainerStartupHealthCheckTimeoutInSeconds is 60 to 3600",
        refused(
            "create_endpoint_config",
            "1 validation error detected: Value '3601' at",
            **{**_CONFIG, "ProductionVariants": [{**_VARIANT, "ContainerStartupHealthCheckTimeoutInSeconds": 3601}]},
        ),
    ),
    Fact(
        "2.1/managed-scaling",
        "O",
        "ManagedInstanceScaling is for variants without a model, the homes of inference components",
        refused(
            "create_endpoint_config",
            "ManagedInstanceScaling is only supported for inference component endpoints.",
            **{
                **_CONFIG,
                "ProductionVariants": [
                    {**_VARIANT, "ManagedInstanceScaling": {"Status": "ENABLED", "MinInstanceCount": 1}}
                ],
            },
        ),
    ),
    Fact("2.1/serverless", "D", "ServerlessConfig", missing="refused when an endpoint is asked for"),
    Fact(
        "2.2/one-shadow",
        "D",
        "At most one shadow variant",
        refused(
            "create_endpoint_config",
            "",
            **{**_CONFIG, "ShadowProductionVariants": [_SHADOW, {**_SHADOW, "VariantName": "s2"}]},
        ),
    ),
    Fact(
        "2.2/one-production",
        "D",
        "A shadow goes with exactly one production variant",
        refused(
            "create_endpoint_config",
            "",
            **{
                **_CONFIG,
                "ProductionVariants": [_VARIANT, {**_VARIANT, "VariantName": "v2"}],
                "ShadowProductionVariants": [_SHADOW],
            },
        ),
    ),
    Fact(
        "2.2/inf1",
        "D",
        "No shadow on Inf1",
        refused(
            "create_endpoint_config",
            "Shadow variants are not supported on Inf1",
            **_shadowed(InstanceType="ml.inf1.xlarge"),
        ),
    ),
    Fact(
        "2.2/exclusions",
        "D",
        "No shadow with serverless, asynchronous, multi-model or multi-container endpoints",
        proofs=(f"{_CONTROL}test_what_a_shadow_excludes", f"{_CONTROL}test_a_shadow_of_several_containers_is_refused"),
    ),
    Fact(
        "2.2/same-name",
        "?",
        "A shadow of the production variant's name is refused: nothing else tells metrics and captures apart",
        refused("create_endpoint_config", "Variant names must be unique", **_shadowed(VariantName="v")),
    ),
    Fact(
        "2.2/production-answers",
        "D",
        "The caller always gets the production variant's answer",
        lambda world: _production_answers(world),
    ),
    Fact(
        "2.3/share",
        "I",
        "The mirrored share is min(1, shadow weight / production weight)",
        proofs=(
            "tests/aws/test_runtime.py::test_the_weights_give_the_mirrored_share",
            "tests/aws/test_open_questions.py::test_the_share_is_the_shadows_weight_whatever_productions_is",
        ),
        setting="mirror_share",
    ),
    Fact("2.4/summary", "D", "DescribeEndpoint shows a summary of the capture with exactly five members", _summary),
    Fact(
        "2.4/percentage",
        "D",
        "InitialSamplingPercentage is 0 to 100",
        lambda world: refused(
            "create_endpoint_config",
            "1 validation error detected: Value '101' at 'dataCaptureConfig.initialSamplingPercentage'",
            **_CONFIG,
            DataCaptureConfig=world.cloud.capture_config("p", 101),
        )(world),
    ),
    Fact(
        "2.5/consistency",
        "D",
        "CreateEndpoint may not yet see a new configuration",
        proofs=(
            "tests/aws/test_open_questions.py::test_guardrails_are_refused_beside_a_shadow_and_configurations_are_seen_late",
        ),
        setting="config_consistency_seconds",
    ),
]


def _production_answers(world: World) -> None:
    assert world.cloud.invoke(world.endpoint)["InvokedProductionVariant"] == "production"
