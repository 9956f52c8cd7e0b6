"""SageMaker's control plane: the operations, each checked against its shape and then against AWS's rules."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from shadow_provider.local.errors import UnsupportedLocally, ValidationException, not_found, unknown_operation
from shadow_provider.local.moto_bridge import LocalS3
from shadow_provider.local.sagemaker.autoscaling import ScalableTargets
from shadow_provider.local.sagemaker.change_rules import deployment_config_of, desired_of, retained, rollout_of
from shadow_provider.local.sagemaker.config_rules import check_config, plan_variants
from shadow_provider.local.sagemaker.describe import describe_endpoint
from shadow_provider.local.sagemaker.listing import ENDPOINT_CONFIGS, ENDPOINTS, MODELS, listed, refuse_token
from shadow_provider.local.sagemaker.model_registry import ModelRegistry
from shadow_provider.local.sagemaker.model_rules import check_model, containers_of
from shadow_provider.local.sagemaker.quotas import check_quotas, growth_of, instances_of
from shadow_provider.local.sagemaker.resources import Resource, ResourceStore, TagStore
from shadow_provider.local.serving.deployment import VariantPlan
from shadow_provider.local.serving.endpoint import Endpoint
from shadow_provider.local.serving.endpoints import Endpoints
from shadow_provider.local.serving.rollout_plan import RolloutPlan, check_policy, plan_rollout
from shadow_provider.local.settings import LocalSettings
from shadow_provider.local.validation import service_model, validate

Json = dict[str, Any]
_KINDS = {"model": "model", "endpoint-config": "endpoint configuration", "endpoint": "endpoint"}


class ControlPlane:
    """Answers SageMaker's JSON 1.1 operations.

    Args:
        settings: Region and account of the ARNs, and what AWS leaves open.
        endpoints: The state machine.
        s3: The local S3, for the check of model data.
        alarm_state: The state of a CloudWatch alarm, None if there is no such alarm.

    Attributes:
        scalable_targets: What Application Auto Scaling keeps of the endpoints.
    """

    def __init__(
        self,
        settings: LocalSettings,
        endpoints: Endpoints,
        s3: LocalS3,
        alarm_state: Callable[[str], str | None],
    ) -> None:
        self._settings = settings
        self._alarm_state = alarm_state
        prefix = f"arn:aws:sagemaker:{settings.region}:{settings.account_id}"
        self._endpoints = endpoints
        self._s3 = s3
        self._models = ResourceStore("model", f"{prefix}:model/")
        self._configs = ResourceStore("endpoint configuration", f"{prefix}:endpoint-config/")
        self._tags = TagStore()
        self._registry = ModelRegistry(settings, s3, self._tags)
        self.scalable_targets = ScalableTargets(settings, endpoints)
        self._quotas = settings.quotas
        self._operations: dict[str, Callable[[Json], Json]] = {
            "AddTags": self._add_tags,
            "CreateEndpoint": self._create_endpoint,
            "CreateEndpointConfig": self._create_endpoint_config,
            "CreateModel": self._create_model,
            "DeleteEndpoint": self._delete_endpoint,
            "DeleteEndpointConfig": self._delete_endpoint_config,
            "DeleteModel": self._delete_model,
            "DeleteTags": self._delete_tags,
            "DescribeEndpoint": self._describe_endpoint,
            "DescribeEndpointConfig": self._describe_endpoint_config,
            "DescribeModel": self._describe_model,
            "ListEndpointConfigs": self._list_endpoint_configs,
            "ListEndpoints": self._list_endpoints,
            "ListModels": self._list_models,
            "ListTags": self._list_tags,
            "UpdateEndpoint": self._update_endpoint,
            "UpdateEndpointWeightsAndCapacities": self._update_weights_and_capacities,
            **self._registry.operations,
        }

    @property
    def operations(self) -> list[str]:
        """Names of the operations that are implemented."""
        return sorted(self._operations)

    def call(self, operation: str, request: Json) -> Json:
        """Answers an operation; what takes time goes on after the answer, as on AWS.

        Raises:
            AwsError: In AWS's words; UnknownOperationException for what is not implemented.
        """
        handler = self._operations.get(operation)
        if handler is None:
            raise unknown_operation(operation)
        shape = service_model("sagemaker").operation_model(operation).input_shape
        assert shape is not None
        return handler(validate(shape, request))

    def _create_model(self, request: Json) -> Json:
        self._models.check_free(request["ModelName"])
        content = check_model(request, self._s3, self._registry.deployable)
        return {"ModelArn": self._store(self._models, request["ModelName"], content, request).arn}

    def _describe_model(self, request: Json) -> Json:
        model = self._models.get(request["ModelName"])
        return {**model.content, "ModelArn": model.arn, "CreationTime": model.created}

    def _delete_model(self, request: Json) -> Json:
        self._tags.forget(self._models.remove(request["ModelName"]).arn)
        return {}

    def _list_models(self, request: Json) -> Json:
        rows = [
            {"ModelName": model.name, "ModelArn": model.arn, "CreationTime": model.created} for model in self._models
        ]
        return listed(MODELS, rows, request)

    def _create_endpoint_config(self, request: Json) -> Json:
        self._configs.check_free(request["EndpointConfigName"])
        content = check_config(request, self._models.get, self._containers)
        return {"EndpointConfigArn": self._store(self._configs, request["EndpointConfigName"], content, request).arn}

    def _describe_endpoint_config(self, request: Json) -> Json:
        config = self._configs.get(request["EndpointConfigName"])
        return {**config.content, "EndpointConfigArn": config.arn, "CreationTime": config.created}

    def _delete_endpoint_config(self, request: Json) -> Json:
        self._tags.forget(self._configs.remove(request["EndpointConfigName"]).arn)
        return {}

    def _list_endpoint_configs(self, request: Json) -> Json:
        rows = [
            {"EndpointConfigName": config.name, "EndpointConfigArn": config.arn, "CreationTime": config.created}
            for config in self._configs
        ]
        return listed(ENDPOINT_CONFIGS, rows, request)

    def _create_endpoint(self, request: Json) -> Json:
        name, policy = request["EndpointName"], request.get("DeploymentConfig")
        self._endpoints.check_free(name)
        config = self._visible_config(request["EndpointConfigName"])
        production, shadows = self._plans(config)
        if policy is not None:
            check_policy(policy)
        counts = [{plan.name: plan.count for plan in plans} for plans in (production, shadows)]
        rollout = plan_rollout(None, counts[0], {}, counts[1])
        self._check_quotas([*production, *shadows], rollout)
        self._tags.add(self._endpoints.arn(name), request.get("Tags", []))
        endpoint = self._endpoints.create(name, config, production, shadows, rollout)
        endpoint.deployment_config = policy
        return {"EndpointArn": endpoint.arn}

    def _update_endpoint(self, request: Json) -> Json:
        endpoint = self._endpoints.get(request["EndpointName"])
        self._endpoints.check_changeable(endpoint)
        # An endpoint whose own configuration was deleted cannot be updated any more, as on AWS.
        self._configs.get(endpoint.config_name)
        config = self._visible_config(request["EndpointConfigName"])
        if self._settings.same_config_update == "refused" and config["EndpointConfigName"] == endpoint.config_name:
            raise ValidationException(
                f'Endpoint "{endpoint.arn}" already uses endpoint configuration "{endpoint.config_name}".'
            )
        production, shadows = (retained(plans, endpoint, request) for plans in self._plans(config))
        self.scalable_targets.check_update(endpoint, [*production, *shadows])
        policy = deployment_config_of(request, endpoint)
        rollout = rollout_of(policy, endpoint, production, shadows, self._settings, self._alarm_state)
        self._check_quotas([*production, *shadows], rollout)
        endpoint.deployment_config = policy or endpoint.deployment_config
        self._endpoints.update(endpoint, config, production, shadows, rollout)
        return {"EndpointArn": endpoint.arn}

    def _update_weights_and_capacities(self, request: Json) -> Json:
        endpoint = self._endpoints.get(request["EndpointName"])
        self._endpoints.check_scalable(endpoint)
        desired = desired_of(request, endpoint, self._settings)
        added, total = growth_of(endpoint, desired)
        check_quotas(self._quotas, self.instances_in_use(), added, total)
        self._endpoints.change_capacity(endpoint, desired)
        return {"EndpointArn": endpoint.arn}

    def _describe_endpoint(self, request: Json) -> Json:
        return describe_endpoint(self._endpoints.get(request["EndpointName"]))

    def _delete_endpoint(self, request: Json) -> Json:
        endpoint = self._endpoints.get(request["EndpointName"])
        self._endpoints.check_deletable(endpoint)
        self.scalable_targets.release(endpoint.name)
        self._endpoints.delete(endpoint)
        self._tags.forget(endpoint.arn)
        return {}

    def _list_endpoints(self, request: Json) -> Json:
        rows = [
            {
                "EndpointName": endpoint.name,
                "EndpointArn": endpoint.arn,
                "CreationTime": endpoint.created,
                "LastModifiedTime": endpoint.modified,
                "EndpointStatus": endpoint.status.value,
            }
            for endpoint in self._endpoints
        ]
        return listed(ENDPOINTS, rows, request)

    def _add_tags(self, request: Json) -> Json:
        return {"Tags": self._tags.add(self._existing(request["ResourceArn"]), request["Tags"])}

    def _list_tags(self, request: Json) -> Json:
        # A resource has at most 50 tags, and a page at least 50.
        refuse_token(request)
        return {"Tags": self._tags.list(self._existing(request["ResourceArn"]))}

    def _delete_tags(self, request: Json) -> Json:
        self._tags.remove(self._existing(request["ResourceArn"]), request["TagKeys"])
        return {}

    def _existing(self, arn: str) -> str:
        """The ARN of a resource that there is, as it is stored; its name may be written in any case."""
        kind, _, name = arn.rpartition(":")[2].partition("/")
        lowered = f"{arn.rpartition(':')[0]}:{kind}/{name.lower()}"
        found: Resource | Endpoint | None
        match kind:
            case "model":
                found = self._models.by_arn(lowered)
            case "endpoint-config":
                found = self._configs.by_arn(lowered)
            case "endpoint":
                found = self._endpoints.by_arn(lowered)
            case "model-package":
                return self._registry.store.package(arn).arn
            case "model-package-group":
                return self._registry.store.group(arn).arn
            case _:
                raise UnsupportedLocally(f"tags of the resource type {kind}")
        if found is None:
            raise not_found(_KINDS[kind], arn)
        return found.arn

    def _store(self, store: ResourceStore, name: str, content: Json, request: Json) -> Resource:
        # Tags first: they can be refused, and a refused request leaves nothing behind.
        self._tags.add(store.arn(name), request.get("Tags", []))
        return store.add(name, content)

    def _containers(self, model: str) -> list[Json]:
        return containers_of(self._models.get(model).content, self._registry.described)

    def _check_quotas(self, plans: list[VariantPlan], rollout: RolloutPlan) -> None:
        """Quotas of a new fleet, which in an update runs beside the old one for a while: AWS counts both."""
        surge = rollout.surge
        added: Counter[str] = Counter()
        for plan in plans:
            added[plan.definition["InstanceType"]] += surge[plan.name]
        check_quotas(self._quotas, self.instances_in_use(), added, sum(plan.count for plan in plans))

    def instances_in_use(self) -> Counter[str]:
        """Instances of all endpoints by instance type; those that are starting count."""
        return instances_of(self._endpoints)

    def _visible_config(self, name: str) -> Json:
        """The configuration for an endpoint; one that was just made may not be seen yet."""
        config = self._configs.get(name)
        if time.time() < config.created + self._settings.real(self._settings.config_consistency_seconds):
            raise not_found("endpoint configuration", config.arn)
        return config.content

    def _plans(self, config: Json) -> tuple[list[VariantPlan], list[VariantPlan]]:
        production = plan_variants(config, "ProductionVariants", self._containers)
        shadows = plan_variants(config, "ShadowProductionVariants", self._containers)
        if not any(plan.weight for plan in production):
            raise ValidationException("At least one production variant must have a weight greater than zero.")
        return production, shadows
