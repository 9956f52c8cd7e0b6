"""The lease of an endpoint in S3: where it lies, and what the endpoint itself says about who may take it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import ValidationError

from shadow_provider.hooks.documents import DocumentVerbs
from shadow_provider.hooks.lease_keeper import LeaseKeeper
from shadow_provider.plan import tags as tagging
from shadow_provider.plan.deployment import Deployment
from shadow_provider.plan.endpoint_state import EndpointState
from shadow_provider.plan.errors import PlanError, ShadowError
from shadow_provider.plan.lease import Lease, described, left_shadow, objection

if TYPE_CHECKING:
    from shadow_provider.hooks.sagemaker_shadow import SageMakerShadowHook

FOLDER = "shadow-leases"


class EndpointReader(Protocol):
    """What the place of a lease follows from."""

    def endpoint_state(self, endpoint_name: str, /) -> EndpointState | None:
        """Describe an endpoint; None if there is none of that name."""

    def endpoint_config(self, name: str, /) -> dict[str, Any] | None:
        """Describe an endpoint config; None if there is none of that name."""

    def tags(self, arn: str, /) -> dict[str, str]:
        """Return all tags of a resource."""


class S3Leases:
    """Generations as objects ``<prefix>/shadow-leases/<endpoint>/<generation>.json``.

    Args:
        hook: what reads and writes S3.
        lease_s3_uri: the prefix.
        endpoint_name: the endpoint.
    """

    def __init__(self, hook: DocumentVerbs, lease_s3_uri: str, endpoint_name: str) -> None:
        self._hook = hook
        self._folder = f"{lease_s3_uri.rstrip('/')}/{FOLDER}/{endpoint_name}/"

    def _uri(self, generation: int) -> str:
        return f"{self._folder}{generation:08d}.json"

    def generations(self) -> list[int]:
        """Return every number in use; other objects are not looked at."""
        names = (uri.removeprefix(self._folder).removesuffix(".json") for uri in self._hook.documents(self._folder))
        return [int(name) for name in names if name.isdecimal()]

    def read(self, generation: int) -> Lease | None:
        """Read a generation; None if there is none of that number.

        Raises:
            ShadowError: the object is not a lease.
        """
        uri = self._uri(generation)
        document = self._hook.read_document(uri)
        try:
            return Lease.model_validate_json(document) if document is not None else None
        except ValidationError as error:
            raise ShadowError(
                f"{uri} is not a lease, so it cannot be said who holds the endpoint: {error}. A person must look at "
                "it, and delete it if no deployment is under way."
            ) from error

    def create(self, lease: Lease) -> bool:
        """Write a generation unless its number is in use (S3: If-None-Match)."""
        body = lease.model_dump_json(indent=2).encode()
        uri = self._uri(lease.generation)
        return self._hook.write_document_once(uri, body, content_type="application/json") == body

    def write(self, lease: Lease) -> None:
        """Write a generation anew."""
        body = lease.model_dump_json(indent=2).encode()
        self._hook.write_document(self._uri(lease.generation), body, content_type="application/json")

    def remove(self, generation: int) -> None:
        """Remove a generation; it is fine if it is gone."""
        self._hook.delete_document(self._uri(generation))


def lease_keeper(hook: SageMakerShadowHook, lease_s3_uri: str, deployment: Deployment) -> LeaseKeeper:
    """Return a deployment's hand on its endpoint's lease."""
    store = S3Leases(hook, lease_s3_uri, deployment.endpoint_name)
    return LeaseKeeper(store, deployment, lambda taken_from: endpoint_objection(hook, deployment, taken_from))


def endpoint_objection(hook: SageMakerShadowHook, deployment: Deployment, taken_from: Lease | None) -> str | None:
    """Say why the endpoint does not allow a deployment to take the lease; None if it does.

    An endpoint with the shadow of another deployment is not free, whatever any lease says: leases may lie in different
    places, or have been removed.
    """
    state = hook.endpoint_state(deployment.endpoint_name)
    if state is None:
        return None
    for name in (state.active_config, state.pending_config):
        tags = _tags_of_config(hook, name)
        if tags.get(tagging.ROLE) == "shadow" and tags.get(tagging.DEPLOYMENT) and not deployment.owns(tags):
            whose = described(tags[tagging.DEPLOYMENT], tags.get(tagging.DAG), tags.get(tagging.RUN))
            return left_shadow(state.name, str(name), whose, tags.get(tagging.BASELINE_CONFIG))
    return objection(state, taken_from)


def lease_place(hook: EndpointReader, endpoint_name: str, data_capture: Mapping[str, Any] | None) -> str:
    """Return the prefix for an endpoint's lease where no person gave one: the destination of its captures.

    The endpoint's own capture comes first, since it is the same for all deployments; while a shadow runs, that is the
    capture of the baseline behind it. Only an endpoint without any leaves it to what the deployment captures.

    Args:
        hook: the connection.
        endpoint_name: the endpoint.
        data_capture: the deployment's capture, in snake_case or PascalCase; None if it gives none.

    Raises:
        PlanError: neither says a place.
    """
    state = hook.endpoint_state(endpoint_name)
    given = data_capture or {}
    place = _own_capture(hook, state) or given.get("destination_s3_uri") or given.get("DestinationS3Uri")
    if not place:
        raise PlanError(
            f"lease_s3_uri=None: endpoint {endpoint_name} captures nothing and data_capture gives no destination, so "
            "there is no place for the lease that keeps other deployments away. Give lease_s3_uri='s3://…', the same "
            "for every DAG that deploys to this endpoint."
        )
    return str(place)


def _own_capture(hook: EndpointReader, state: EndpointState | None) -> str | None:
    name = state.active_config if state else None
    tags = _tags_of_config(hook, name)
    if tags.get(tagging.ROLE) == "shadow":
        name = tags.get(tagging.BASELINE_CONFIG)
    config = hook.endpoint_config(name) if name else None
    return ((config or {}).get("DataCaptureConfig") or {}).get("DestinationS3Uri")


def _tags_of_config(hook: EndpointReader, name: str | None) -> dict[str, str]:
    config = hook.endpoint_config(name) if name else None
    return hook.tags(config["EndpointConfigArn"]) if config else {}
