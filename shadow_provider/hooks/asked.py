"""What was asked of AWS, kept with the error that answers it.

boto3's errors name the operation, not the resource that it was about. Handlers of the client's events put the one
beside the other, so that a task can say which model, config or object AWS would not make, change or read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from shadow_provider.plan.plain_text import plain

# Parameters that name a resource, the most telling first; names and places, never contents: those may be secret.
_KINDS = {
    "ModelName": "model",
    "EndpointConfigName": "endpoint config",
    "EndpointName": "endpoint",
    "ResourceArn": "resource",
    "ModelPackageName": "model package",
    "ResourceId": "scalable target",
    "AlarmName": "alarm",
    "AlarmNames": "alarms",
}
_KEY = "ShadowProviderAsked"


def in_words(operation: str, parameters: Mapping[str, Any]) -> str:
    """Say in a few words what a call asks for, such as "CreateModel of model 'fraud-v2'"."""
    named = [f"{word} {_shown(parameters[name])}" for name, word in _KINDS.items() if parameters.get(name)]
    if parameters.get("Bucket"):
        named.append(
            plain(f"s3://{parameters['Bucket']}/{parameters.get('Key') or parameters.get('Prefix') or ''}", 200)
        )
    return f"{operation} of {', '.join(named)}" if named else operation


def _shown(value: Any) -> str:
    values = value if isinstance(value, list | tuple) else [value]
    return ", ".join(repr(plain(str(each), 200)) for each in values[:3]) + (", …" if len(values) > 3 else "")


def remember_what_is_asked(client: Any) -> Any:
    """Make a boto3 client's errors tell what was asked; returns the client."""
    events = client.meta.events
    events.register("before-parameter-build.*.*", _keep, unique_id="shadow-provider-asked-keep")
    events.register("after-call.*.*", _tell, unique_id="shadow-provider-asked-tell")
    events.register("after-call-error.*.*", _tell_of_lost_call, unique_id="shadow-provider-asked-lost")
    return client


def asked(error: BaseException) -> str:
    """What the call that ended in this error asked for; empty where that is not known."""
    if isinstance(error, ClientError):
        return str(error.response.get(_KEY) or error.operation_name)
    return str(getattr(error, _KEY, ""))


def _keep(params: Any, model: Any, context: dict[str, Any], **_: Any) -> None:
    context[_KEY] = in_words(model.name, params if isinstance(params, Mapping) else {})


def _tell(http_response: Any, parsed: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
    if http_response.status_code >= 300:
        parsed[_KEY] = context.get(_KEY)


def _tell_of_lost_call(exception: BaseException, context: dict[str, Any], **_: Any) -> None:
    if isinstance(exception, BotoCoreError):
        setattr(exception, _KEY, context.get(_KEY, ""))
