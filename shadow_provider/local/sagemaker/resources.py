"""Models, endpoint configurations and tags as they are stored."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from shadow_provider.local.errors import ValidationException, already_exists, not_found

MAX_TAGS = 50


@dataclass
class Resource:
    """A stored model or endpoint configuration.

    Attributes:
        content: What its Describe call returns, without ARN and time.
        created: Epoch seconds.
    """

    name: str
    arn: str
    content: dict[str, Any]
    created: float = field(default_factory=time.time)


class ResourceStore:
    """Resources of one kind, by name.

    Args:
        kind: The kind as AWS's messages call it.
        arn_prefix: What stands before the name in an ARN.
    """

    def __init__(self, kind: str, arn_prefix: str) -> None:
        self._kind = kind
        self._arn_prefix = arn_prefix
        self._resources: dict[str, Resource] = {}

    def __iter__(self) -> Iterator[Resource]:
        return iter(list(self._resources.values()))

    def arn(self, name: str) -> str:
        """The ARN a resource of this name has; SageMaker writes names in lower case there."""
        return self._arn_prefix + name.lower()

    def get(self, name: str) -> Resource:
        """The resource of a name.

        Raises:
            ValidationException: There is none.
        """
        if name not in self._resources:
            raise not_found(self._kind, self.arn(name))
        return self._resources[name]

    def check_free(self, name: str) -> None:
        """Whether a name can be taken.

        Raises:
            ValidationException: It is taken.
        """
        if any(taken.lower() == name.lower() for taken in self._resources):
            raise already_exists(self._kind, self.arn(name))

    def add(self, name: str, content: dict[str, Any]) -> Resource:
        """Stores a resource."""
        self._resources[name] = Resource(name, self.arn(name), content)
        return self._resources[name]

    def remove(self, name: str) -> Resource:
        """Deletes a resource; nothing that uses it is looked at, as on AWS.

        Raises:
            ValidationException: There is none.
        """
        found = self.get(name)
        del self._resources[name]
        return found

    def by_arn(self, arn: str) -> Resource | None:
        """The resource of an ARN."""
        return next((resource for resource in self if resource.arn == arn), None)


class TagStore:
    """Tags by ARN."""

    def __init__(self) -> None:
        self._tags: dict[str, dict[str, str]] = {}

    def add(self, arn: str, tags: list[dict[str, str]]) -> list[dict[str, str]]:
        """Adds or overwrites tags and returns all of them.

        Raises:
            ValidationException: Too many, a key twice, or a key that is reserved.
        """
        keys = [tag["Key"] for tag in tags]
        if len(set(keys)) != len(keys):
            raise ValidationException("Duplicate tag keys found. Please note that Tag keys are case insensitive.")
        if any(key.lower().startswith("aws:") for key in keys):
            raise ValidationException("aws: prefixed tag key names are not allowed for external use.")
        merged = {**self._tags.get(arn, {}), **{tag["Key"]: tag["Value"] for tag in tags}}
        if len(merged) > MAX_TAGS:
            raise ValidationException(f"The number of tags must not exceed {MAX_TAGS}.")
        self._tags[arn] = merged
        return self.list(arn)

    def list(self, arn: str) -> list[dict[str, str]]:
        """All tags of an ARN."""
        return [{"Key": key, "Value": value} for key, value in self._tags.get(arn, {}).items()]

    def remove(self, arn: str, keys: Any) -> None:
        """Removes tags; absent keys are ignored."""
        for key in keys:
            self._tags.get(arn, {}).pop(key, None)

    def forget(self, arn: str) -> None:
        """Drops all tags of a deleted resource."""
        self._tags.pop(arn, None)
