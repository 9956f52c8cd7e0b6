"""The ASGI app behind the one endpoint_url: tells the services apart and keeps every answer AWS-shaped."""

from __future__ import annotations

import logging
import re
from typing import Any

from shadow_provider.local.cloudwatch.query import answer_query
from shadow_provider.local.cloudwatch.service import CloudWatch
from shadow_provider.local.control.api import ControlApi
from shadow_provider.local.errors import AwsError, ClientGoneError, internal_failure, unknown_operation
from shadow_provider.local.moto_bridge import MotoBridge
from shadow_provider.local.protocol import (
    JSON_1_0,
    JSON_1_1,
    Receive,
    Request,
    Response,
    Scope,
    Send,
    check_announced,
    error_response,
    headers_of,
    json_response,
    read_body,
    replayed,
    send_response,
)
from shadow_provider.local.recognition import INVOCATIONS, other_invocation
from shadow_provider.local.sagemaker.autoscaling import PREPARED
from shadow_provider.local.sagemaker.control_plane import ControlPlane
from shadow_provider.local.serving.runtime import JSON, Runtime

logger = logging.getLogger(__name__)

_CREDENTIAL_SCOPE = re.compile(r"Credential=[^/]+/\d+/[^/]+/([^/]+)/aws4_request")
_SAGEMAKER, _CLOUDWATCH = "SageMaker.", "GraniteServiceVersion20100801."


class LocalApp:
    """Routes a request to the service it is for.

    Args:
        control_plane: SageMaker.
        runtime: SageMaker runtime.
        cloudwatch: CloudWatch.
        moto: Everything else.
        control: The local AWS's own API.
    """

    def __init__(
        self,
        control_plane: ControlPlane,
        runtime: Runtime,
        cloudwatch: CloudWatch,
        moto: MotoBridge,
        control: ControlApi,
    ) -> None:
        self._control_plane = control_plane
        self._runtime = runtime
        self._cloudwatch = cloudwatch
        self._moto = moto
        self._control = control

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one HTTP request."""
        if scope["type"] != "http":
            return
        started = False

        async def watched(message: Any) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._route(scope, receive, watched)
        except (AwsError, ClientGoneError):
            raise  # of a request that was not read to its end: the connection has to be closed too
        except Exception:
            logger.exception("%s %s failed", scope["method"], scope["path"])
            if not started:
                await send_response(send, error_response(internal_failure()))

    async def _route(self, scope: Scope, receive: Receive, send: Send) -> None:
        raw_path = scope.get("raw_path", scope["path"].encode()).decode("latin-1")
        invocation = INVOCATIONS.fullmatch(raw_path)
        if invocation is not None and scope["method"] == "POST":
            await self._runtime.invoke(invocation[1], scope, receive, send)
            return
        headers = headers_of(scope)
        target = headers.get("x-amz-target", "")
        service = _CREDENTIAL_SCOPE.search(headers.get("authorization", ""))
        unknown = other_invocation(raw_path) if scope["method"] == "POST" else None
        if unknown is not None and (service is None or service[1] != "s3"):
            # An unsigned one would be an object of S3 to moto.
            check_announced(headers)
            await read_body(receive)
            await send_response(send, error_response(unknown_operation(unknown[0]), JSON))
        elif target.startswith((_SAGEMAKER, _CLOUDWATCH)) or (service and service[1] in ("sagemaker", "monitoring")):
            check_announced(headers)
            request = Request(scope["method"], raw_path, headers, await read_body(receive))
            await send_response(send, self._ours(request, target))
        elif raw_path.startswith("/_local/") and service is None:
            check_announced(headers)
            request = Request(scope["method"], raw_path, headers, await read_body(receive))
            await send_response(send, await self._control.answer(request, scope["query_string"].decode("latin-1")))
        elif raw_path.startswith("/moto-api"):
            # moto's own switchboard: a reset there would pull S3 from under the endpoints.
            await send_response(send, error_response(unknown_operation(raw_path)))
        elif target in PREPARED:
            await self._scale(target, raw_path, headers, scope, receive, send)
        elif "x-amz-target" in headers and (service is None or service[1] == "s3"):
            # moto would take it for a call of S3, which has no such header.
            await send_response(send, error_response(unknown_operation(target)))
        else:
            await self._moto(scope, receive, send)

    async def _scale(
        self, target: str, raw_path: str, headers: dict[str, str], scope: Scope, receive: Receive, send: Send
    ) -> None:
        # moto knows nothing of our endpoints, and leaves something behind that AWS does not.
        body = await read_body(receive)
        request = Request(scope["method"], raw_path, headers, body)
        try:
            self._control_plane.scalable_targets.prepare(target, request.json())
        except AwsError as error:
            await send_response(send, error_response(error))
            return
        await self._moto(scope, replayed(body, receive), send)

    def _ours(self, request: Request, target: str) -> Response:
        kind = JSON_1_0 if target.startswith(_CLOUDWATCH) else JSON_1_1
        try:
            if target.startswith(_SAGEMAKER):
                return json_response(self._control_plane.call(target.removeprefix(_SAGEMAKER), request.json()), kind)
            if target.startswith(_CLOUDWATCH):
                return json_response(self._cloudwatch.call(target.removeprefix(_CLOUDWATCH), request.json()), kind)
            if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
                return answer_query(self._cloudwatch, request)
            raise unknown_operation(f"{request.method} {request.path}")
        except AwsError as error:
            return error_response(error, kind)
