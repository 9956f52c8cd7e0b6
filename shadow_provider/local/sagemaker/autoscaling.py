"""What SageMaker and Application Auto Scaling, which moto keeps, owe each other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from shadow_provider.local.errors import ValidationException
from shadow_provider.local.serving.deployment import VariantPlan
from shadow_provider.local.serving.endpoint import Endpoint
from shadow_provider.local.serving.endpoints import Endpoints
from shadow_provider.local.settings import LocalSettings

NAMESPACE = "sagemaker"
_REGISTER = "AnyScaleFrontendService.RegisterScalableTarget"
_DEREGISTER = "AnyScaleFrontendService.DeregisterScalableTarget"
PREPARED = frozenset({_REGISTER, _DEREGISTER})
_VARIANT_DIMENSION = "sagemaker:variant:"


class ScalableTargets:
    """The scalable targets of endpoint variants in moto's Application Auto Scaling.

    Args:
        settings: Region and account, and what DeleteEndpoint does with targets.
        endpoints: All endpoints.
    """

    def __init__(self, settings: LocalSettings, endpoints: Endpoints) -> None:
        # Imported here: moto costs a second, and must see the account id first.
        from moto.applicationautoscaling.models import applicationautoscaling_backends

        self._backends = applicationautoscaling_backends
        self._settings = settings
        self._endpoints = endpoints
        self._refuse = settings.autoscaling_on_delete == "refuse"

    def prepare(self, operation: str, request: Mapping[str, Any]) -> None:
        """Does for Application Auto Scaling what moto does not, before moto is asked.

        Args:
            operation: X-Amz-Target, one of PREPARED.
            request: RegisterScalableTarget needs a variant that serves; DeregisterScalableTarget takes the target's
                policies and scheduled actions with it.

        Raises:
            ValidationException: The variant does not exist.
        """
        named = [str(request.get(name, "")) for name in ("ServiceNamespace", "ResourceId", "ScalableDimension")]
        namespace, resource, dimension = named
        if operation == _REGISTER:
            self._check_registration(namespace, resource, dimension)
        elif resource in self._backend.targets.get(dimension, {}):
            self._drop_policies(namespace, resource, dimension)

    def variants(self, endpoint: str) -> set[str]:
        """The variants of an endpoint that are registered."""
        return {target.resource_id.split("/")[3] for target in self._of(endpoint)}

    def check_update(self, endpoint: Endpoint, plans: Iterable[VariantPlan]) -> None:
        """Whether an update leaves the registered variants as they are; another model does.

        AWS: UpdateEndpoint fails if it would change the instance type of a registered variant, or remove it.

        Args:
            endpoint: The endpoint.
            plans: All variants that it is to have.

        Raises:
            ValidationException: It does not. The words are from memory, not verified.
        """
        before = {} if endpoint.live is None else _types(variant.definition for variant in endpoint.live.variants)
        after = _types(plan.definition for plan in plans)
        changed = [name for name in sorted(self.variants(endpoint.name)) if before.get(name) != after.get(name)]
        if changed:
            names = ", ".join(f'"{name}"' for name in changed)
            raise ValidationException(
                f"The variant(s) [{names}] must be deregistered as scalable targets with AWS Auto Scaling before they "
                "can be removed or have their instance type updated."
            )

    def release(self, endpoint: str) -> None:
        """Deregisters the targets of an endpoint that is deleted, with their policies and scheduled actions.

        Raises:
            ValidationException: There are targets, and the caller is taken not to have the permission.
        """
        targets = self._of(endpoint)
        if targets and self._refuse:
            raise ValidationException(
                "An Application AutoScaling scalable target exists for a variant being deleted, and the IAM identity "
                "used to invoke DeleteEndpoint does not have application-autoscaling:DeregisterScalableTarget "
                "permission to deregister the scalable target."
            )
        for target in targets:
            self._deregister(target.resource_id, target.scalable_dimension)

    @property
    def _backend(self) -> Any:
        # Asked for each time: a reset of moto may make another.
        return self._backends[self._settings.account_id][self._settings.region]

    def _of(self, endpoint: str) -> list[Any]:
        # Copies: moto answers in other threads, and would change these dicts while they are walked.
        targets = [
            target for by_resource in list(self._backend.targets.values()) for target in list(by_resource.values())
        ]
        prefix = f"endpoint/{endpoint}/variant/"
        return [
            target
            for target in targets
            if target.service_namespace == NAMESPACE and target.resource_id.startswith(prefix)
        ]

    def _deregister(self, resource: str, dimension: str) -> None:
        self._drop_policies(NAMESPACE, resource, dimension)
        self._backend.deregister_scalable_target(NAMESPACE, resource, dimension)

    def _drop_policies(self, namespace: str, resource: str, dimension: str) -> None:
        # moto leaves the policies and scheduled actions of a target that is gone; AWS deletes them with it.
        backend = self._backend
        for policy in list(backend.policies.values()):
            if (policy.resource_id, policy.scalable_dimension) == (resource, dimension):
                backend.delete_scaling_policy(policy.policy_name, namespace, resource, dimension)
        for action in backend.describe_scheduled_actions("", namespace, resource, dimension):
            backend.delete_scheduled_action(namespace, action.scheduled_action_name, resource, dimension)

    def _check_registration(self, namespace: str, resource: str, dimension: str) -> None:
        # Other services' targets are moto's, and so is the refusal of what names nothing.
        if namespace != NAMESPACE or not dimension.startswith(_VARIANT_DIMENSION):
            return
        parts = resource.split("/")
        if len(parts) == 4 and parts[0] == "endpoint" and parts[2] == "variant":
            endpoint = self._endpoints.find(parts[1])
            if endpoint is not None and endpoint.current(parts[3]) is not None:
                return
        # The words follow those that AWS has for ECS services.
        raise ValidationException(f"SageMaker endpoint variant doesn't exist: {resource}")


def _types(definitions: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    return {definition["VariantName"]: definition.get("InstanceType") for definition in definitions}
