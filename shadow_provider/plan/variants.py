"""What may be asked of the two variants, and the rules that SageMaker has for a shadow.

Rules: one shadow variant beside exactly one production variant; no serverless, asynchronous, multi-model or
multi-container variant (SageMaker developer guide, shadow tests, exclusions).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, field_validator, model_validator

from shadow_provider.plan.arguments import InstanceType, MaybeNone, Name, S3Uri, Specification

DEFAULT_PRODUCTION_VARIANT = "AllTraffic"
DEFAULT_SHADOW_VARIANT = "Shadow"

InstanceCount = Annotated[int, Field(ge=1)]
_REFUSED = {
    "serverless_config": "serverless variants cannot be shadowed or be shadows",
    "async_inference_config": "asynchronous endpoints cannot have a shadow variant",
}


class Container(Specification):
    """The one container of a model, in AWS's own terms (``ContainerDefinition``).

    Attributes:
        image: registry path of the serving image, in the endpoint's region.
        model_data_url: ``s3://…/model.tar.gz``.
        model_package_name: name or ARN of a model package, instead of image and data.
        environment: variables of the container. Do not put secrets here: SageMaker shows them to whoever may describe
            the model.
        mode: only ``SingleModel`` can be shadowed.
    """

    image: Annotated[Annotated[str, Field(max_length=255)] | None, MaybeNone] = None
    model_data_url: Annotated[S3Uri | None, MaybeNone] = None
    model_package_name: Annotated[Annotated[str, Field(max_length=176)] | None, MaybeNone] = None
    environment: Annotated[dict[str, str] | None, MaybeNone] = None
    mode: Annotated[str | None, MaybeNone] = None

    @field_validator("mode")
    @classmethod
    def _single_model_only(cls, value: str | None) -> str | None:
        if value not in (None, "SingleModel"):
            raise ValueError("must be SingleModel: multi-model containers cannot be shadowed or be shadows")
        return value

    @model_validator(mode="after")
    def _image_or_package(self) -> Container:
        if (self.image is None) == (self.model_package_name is None):
            raise ValueError("give either image (with model_data_url) or model_package_name, and not both")
        return self

    def to_aws(self) -> dict[str, Any]:
        """Return the ``ContainerDefinition``, with what was not given left out."""
        return self.model_dump(by_alias=True, exclude_none=True)


class _Variant(Specification):
    @model_validator(mode="before")
    @classmethod
    def _exclusions(cls, value: Any) -> Any:
        if isinstance(value, Mapping):
            for key, rule in _REFUSED.items():
                alias = "".join(part.title() for part in key.split("_"))
                if value.get(key) is not None or value.get(alias) is not None:
                    raise ValueError(rule)
        return value


class ProductionVariant(_Variant):
    """The production variant of an endpoint that the deployment makes itself.

    Attributes:
        variant_name: kept for good: promotion puts the candidate's model under this same name.
        instance_type: for example ``ml.m5.xlarge``.
        initial_instance_count: number of instances, at least 1.
        initial_variant_weight: must be 1.0, so that the shadow's weight is the share of requests that is copied.
    """

    variant_name: Name = DEFAULT_PRODUCTION_VARIANT
    instance_type: InstanceType
    initial_instance_count: InstanceCount = 1
    initial_variant_weight: float = 1.0

    @field_validator("initial_variant_weight")
    @classmethod
    def _weight_one(cls, value: float) -> float:
        if value != 1.0:
            raise ValueError(
                "must be 1.0: with any other weight SageMaker does not document which share of requests is copied; "
                "give sampling_percentage instead"
            )
        return value


class ShadowVariant(_Variant):
    """The shadow variant.

    Attributes:
        variant_name: must differ from the production variant's.
        instance_type: as production's where not given; another type makes latencies incomparable.
        initial_instance_count: as production's present count where not given.
        initial_variant_weight: not to be given; ``sampling_percentage`` says it.
    """

    variant_name: Name = DEFAULT_SHADOW_VARIANT
    initial_variant_weight: Annotated[float | None, MaybeNone, Field(exclude=True)] = None
    instance_type: Annotated[InstanceType | None, MaybeNone] = None
    initial_instance_count: Annotated[InstanceCount | None, MaybeNone] = None

    @field_validator("initial_variant_weight")
    @classmethod
    def _by_percentage(cls, value: float | None) -> None:
        if value is not None:
            raise ValueError("give sampling_percentage instead; it becomes the weight, beside production's 1.0")


class DataCapture(Specification):
    """Where requests and answers of both variants are captured while the shadow runs.

    Attributes:
        destination_s3_uri: prefix; SageMaker adds ``/<endpoint>/<variant>/yyyy/mm/dd/hh/``.
        sampling_percentage: share of requests captured. With less than 100 it is not documented whether SageMaker
            samples the two variants together, so pairs may be rarer than this.
        kms_key_id: key that encrypts the captured objects.
        csv_content_types: captured as text with encoding ``CSV``.
        json_content_types: captured as text with encoding ``JSON``.
    """

    destination_s3_uri: S3Uri
    sampling_percentage: Annotated[int, Field(ge=1, le=100)] = 100
    kms_key_id: Annotated[str | None, MaybeNone] = None
    csv_content_types: tuple[str, ...] = ("text/csv",)
    json_content_types: tuple[str, ...] = ("application/json",)

    @field_validator("destination_s3_uri")
    @classmethod
    def _destination_length(cls, value: str) -> str:
        if len(value) > 512:
            raise ValueError("must have at most 512 characters")
        return value

    def to_aws(self) -> dict[str, Any]:
        """Return AWS's ``DataCaptureConfig``; input and output as two options, which every SageMaker accepts."""
        config: dict[str, Any] = {
            "EnableCapture": True,
            "InitialSamplingPercentage": self.sampling_percentage,
            "DestinationS3Uri": self.destination_s3_uri,
            "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
            "CaptureContentTypeHeader": {
                "CsvContentTypes": list(self.csv_content_types),
                "JsonContentTypes": list(self.json_content_types),
            },
        }
        if self.kms_key_id:
            config["KmsKeyId"] = self.kms_key_id
        return config
