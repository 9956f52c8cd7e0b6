"""CloudWatch in the query protocol (form in, XML out), which older botocore speaks."""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl
from xml.sax import saxutils

from botocore.model import Shape
from botocore.utils import parse_timestamp

from shadow_provider.local.cloudwatch.service import CloudWatch
from shadow_provider.local.errors import AwsError, unknown_operation
from shadow_provider.local.protocol import Request, Response
from shadow_provider.local.validation import service_model

# XML 1.0 has no way to write them.
_UNWRITABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NAMESPACE = "http://monitoring.amazonaws.com/doc/2010-08-01/"


def answer_query(cloudwatch: CloudWatch, request: Request) -> Response:
    """Answers a query-protocol request; errors are XML too."""
    form = dict(parse_qsl(request.content.decode("utf-8", "replace"), keep_blank_values=True))
    operation = form.get("Action", "")
    try:
        if operation not in service_model("cloudwatch").operation_names:
            raise unknown_operation(operation)
        model = service_model("cloudwatch").operation_model(operation)
        parsed = {} if model.input_shape is None else _parse(model.input_shape, form, "")
        result = cloudwatch.call(operation, parsed or {})
        content = "" if model.output_shape is None else _members(model.output_shape, result)
    except AwsError as error:
        return Response(error.status, _error(error).encode(), "text/xml")
    wrapped = f"<{operation}Result>{content}</{operation}Result>" if model.output_shape is not None else ""
    metadata = f"<ResponseMetadata><RequestId>{uuid.uuid4()}</RequestId></ResponseMetadata>"
    body = f'<{operation}Response xmlns="{_NAMESPACE}">{wrapped}{metadata}</{operation}Response>'
    return Response(200, body.encode(), "text/xml")


def _parse(shape: Shape, form: dict[str, str], prefix: str) -> Any:
    """The value at a prefix of the form, None if nothing stands there."""
    match shape.type_name:
        case "structure":
            dot = f"{prefix}." if prefix else ""
            found = {name: _parse(member, form, f"{dot}{name}") for name, member in shape.members.items()}
            return {name: value for name, value in found.items() if value is not None} or None
        case "list":
            items: list[Any] = []
            while (item := _item(shape, form, f"{prefix}.member.{len(items) + 1}")) is not None:
                items.append(item)
            # Older botocore writes an empty list as the bare name with nothing behind it.
            return items if items or form.get(prefix) == "" else None
    text = form.get(prefix)
    return None if text is None else _scalar(shape, text)


def _item(shape: Shape, form: dict[str, str], prefix: str) -> Any:
    if prefix not in form and not any(name.startswith(f"{prefix}.") for name in form):
        return None
    return _parse(shape.member, form, prefix)


def _scalar(shape: Shape, text: str) -> Any:
    try:
        match shape.type_name:
            case "integer" | "long":
                return int(text)
            case "float" | "double":
                return float(text)
            case "boolean":
                return text.lower() == "true"
            case "timestamp":
                return parse_timestamp(text).timestamp()
    except (ValueError, OverflowError, OSError, RuntimeError):  # botocore's parser raises all of them
        raise AwsError("MalformedInput", f"{text} is not a valid {shape.type_name}") from None
    return text


def _members(shape: Shape, value: dict[str, Any]) -> str:
    return "".join(f"<{name}>{_xml(shape.members[name], item)}</{name}>" for name, item in value.items())


def _xml(shape: Shape, value: Any) -> str:
    match shape.type_name:
        case "structure":
            return _members(shape, value)
        case "list":
            return "".join(f"<member>{_xml(shape.member, item)}</member>" for item in value)
        case "map":
            return "".join(
                f"<entry><key>{escape(key)}</key><value>{_xml(shape.value, item)}</value></entry>"
                for key, item in value.items()
            )
        case "timestamp":
            return datetime.fromtimestamp(value, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        case "boolean":
            return "true" if value else "false"
    return escape(str(value))


def _error(error: AwsError) -> str:
    fault = "Sender" if error.status < 500 else "Receiver"
    detail = f"<Type>{fault}</Type><Code>{escape(error.code)}</Code><Message>{escape(error.message)}</Message>"
    identifier = f"<RequestId>{uuid.uuid4()}</RequestId>"
    return f'<ErrorResponse xmlns="{_NAMESPACE}"><Error>{detail}</Error>{identifier}</ErrorResponse>'


def escape(text: str) -> str:
    """Text as it can stand in XML."""
    return saxutils.escape(_UNWRITABLE.sub("\ufffd", text))
