"""What a caller must be allowed for each AWS call, and what a policy allows: AWS's own actions and ARNs.

Actions and their resource types are those of AWS's service authorization reference, as far as the call log can tell
them; what a call needs beside its own action (AddTags, PassRole, the config of an endpoint) is listed here too.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from moto.iam.access_control import IAMPolicy, PermissionResult

from shadow_provider.local.control.calls import Call

REGION, ACCOUNT = "us-east-1", "123456789012"
_PREFIXES = {"monitoring": "cloudwatch", "sagemaker-runtime": "sagemaker"}
_S3_ACTIONS = {"ListObjectsV2": "ListBucket", "HeadObject": "GetObject", "HeadBucket": "ListBucket"}
# AWS grants all others of these services on everything or nothing.
_WITHOUT_RESOURCES = {"application-autoscaling", "cloudwatch"}
_ON_ALARMS = {"DeleteAlarms", "ListTagsForResource", "PutMetricAlarm", "TagResource"}
_OWN_KIND = {"EndpointConfig": "endpoint-config", "Endpoint": "endpoint", "ModelPackage": "model-package",
             "Model": "model"}  # fmt: skip
_ALWAYS_ALLOWED = {("sts", "GetCallerIdentity")}


@dataclass(frozen=True)
class Permission:
    """An action on a resource, with the values that conditions of a policy may ask for."""

    action: str
    resource: str
    context: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Grant:
    """One action on one resource of a statement that allows it."""

    sid: str
    action: str
    resource: str
    condition: str = "{}"

    def permits(self, wanted: Permission) -> bool:
        """Whether it is enough, by moto's evaluation of policies."""
        statement = {"Effect": "Allow", "Action": self.action, "Resource": self.resource}
        if condition := json.loads(self.condition):
            statement["Condition"] = condition
        policy = IAMPolicy(json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
        found = policy.is_action_permitted(wanted.action, wanted.resource, None, dict(wanted.context))
        return bool(found is PermissionResult.PERMITTED)


def required(call: Call, execution_role: str) -> Iterator[Permission]:
    """What the caller of a call needs."""
    if (call.service, call.operation) in _ALWAYS_ALLOWED:
        return
    service = _PREFIXES.get(call.service, call.service)
    if service == "s3":
        action = f"s3:{_S3_ACTIONS.get(call.operation, call.operation)}"
        yield Permission(action, f"arn:aws:s3:::{call.resources[0 if action == 's3:ListBucket' else -1]}")
        return
    action = f"{service}:{call.operation}"
    if service == "cloudwatch" and call.operation in _ON_ALARMS:
        alarms = [name.rpartition(":")[2] for name in call.resources]
        actions = [action, "cloudwatch:TagResource"] if call.operation == "PutMetricAlarm" else [action]
        for alarm, needed in product(alarms, actions):
            yield Permission(needed, f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:{alarm}")
        return
    if service in _WITHOUT_RESOURCES:
        yield Permission(action, "*")
        return
    yield Permission(action, _own_resource(call))
    if call.operation in ("CreateEndpoint", "UpdateEndpoint"):
        yield Permission(action, _arn("endpoint-config", call.resources[1]))
    if call.operation in ("CreateEndpoint", "CreateEndpointConfig", "CreateModel"):
        yield Permission("sagemaker:AddTags", _own_resource(call))
    if call.operation == "CreateModel":
        yield Permission("iam:PassRole", execution_role, {"iam:PassedToService": "sagemaker.amazonaws.com"})


def _own_resource(call: Call) -> str:
    if call.operation.startswith("List") and call.operation != "ListTags":
        return "*"
    name = call.resources[0]
    if name.startswith("arn:"):
        return name
    kind = next(kind for word, kind in _OWN_KIND.items() if word in call.operation)
    return _arn(kind, name)


def _arn(kind: str, name: str) -> str:
    return f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:{kind}/{name}"


def grants(document: Mapping[str, Any]) -> list[Grant]:
    """All that a policy allows, one by one."""
    found = []
    for statement in document["Statement"]:
        assert statement["Effect"] == "Allow", statement
        condition = json.dumps(statement.get("Condition", {}))
        for action, resource in product(_listed(statement["Action"]), _listed(statement["Resource"])):
            found.append(Grant(statement["Sid"], action, resource, condition))
    return found


def policy(path: Path, values: Mapping[str, str]) -> dict[str, Any]:
    """A policy document with its placeholders filled in."""
    text = path.read_text()
    for placeholder, value in values.items():
        text = text.replace(placeholder, value)
    document: dict[str, Any] = json.loads(text)
    return document


def missing(calls: Iterable[Call], granted: Iterable[Grant], execution_role: str) -> set[Permission]:
    """What the calls need and no grant gives."""
    granted = list(granted)
    wanted = {each for call in calls for each in required(call, execution_role)}
    return {each for each in wanted if not any(grant.permits(each) for grant in granted)}


def unused(calls: Iterable[Call], granted: Iterable[Grant], execution_role: str) -> set[tuple[str, str]]:
    """Actions, and resources, of statements that no call needed: (Sid, what)."""
    granted = list(granted)
    wanted = {each for call in calls for each in required(call, execution_role)}
    used = {grant for grant in granted if any(grant.permits(each) for each in wanted)}
    everything = {(grant.sid, what) for grant in granted for what in (grant.action, grant.resource)}
    return everything - {(grant.sid, what) for grant in used for what in (grant.action, grant.resource)}


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value
