"""What is left when a run has ended, and in what it differs from the undisturbed one.

Compared: the endpoint (status, config, pending change, variants with their counts, tags), every model, endpoint config
and alarm with content and tags, scalable targets and policies, the keys of all S3 objects but captures and the looks'
state, the decision record's verdict, gates, pairs, policy, configs and models, the states of all tasks and of the run,
asset events, and how often which change of AWS took effect. Not compared: times, ARNs, and what the clock counts.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.chaos.cloud import Cloud
from tests.chaos.runner import Runner
from tests.chaos.scenarios import BUCKET, ENDPOINT, Scenario

GROUP = "shadow_deployment."
_NOT_SO = "not so: "
_THE_SAME_VERDICT = "the verdict is the scenario's"
ANOTHER_VERDICT = _NOT_SO + _THE_SAME_VERDICT
_TIMES = re.compile(r"\d{4}-?\d\d-?\d\dT\d\d:?\d\d:?\d\d(\.\d+)?(Z|\+00:00)?")
_NOISE = frozenset({"ResponseMetadata", "CreationTime", "LastModifiedTime", "AlarmConfigurationUpdatedTimestamp"})
_NOISE_OF_ALARMS = frozenset({"StateReason", "StateReasonData", "StateUpdatedTimestamp", "StateValue",
                              "StateTransitionedTimestamp"})  # fmt: skip
_CHANGES = ("Create", "Update", "Delete", "Stop", "Start", "Register", "Deregister")
# Each of these puts something into a state that it may be in already: twice is as good as once.
_UPSERTS = frozenset({"RegisterScalableTarget", "DeregisterScalableTarget"})


@dataclass(frozen=True)
class EndState:
    """What is left.

    Attributes:
        endpoint: what serves; None if there is no endpoint.
        resources: by kind and name, with content.
        outcome: of the run: states, verdict, record, asset events.
        changes: how often each change took effect.
    """

    endpoint: Mapping[str, Any] | None
    resources: Mapping[str, Any]
    outcome: Mapping[str, Any]
    changes: Mapping[str, int]


@dataclass
class Findings:
    """What is wrong with a disturbed run; all of them empty if nothing is."""

    wrong_greens: list[str] = field(default_factory=list)
    orphans: list[str] = field(default_factory=list)
    double_acts: list[str] = field(default_factory=list)
    failed_requests: list[str] = field(default_factory=list)
    other: list[str] = field(default_factory=list)

    def __iadd__(self, more: Findings) -> Findings:
        """Add those of another run."""
        for name, found in vars(more).items():
            getattr(self, name).extend(found)
        return self

    def __bool__(self) -> bool:
        """Whether there is any."""
        return any(vars(self).values())

    def __str__(self) -> str:
        """All, one a line."""
        return "\n".join(f"{name}: {each}" for name, found in vars(self).items() for each in found)


def end_state(cloud: Cloud, runner: Runner) -> EndState:
    """Look at everything."""
    return EndState(_endpoint(cloud), _resources(cloud), _outcome(cloud, runner), changes(cloud))


def changes(cloud: Cloud, caller: str = "") -> dict[str, int]:
    """How often each change of a run took effect, by operation and what it was about; upserts and S3 left out."""
    found = Counter(
        f"{call.operation} {' '.join(call.resources)}"
        for call in cloud.calls(f"{caller}task.", f"{caller}trigger.")
        if call.effect and call.service != "s3" and call.operation.startswith(_CHANGES)
        if call.operation not in _UPSERTS
    )
    return dict(found)


def _endpoint(cloud: Cloud) -> dict[str, Any] | None:
    found = cloud.settled()
    if found is None:
        return None
    variants = {
        kind: {each["VariantName"]: each.get("DesiredInstanceCount") for each in found.get(kind, ())}
        for kind in ("ProductionVariants", "ShadowProductionVariants")
    }
    return {
        "status": found["EndpointStatus"],
        "config": found.get("EndpointConfigName"),
        "pending": found.get("PendingDeploymentSummary"),
        "tags": _tags(cloud, found["EndpointArn"]),
        **variants,
    }


def _tags(cloud: Cloud, arn: str) -> dict[str, str]:
    tags = cloud.sagemaker.list_tags(ResourceArn=arn)["Tags"]
    return {tag["Key"]: _TIMES.sub("*", tag["Value"]) for tag in tags}


def _plain(found: Mapping[str, Any], noise: frozenset[str] = frozenset()) -> dict[str, Any]:
    return {key: value for key, value in found.items() if key not in _NOISE | noise and not key.endswith("Arn")}


def _resources(cloud: Cloud) -> dict[str, Any]:
    sagemaker = cloud.sagemaker
    found: dict[str, Any] = {}
    for each in sagemaker.list_endpoint_configs(MaxResults=100)["EndpointConfigs"]:
        name = each["EndpointConfigName"]
        content = _plain(sagemaker.describe_endpoint_config(EndpointConfigName=name))
        found[f"endpoint config {name}"] = {**content, "tags": _tags(cloud, each["EndpointConfigArn"])}
    for each in sagemaker.list_models(MaxResults=100)["Models"]:
        name = each["ModelName"]
        content = _plain(sagemaker.describe_model(ModelName=name))
        found[f"model {name}"] = {**content, "tags": _tags(cloud, each["ModelArn"])}
    for each in cloud.cloudwatch.describe_alarms()["MetricAlarms"]:
        found[f"alarm {each['AlarmName']}"] = _plain(each, _NOISE_OF_ALARMS)
    targets = cloud.autoscaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]
    for each in targets:
        found[f"scalable target {each['ResourceId']}"] = _plain(each)
    for each in cloud.autoscaling.describe_scaling_policies(ServiceNamespace="sagemaker")["ScalingPolicies"]:
        found[f"scaling policy {each['ResourceId']} {each['PolicyName']}"] = _plain(each, frozenset({"Alarms"}))
    for key in _keys(cloud):
        if not key.startswith(f"captures/{ENDPOINT}/") and "-looks/" not in key:
            found[f"object {_TIMES.sub('*', key)}"] = None
    return found


def _keys(cloud: Cloud) -> list[str]:
    pages = cloud.s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
    return [item["Key"] for page in pages for item in page.get("Contents", ())]


def _outcome(cloud: Cloud, runner: Runner) -> dict[str, Any]:
    decision = runner.result(f"{GROUP}evaluate") or {}
    events = [event for row in runner.rows.values() for event in row.outlet_events]
    return {
        "run": runner.state,
        "tasks": dict(runner.states),
        "verdict": decision.get("verdict"),
        "records": [_record(cloud, key) for key in _keys(cloud) if "-shadow-" in key and key.endswith("Z.json")],
        "asset events": len(events),
    }


def _record(cloud: Cloud, key: str) -> dict[str, Any]:
    record = json.loads(cloud.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read())
    judgement = record["judgement"]
    return {
        **{name: record[name] for name in ("deployment_id", "incumbent_model", "candidate_model", "configs", "policy")},
        "verdict": judgement["verdict"],
        "pairs": judgement["pairs"],
        "gates": {gate["name"]: gate["state"] for gate in judgement["gates"]},
    }


def differences(calm: EndState, found: EndState, failures: list[str]) -> Findings:
    """In what a disturbed run's end differs from the undisturbed one's."""
    findings = Findings(failed_requests=list(failures))
    for name, content in found.resources.items():
        if name not in calm.resources:
            findings.orphans.append(name)
        elif content != calm.resources[name]:
            findings.other.append(f"{name} is {content}, undisturbed {calm.resources[name]}")
    findings.other += [f"{name} is missing" for name in calm.resources if name not in found.resources]
    for change, times in found.changes.items():
        if times > calm.changes.get(change, 0):
            findings.double_acts.append(f"{change}: {times} times, undisturbed {calm.changes.get(change, 0)}")
    findings.other += [f"{change} did not happen" for change in calm.changes if change not in found.changes]
    if found.endpoint != calm.endpoint:
        findings.other.append(f"the endpoint is {found.endpoint}, undisturbed {calm.endpoint}")
    for name, value in calm.outcome.items():
        if found.outcome[name] != value:
            findings.other.append(f"{name}: {_unequal(found.outcome[name], value)}")
    return findings


def _unequal(found: Any, calm: Any) -> str:
    if isinstance(found, dict) and isinstance(calm, dict):
        return "; ".join(
            f"{key} is {found.get(key)}, undisturbed {calm[key]}" for key in calm if found.get(key) != calm[key]
        )
    return f"{found}, undisturbed {calm}"


def wrong_greens(scenario: Scenario, found: EndState) -> Findings:
    """A run that is green although AWS does not show what its verdict says."""
    findings = Findings()
    if found.outcome["run"] != "success":
        return findings
    endpoint = found.endpoint or {}
    config = found.resources.get(f"endpoint config {endpoint.get('config')}") or {
        "ProductionVariants": [{}],
        "tags": {},
    }
    model = config["ProductionVariants"][0].get("ModelName", "")
    promoted = str(model).startswith(f"{ENDPOINT}-candidate-")
    wanted = {
        "it is InService": endpoint.get("status") == "InService",
        "nothing is pending": endpoint.get("pending") is None,
        "there is no shadow": not endpoint.get("ShadowProductionVariants"),
        "the candidate serves if, and only if, it was promoted": promoted == (found.outcome["verdict"] == "PROMOTE"),
        _THE_SAME_VERDICT: found.outcome["verdict"] == scenario.verdict,
    }
    findings.wrong_greens += [f"{_NOT_SO}{what}" for what, holds in wanted.items() if not holds]
    return findings
