"""sagemaker-runtime: InvokeEndpoint. The caller's answer first; the shadow's copy after it."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from urllib.parse import unquote

from shadow_provider.local.errors import AwsError, RequestTooLargeError, ValidationException
from shadow_provider.local.protocol import (
    Receive,
    Response,
    Scope,
    Send,
    check_announced,
    error_response,
    headers_of,
    read_body,
    send_response,
)
from shadow_provider.local.serving.endpoint import Endpoint
from shadow_provider.local.serving.endpoints import Endpoints
from shadow_provider.local.serving.invocation import (
    CUSTOM_ATTRIBUTES,
    INFERENCE_ID,
    TARGET_VARIANT,
    Invocation,
    Outcome,
)
from shadow_provider.local.serving.variant import Variant
from shadow_provider.local.settings import LocalSettings
from shadow_provider.local.validation import service_model, summary, violations

JSON = "application/json"
_MESSAGE_LIMIT = 8192
_CHECKED_HEADERS = {
    CUSTOM_ATTRIBUTES: "CustomAttributes",
    INFERENCE_ID: "InferenceId",
    TARGET_VARIANT: "TargetVariant",
    "content-type": "ContentType",
    "accept": "Accept",
}
# They would change what the model is asked; ignoring them would be a fake success.
_UNSUPPORTED_HEADERS = {
    "x-amzn-sagemaker-target-model": "TargetModel",
    "x-amzn-sagemaker-target-container-hostname": "TargetContainerHostname",
    "x-amzn-sagemaker-inference-component": "InferenceComponentName",
    "x-amzn-sagemaker-session-id": "SessionId",
}


@dataclass(slots=True)
class _Answered:
    variant: Variant
    outcome: Outcome
    response: Response


class Runtime:
    """Answers InvokeEndpoint.

    Args:
        settings: Limits, region and account.
        endpoints: The endpoints.
    """

    def __init__(self, settings: LocalSettings, endpoints: Endpoints) -> None:
        self._settings = settings
        self._endpoints = endpoints
        self._rng = random.Random(settings.seed)  # noqa: S311 - sampling, not secrecy
        self._shapes = service_model("sagemaker-runtime").operation_model("InvokeEndpoint").input_shape.members

    async def invoke(self, name: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one call.

        Args:
            name: The endpoint's name as it stands in the path.
            scope: ASGI scope.
            receive: ASGI receive.
            send: ASGI send.

        Raises:
            AwsError: The body is too large; the rest of it was not read.
            ClientGoneError: The caller closed the connection before the body's end.
        """
        started = time.perf_counter()
        headers = headers_of(scope)
        limit = self._settings.max_payload_bytes
        try:
            check_announced(headers, limit)
            body = await read_body(receive, limit)
        except RequestTooLargeError:
            raise self._refusal(f"Request body exceeds the limit of {limit} bytes.") from None
        try:
            endpoint = self._check(unquote(name), headers)
        except AwsError as error:
            return await send_response(send, error_response(error, JSON))
        routed = endpoint.traffic.route(headers.get(TARGET_VARIANT))
        assert routed is not None
        deployment, variant = routed
        with deployment.in_use():
            if variant is None:
                refusal = self._refusal(
                    f"Variant {headers.get(TARGET_VARIANT)} not found for endpoint {endpoint.name}."
                )
                return await send_response(send, error_response(refusal, JSON))
            invocation = Invocation(headers, body, time.time(), self._rng.random())
            outcome = await variant.invoke(invocation)
            try:
                await send_response(send, self._response(endpoint, variant, outcome))
            finally:
                # All of this is behind the answer: nothing in it makes the caller wait.
                overhead = time.perf_counter() - started - outcome.model_seconds
                for mirror in deployment.mirrors:
                    if mirror.shadow is not variant:
                        mirror.offer(invocation)
                variant.account(invocation, outcome, overhead)

    def _check(self, name: str, headers: dict[str, str]) -> Endpoint:
        problems: list[str] = []
        for header, member in _CHECKED_HEADERS.items():
            if header in headers:
                problems += violations(self._shapes[member], headers[header], member[:1].lower() + member[1:])
        if problems:
            raise self._refusal(summary(problems))
        for header, member in _UNSUPPORTED_HEADERS.items():
            if header in headers:
                raise self._refusal(f"The local AWS does not support {member} yet.")
        endpoint = self._endpoints.find(name)
        if endpoint is None or not endpoint.traffic.serving:
            raise self._refusal(f"Endpoint {name} of account {self._settings.account_id} not found.")
        return endpoint

    def _response(self, endpoint: Endpoint, variant: Variant, outcome: Outcome) -> Response:
        if not outcome.ok:
            return error_response(self._model_error(endpoint, outcome), JSON)
        answer = outcome.response
        assert answer is not None
        headers = [("x-amzn-invoked-production-variant", variant.name)]
        if (attributes := answer.headers.get(CUSTOM_ATTRIBUTES)) is not None:
            headers.append((CUSTOM_ATTRIBUTES, attributes))
        return Response(200, answer.body, answer.headers.get("content-type"), headers)

    def _model_error(self, endpoint: Endpoint, outcome: Outcome) -> AwsError:
        region, account, status = self._settings.region, self._settings.account_id, outcome.status
        text = outcome.cause if outcome.response is None else outcome.response.body.decode("utf-8", "replace")
        text = text[:_MESSAGE_LIMIT]
        side = "client" if 400 <= status <= 499 else "server"
        group = f"/aws/sagemaker/Endpoints/{endpoint.name}"
        message = (
            f'Received {side} error ({status}) from primary with message "{text}". See '
            f"https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}#logEventViewer:group={group} "
            f"in account {account} for more information."
        )
        return AwsError(
            "ModelError",
            message,
            424,
            Message=message,
            OriginalStatusCode=status,
            OriginalMessage=text,
            LogStreamArn=f"arn:aws:logs:{region}:{account}:log-group:{group}",
        )

    @staticmethod
    def _refusal(message: str) -> AwsError:
        # The runtime's code differs from the control plane's ValidationException.
        error: AwsError = ValidationException(message)
        error.code = "ValidationError"
        return error
