"""Updates of an endpoint as tests watch them."""

from __future__ import annotations

from typing import Any

from scipy import stats

from tests.aws.conftest import Cloud, poll


class Update:
    """An endpoint with variant v of `count` instances of model 0 that is being updated to model 1."""

    def __init__(self, cloud: Cloud, models: list[str], count: int = 2) -> None:
        self.cloud = cloud
        self.old, self.new = (
            cloud.config([cloud.variant("v", model, InitialInstanceCount=count)]) for model in models[:2]
        )
        self.name = cloud.endpoint(self.old)

    def begin(self, policy: dict[str, Any] | None = None, **others: Any) -> None:
        if policy is not None:
            others["DeploymentConfig"] = policy
        self.cloud.sagemaker.update_endpoint(EndpointName=self.name, EndpointConfigName=self.new, **others)

    def stage(self) -> tuple[str, str]:
        """VariantStatus of the new variant."""
        pending = self.cloud.describe(self.name).get("PendingDeploymentSummary")
        if pending is None:
            return "", ""
        (found,) = pending["ProductionVariants"][0]["VariantStatus"]
        return found["Status"], found["StatusMessage"]

    def baking(self, said: str) -> str:
        return str(poll(lambda: (stage := self.stage())[0] == "Baking" and said in stage[1] and stage[1]))

    def answers_while(self, said: str, seen: list[Any], count: int = 200) -> list[Any]:
        """What callers get while the new variant's stage is one, at most `count` answers."""
        begun = confirmed = len(seen) + 3
        while confirmed < begun + count:
            so_far = len(seen)
            if said not in self.stage()[1]:
                break
            confirmed = max(begun, so_far)
        return seen[begun:confirmed]

    def ends_with(self, config: str, status: str = "InService") -> Any:
        described = self.cloud.settled(self.name)
        assert (described["EndpointStatus"], described["EndpointConfigName"]) == (status, config)
        assert "PendingDeploymentSummary" not in described
        return described


def alarm(cloud: Cloud, name: str, state: str = "OK") -> dict[str, Any]:
    """An alarm on nothing that keeps the state it is set to."""
    cloud.cloudwatch.put_metric_alarm(
        AlarmName=name,
        Namespace="Own",
        MetricName=name,
        Statistic="Sum",
        Period=10,
        EvaluationPeriods=1,
        Threshold=0,
        ComparisonOperator="GreaterThanThreshold",
        TreatMissingData="ignore",
    )
    cloud.cloudwatch.set_alarm_state(AlarmName=name, StateValue=state, StateReason="a test")
    return {"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": name}]}}


def further(seen: list[Any], count: int) -> list[Any]:
    """The next answers that callers get; the first are of calls that were under way."""
    begun = len(seen) + 3
    poll(lambda: len(seen) >= begun + count)
    return seen[begun : begun + count]


def share_is(seen: list[Any], share: float) -> None:
    """The share of answers of the new model is what chance allows."""
    low, high = stats.binom.interval(1 - 1e-6, len(seen), share)
    assert len(seen) > 50
    assert low <= seen.count(b"1") <= high
