"""Checks what a person gave: once at DAG parse, and once more when templates are rendered.

A specification is a pydantic model. At parse some values may still be templates (``{{ … }}``, an XComArg, a Param
reference); those are left out of the first check and come back for the second, where a number may arrive as a string
and an absent value as ``"None"``, because that is what Jinja makes of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    StringConstraints,
    ValidationError,
    model_validator,
)
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
ACCOUNT_PATTERN = r"^\d{12}$"
REGION_PATTERN = r"^[a-z]{2,4}(-[a-z]+)+-\d{1,2}$"
ROLE_ARN_PATTERN = r"^arn:aws[a-z\-]*:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+$"  # botocore: sagemaker RoleArn

_CAPITAL_INSIDE = re.compile(r"(?<!^)(?=[A-Z])")

_RULES_OF_PATTERNS = {
    NAME_PATTERN: _NAME_RULE,
    ACCOUNT_PATTERN: "must be an AWS account id of 12 digits, as text",
    REGION_PATTERN: "must be an AWS region such as eu-central-1",
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


def is_true(value: Any) -> bool:
    """Read a switch that a template may have turned into text."""
    value = none_of_jinja(value)
    return value.strip().lower() in {"true", "1", "yes"} if isinstance(value, str) else bool(value)


def given(value: Any) -> Any:
    """Return a rendered argument, or None where it says nothing: absent, or a mapping of nothing but absent values.

    A DAG with optional Params writes ``{"image": dag.param("image"), …}`` and gets such a mapping when none was filled.
    """
    value = none_of_jinja(value)
    if isinstance(value, Mapping) and value and all(none_of_jinja(item) is None for item in value.values()):
        return None
    return value


def for_template(value: Any) -> Any:
    """Return a model as plain JSON: a template field must be something that Airflow can render, store and show."""
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else value


def _check_s3_uri(value: str) -> str:
    bucket, _, _ = value.removeprefix("s3://").partition("/")
    if not value.startswith("s3://") or not bucket:
        raise ValueError("must be an S3 URI such as s3://bucket/prefix")
    return value


InstanceType = Annotated[str, StringConstraints(pattern=INSTANCE_TYPE_PATTERN)]
AccountId = Annotated[str, StringConstraints(pattern=ACCOUNT_PATTERN)]
Region = Annotated[str, StringConstraints(pattern=REGION_PATTERN)]
RoleArn = Annotated[str, StringConstraints(pattern=ROLE_ARN_PATTERN, max_length=2048)]
Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN, max_length=63)]
S3Uri = Annotated[str, StringConstraints(max_length=1024), AfterValidator(_check_s3_uri)]
MaybeNone = BeforeValidator(none_of_jinja)


class Specification(BaseModel):
    """Base of everything a person may specify: immutable, and closed against misspelt arguments.

    Fields may be given in snake_case or, as AWS's own pages have them, in PascalCase.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_pascal,
        populate_by_name=True,
        loc_by_alias=False,  # errors name the argument as Python has it
        protected_namespaces=(),
    )

    @model_validator(mode="before")
    @classmethod
    def _leave_out_none(cls, value: Any) -> Any:
        # A rendered None is an argument that was left out.
        if isinstance(value, Mapping):
            return {key: item for key, item in value.items() if none_of_jinja(item) is not None}
        return value

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
            shown = _shown((), value)
            raise PlanError(f"{argument}={shown}: must be a mapping with the fields {', '.join(cls.model_fields)}")
        try:
            return cls.model_validate(value)
        except ValidationError as error:
            raise PlanError("\n".join(_line(argument, detail) for detail in error.errors())) from None

    @classmethod
    def parse_partly(cls, argument: str, value: Any, is_templated: Callable[[Any], bool]) -> None:
        """Check what can be checked now of a value that is or holds templates.

        Raises:
            PlanError: as ``parse``; rules over several fields are applied only when none of them is a template.
        """
        if not isinstance(value, Mapping):
            if not is_templated(value):
                cls.parse(argument, value)
            return
        holes: set[tuple[str, ...]] = set()
        try:
            cls.model_validate(_without_templates(value, is_templated, (), holes))
        except ValidationError as error:
            own = [detail for detail in error.errors() if not _waits_for_rendering(detail, holes)]
            if own:
                raise PlanError("\n".join(_line(argument, detail) for detail in own)) from None


def _without_templates(
    value: Mapping[str, Any], is_templated: Callable[[Any], bool], path: tuple[str, ...], holes: set[tuple[str, ...]]
) -> dict[str, Any]:
    """Leave out what is known only when rendered, and note in ``holes`` where (in snake_case)."""
    known: dict[str, Any] = {}
    for key, item in value.items():
        here = (*path, _CAPITAL_INSIDE.sub("_", str(key)).lower())
        if isinstance(item, Mapping):
            known[key] = _without_templates(item, is_templated, here, holes)
        elif is_templated(item):
            holes.add(here)
        else:
            known[key] = item
    return known


def _waits_for_rendering(detail: ErrorDetails, holes: set[tuple[str, ...]]) -> bool:
    """Whether an error comes from a template that was left out: a field missed, or a rule over several fields."""
    place = tuple(str(part) for part in detail["loc"])
    if detail["type"] == "missing":
        return place in holes
    return detail["type"] == "value_error" and any(len(hole) > len(place) and hole[: len(place)] == place
                                                   for hole in holes)  # fmt: skip


def _line(argument: str, detail: ErrorDetails | Mapping[str, Any]) -> str:
    path = (
        ".".join([argument, *(str(part) for part in detail["loc"])]) if argument else ".".join(map(str, detail["loc"]))
    )
    kind = str(detail["type"])
    rule = _RULES_OF_PATTERNS.get(detail.get("ctx", {}).get("pattern", ""))
    rule = rule or _RULES.get(kind) or str(detail["msg"]).removeprefix("Value error, ")
    if kind == "missing":
        return f"{path}: {rule}"
    return f"{path}={_shown(detail['loc'], detail['input'])}: {rule}"


def _shown(place: tuple[str | int, ...], value: Any) -> str:
    """A wrong value as an error may show it: of an environment only the names, for its values may be secrets."""
    if any("environ" in str(part).lower() for part in place):
        return f"{{{', '.join(map(repr, value))}}}" if isinstance(value, Mapping) else "***"
    text = repr(value)
    return "***" if "environ" in text.lower() else text
