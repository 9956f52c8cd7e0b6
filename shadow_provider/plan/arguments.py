"""Checks what a person gave: once at DAG parse, and once more when templates are rendered.

A specification is a pydantic model. At parse some values may still be templates (``{{ … }}``, an XComArg, a Param
reference); those are left out of the first check and come back for the second, where a number may arrive as a string
and an absent value as ``"None"``, because that is what Jinja makes of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Self, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, StringConstraints, ValidationError
from pydantic.alias_generators import to_pascal
from pydantic_core import ErrorDetails

from shadow_provider.plan.errors import PlanError
from shadow_provider.plan.names import NAME_PATTERN

Spec = TypeVar("Spec", bound="Specification")

_NAME_RULE = (
    "must be 1 to 63 letters, digits and hyphens, beginning and ending with a letter or digit "
    "(no underscore, dot or colon)"
)
INSTANCE_TYPE_PATTERN = r"^ml\.[a-z0-9-]+\.[a-z0-9-]+$"
ROLE_ARN_PATTERN = r"^arn:aws[a-z\-]*:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+$"  # botocore: sagemaker RoleArn

_RULES_OF_PATTERNS = {
    NAME_PATTERN: _NAME_RULE,
    INSTANCE_TYPE_PATTERN: "must be an instance type of SageMaker such as ml.m5.xlarge",
    ROLE_ARN_PATTERN: "must be the ARN of an IAM role such as arn:aws:iam::123456789012:role/sagemaker-execution",
}
_RULES = {
    "missing": "is required",
    "extra_forbidden": "is not an argument here",
}


def none_of_jinja(value: Any) -> Any:
    """Take back what Jinja makes of an absent value: ``"None"`` and the empty text become None."""
    return None if isinstance(value, str) and value.strip() in {"", "None"} else value


def given(value: Any) -> Any:
    """Return a rendered argument, or None where it says nothing: absent, or a mapping of nothing but absent values.

    A DAG with optional Params writes ``{"image": dag.param("image"), …}`` and gets such a mapping when none was filled.
    """
    value = none_of_jinja(value)
    if isinstance(value, Mapping) and value and all(none_of_jinja(item) is None for item in value.values()):
        return None
    return value


def _check_s3_uri(value: str) -> str:
    bucket, _, _ = value.removeprefix("s3://").partition("/")
    if not value.startswith("s3://") or not bucket:
        raise ValueError("must be an S3 URI such as s3://bucket/prefix")
    return value


InstanceType = Annotated[str, StringConstraints(pattern=INSTANCE_TYPE_PATTERN)]
RoleArn = Annotated[str, StringConstraints(pattern=ROLE_ARN_PATTERN, min_length=20, max_length=2048)]
Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN, max_length=63)]
S3Uri = Annotated[str, StringConstraints(max_length=1024), AfterValidator(_check_s3_uri)]
MaybeNone = BeforeValidator(none_of_jinja)


class Specification(BaseModel):
    """Base of everything a person may specify: immutable, and closed against misspelt arguments.

    Fields may be given in snake_case or, as AWS's own pages have them, in PascalCase.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_pascal, populate_by_name=True, protected_namespaces=()
    )

    @classmethod
    def field_of(cls, key: str) -> str | None:
        """Return the field that ``key`` means (its name or its PascalCase alias), or None."""
        if key in cls.model_fields:
            return key
        return next((name for name, field in cls.model_fields.items() if field.alias == key), None)

    @classmethod
    def parse(cls, argument: str, value: Any) -> Self:
        """Check ``value`` as a whole.

        Args:
            argument: what the caller calls this value; it stands in front of each error.
            value: a mapping, or an instance of this class.

        Raises:
            PlanError: with one line for each broken rule: argument, value, rule.
        """
        if isinstance(value, cls):
            return value
        if not isinstance(value, Mapping):
            raise PlanError(f"{argument}={value!r}: must be a mapping with the fields {', '.join(cls.model_fields)}")
        try:
            # A rendered None is an argument that was left out.
            return cls.model_validate({key: item for key, item in value.items() if none_of_jinja(item) is not None})
        except ValidationError as error:
            raise PlanError("\n".join(_line(argument, detail) for detail in error.errors())) from None

    @classmethod
    def parse_partly(cls, argument: str, value: Any, is_templated: Callable[[Any], bool]) -> None:
        """Check what can be checked now of a value that is or holds templates.

        Raises:
            PlanError: as ``parse``; rules over several fields are applied only when none of them is a template.
        """
        if is_templated(value) or isinstance(value, cls):
            return
        if not isinstance(value, Mapping) or not any(is_templated(item) for item in value.values()):
            cls.parse(argument, value)
            return
        for key, item in value.items():
            if is_templated(item):
                continue
            field = cls.field_of(str(key))
            if field is None:
                raise PlanError(_line(argument, {"loc": (key,), "type": "extra_forbidden", "input": item, "msg": ""}))
            try:
                # Field by field: the rest of the model stays unset, so rules over several fields wait for rendering.
                cls.__pydantic_validator__.validate_assignment(cls.model_construct(), field, item)
            except ValidationError as error:
                own = [detail for detail in error.errors() if detail["loc"][:1] and detail["type"] != "frozen_instance"]
                if own:
                    raise PlanError("\n".join(_line(argument, detail) for detail in own)) from None


def _line(argument: str, detail: ErrorDetails | Mapping[str, Any]) -> str:
    path = (
        ".".join([argument, *(str(part) for part in detail["loc"])]) if argument else ".".join(map(str, detail["loc"]))
    )
    kind = str(detail["type"])
    rule = _RULES_OF_PATTERNS.get(detail.get("ctx", {}).get("pattern", ""))
    rule = rule or _RULES.get(kind) or str(detail["msg"]).removeprefix("Value error, ")
    if kind == "missing":
        return f"{path}: {rule}"
    return f"{path}={detail['input']!r}: {rule}"
