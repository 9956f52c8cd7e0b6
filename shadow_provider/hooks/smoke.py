"""One request to the endpoint, as a caller would send it."""

from __future__ import annotations

from dataclasses import dataclass

from botocore.exceptions import ClientError

from shadow_provider.hooks.sagemaker_shadow import SageMakerShadowHook
from shadow_provider.plan.errors import EndpointFailedError


@dataclass(frozen=True)
class SmokeAnswer:
    """An answer with a status of 2xx: its media type, and how many bytes it has."""

    media: str
    size: int


def send(
    hook: SageMakerShadowHook, endpoint_name: str, body: bytes, *, media: str, accept: str = "", attributes: str = ""
) -> SmokeAnswer:
    """Invoke the endpoint; throttling and lost connections are repeated, what the model answers is not.

    Neither the request nor what the model says in an error stands in the error that is raised.

    Args:
        hook: whose connection is used.
        endpoint_name: the endpoint.
        body: the request.
        media: its media type; empty if it is not known.
        accept: the media type that is asked for; empty for the model's own choice.
        attributes: custom attributes; empty for none.

    Raises:
        EndpointFailedError: the endpoint refused the request, or its model answered with an error.
    """
    runtime = hook.sibling("sagemaker-runtime")
    given = {"ContentType": media, "Accept": accept, "CustomAttributes": attributes}
    headers = {name: value for name, value in given.items() if value}

    def invoke() -> SmokeAnswer:
        response = runtime.invoke_endpoint(EndpointName=endpoint_name, Body=body, **headers)
        return SmokeAnswer(response.get("ContentType", ""), len(response["Body"].read()))

    try:
        return hook.retrying(invoke)
    except ClientError as error:
        status = error.response.get("OriginalStatusCode")
        model = f", the model answered with status {status}" if status is not None else ""
        raise EndpointFailedError(
            f"Endpoint {endpoint_name}: a captured request of production's was not answered: "
            f"{error.response['Error'].get('Code')}{model}"
        ) from None
