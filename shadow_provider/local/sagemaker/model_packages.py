"""Model package groups and model packages as they are stored, and how a request names one."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from shadow_provider.local.errors import AwsError, ValidationException

Json = dict[str, Any]
_ARN = re.compile(r"arn:[^:/]+:sagemaker:[^:/]*:[0-9]{12}:[a-z-]+/")


@dataclass
class ModelPackageGroup:
    """A model package group.

    Attributes:
        content: What was given at its creation, without tags.
        versions: The highest version that there has ever been.
        created: Epoch seconds.
    """

    name: str
    arn: str
    content: Json
    versions: int = 0
    created: float = field(default_factory=time.time)


@dataclass
class ModelPackage:
    """A model package.

    Attributes:
        name: Of an unversioned one; that of its group for a version.
        group: The group of a version; None for an unversioned one.
        version: The version; None for an unversioned one.
        content: What was given at its creation and by updates, completed.
        created: Epoch seconds.
        modified: Epoch seconds.
    """

    name: str
    arn: str
    group: ModelPackageGroup | None
    version: int | None
    content: Json
    created: float = field(default_factory=time.time)
    modified: float = 0.0

    def __post_init__(self) -> None:
        self.modified = self.modified or self.created


class ModelPackageStore:
    """All groups and packages, by name or ARN, in any case.

    Args:
        prefix: What all ARNs begin with, up to the account.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._groups: dict[str, ModelPackageGroup] = {}
        self._packages: dict[str, ModelPackage] = {}

    @property
    def groups(self) -> Iterator[ModelPackageGroup]:
        """All groups."""
        return iter(list(self._groups.values()))

    @property
    def packages(self) -> Iterator[ModelPackage]:
        """All packages, versioned and not."""
        return iter(list(self._packages.values()))

    def group_arn(self, name: str) -> str:
        """The ARN that a group of this name has."""
        return f"{self._prefix}:model-package-group/{name}"

    def package_arn(self, name: str) -> str:
        """The ARN that a package of this name, or of this group's name and version, has; in lower case as AWS's are."""
        return f"{self._prefix}:model-package/{name.lower()}"

    def group(self, name: str) -> ModelPackageGroup:
        """The group of a name or ARN.

        Raises:
            ValidationException: There is none.
        """
        found = self.find_group(name)
        if found is None:
            arn = name if name.startswith("arn:") else self.group_arn(name)
            raise ValidationException(f"ModelPackageGroup {arn} does not exist.")
        return found

    def find_group(self, name: str) -> ModelPackageGroup | None:
        """The group of a name or ARN; None if there is none."""
        return self._groups.get(self._key(name))

    def package(self, name: str) -> ModelPackage:
        """The package of a name, of a group's name and version, or of an ARN.

        Raises:
            ValidationException: There is none.
        """
        found = self.find_package(name)
        if found is None:
            arn = name if name.startswith("arn:") else self.package_arn(name)
            raise ValidationException(f"ModelPackage {arn} does not exist.")
        return found

    def find_package(self, name: str) -> ModelPackage | None:
        """The package of a name, of a group's name and version, or of an ARN; None if there is none."""
        return self._packages.get(self._key(name))

    def check_group_free(self, name: str) -> None:
        """Whether a group's name can be taken.

        Raises:
            ValidationException: It is taken.
        """
        found = self.find_group(name)
        if found is not None:
            raise ValidationException(f"Model Package Group already exists: {found.arn}")

    def check_package_free(self, name: str) -> None:
        """Whether an unversioned package's name can be taken.

        Raises:
            ValidationException: It is taken.
        """
        found = self.find_package(name)
        if found is not None:
            raise ValidationException(f"Model Package already exists: {found.arn}")

    def add_group(self, name: str, content: Json) -> ModelPackageGroup:
        """Stores a group."""
        group = self._groups[name.lower()] = ModelPackageGroup(name, self.group_arn(name), content)
        return group

    def add_version(self, group: ModelPackageGroup, content: Json) -> ModelPackage:
        """Stores a group's next version; the version of a deleted package is not given again."""
        group.versions += 1
        key = f"{group.name}/{group.versions}"
        return self._add(key, ModelPackage(group.name, self.package_arn(key), group, group.versions, content))

    def add_unversioned(self, name: str, content: Json) -> ModelPackage:
        """Stores a package that belongs to no group."""
        return self._add(name, ModelPackage(name, self.package_arn(name), None, None, content))

    def remove_group(self, name: str) -> ModelPackageGroup:
        """Deletes an empty group.

        Raises:
            ValidationException: There is none.
            AwsError: ConflictException, if it still has versions. The code is AWS's, the words are ours.
        """
        group = self.group(name)
        if any(package.group is group for package in self._packages.values()):
            raise AwsError(
                "ConflictException",
                f"Model Package Group {group.arn} cannot be deleted because it still has model packages.",
            )
        del self._groups[group.name.lower()]
        return group

    def remove_package(self, name: str) -> ModelPackage:
        """Deletes a package; models that name it are not looked at.

        Raises:
            ValidationException: There is none.
        """
        package = self.package(name)
        del self._packages[self._key(package.arn)]
        return package

    def _add(self, key: str, package: ModelPackage) -> ModelPackage:
        self._packages[key.lower()] = package
        return package

    def _key(self, name: str) -> str:
        # An ARN of another region or account keeps its prefix, and so is found nowhere.
        foreign = name.startswith("arn:") and not name.startswith(f"{self._prefix}:")
        return name if foreign else _ARN.sub("", name).lower()
