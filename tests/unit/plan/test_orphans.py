"""What dead deployments left: tags and leases decide, and what is in use is never removable."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shadow_provider.plan import tags
from shadow_provider.plan.endpoint_state import EndpointState, VariantState
from shadow_provider.plan.lease import Lease, LeaseState
from shadow_provider.plan.orphans import Kind, Made, Orphan, find_orphans

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=3)


def made(kind: Kind, name: str, role: str, *, run: str = "1", created: datetime = LONG_AGO, **more: Any) -> Made:
    baseline = more.pop("baseline", None)
    marks = tags.deployment_tags(
        endpoint_name="churn", deployment_id=f"dag/{run}", role=role, content={}, created=created,
        baseline_config=baseline, dag="dag", run=run,
    )  # fmt: skip
    return Made(kind, name, marks, created, **more)


SHADOW = made("endpoint config", "churn-shadow-0123456789", "shadow", baseline="churn-v1",
              shadow_instance_type="ml.m5.large")  # fmt: skip
CANDIDATE = made("model", "churn-candidate-0123456789", "candidate")
MODELS = {SHADOW.name: {CANDIDATE.name, "v1"}, "churn-v1": {"v1"}}


def endpoint(config: str, **changes: Any) -> EndpointState:
    values: dict[str, Any] = {
        "name": "churn", "arn": "arn", "status": "InService", "active_config": config, "pending_config": None,
        "failure_reason": "", "production": (), "shadows": (), "last_modified": LONG_AGO,
    }  # fmt: skip
    return EndpointState(**(values | changes))


def lease(state: LeaseState = LeaseState.HELD, *, run: str = "1", generation: int = 1, hours: float = -1) -> Lease:
    return Lease(endpoint="churn", owner=f"dag/{run}", dag="dag", run=run, generation=generation, state=state,
                 acquired=LONG_AGO, renewed=LONG_AGO, expires=NOW + timedelta(hours=hours))  # fmt: skip


def found(
    items: Iterable[Made], *endpoints: EndpointState, leases: Iterable[Lease] = (), older_than: float = 24
) -> list[Orphan]:
    return find_orphans(
        list(items), endpoints, leases, lambda name: MODELS.get(name, set()), now=NOW,
        older_than=timedelta(hours=older_than),
    )  # fmt: skip


def names(orphans: Iterable[Orphan]) -> list[str]:
    return [orphan.name for orphan in orphans if orphan.removable]


def test_what_nobody_uses_any_more_may_go_and_says_where_it_came_from() -> None:
    (model, config) = found([SHADOW, CANDIDATE], endpoint("churn-v1"))
    assert (model.kind, model.name, config.kind, config.name) == (
        "model", CANDIDATE.name, "endpoint config", SHADOW.name,
    )  # fmt: skip
    assert (model.removable, model.whose) == (True, "deployment 'dag/1' (DAG dag, run 1)")
    assert model.since == LONG_AGO


def test_removal_begins_with_alarms_and_ends_with_the_config_whose_tags_are_the_way_back() -> None:
    alarm = made("alarm", "churn-guard-0123456789-errors", "guard")
    promoted = made("endpoint config", "churn-promoted-0123456789", "promoted")
    order = names(found([SHADOW, promoted, CANDIDATE, alarm], endpoint("churn-v1")))
    assert order == [alarm.name, CANDIDATE.name, promoted.name, SHADOW.name]


@pytest.mark.parametrize(
    ("leases", "is_dead"),
    [
        ([lease(hours=1)], False),
        ([lease(hours=-1)], True),
        ([lease(LeaseState.RELEASED, hours=1)], True),
        ([lease(hours=1), lease(run="2", generation=2, hours=1)], True),
        ([lease(run="2", hours=1)], False),
        ([lease(LeaseState.CLAIMED, hours=1)], False),
    ],
    ids=["holds it", "ran out", "released", "went to another", "only another had one", "about to take it"],
)
def test_a_deployments_lease_says_whether_it_is_dead(leases: list[Lease], is_dead: bool) -> None:
    # Younger than the limit, so that only the lease can say so.
    young = made("model", CANDIDATE.name, "candidate", created=NOW - timedelta(hours=2))
    assert bool(names(found([young], endpoint("churn-v1"), leases=leases))) is is_dead


@pytest.mark.parametrize(("hours", "is_dead"), [(25, True), (23, False)])
def test_without_a_lease_the_age_of_the_youngest_says_it(hours: float, is_dead: bool) -> None:
    young = made("model", CANDIDATE.name, "candidate", created=NOW - timedelta(hours=hours))
    assert names(found([SHADOW, young], endpoint("churn-v1"))) == ([young.name, SHADOW.name] if is_dead else [])


def test_while_its_endpoint_is_changing_nothing_is_dead() -> None:
    assert found([SHADOW, CANDIDATE], endpoint("churn-v1", status="Updating", pending_config="churn-v2")) == []
    assert found([SHADOW, CANDIDATE], endpoint("churn-v1", status="SystemUpdating")) == []


def test_a_running_shadow_is_listed_with_its_cost_and_the_command_and_never_removed() -> None:
    fleet = (VariantState("shadow", 2, 2, 1.0),)
    (orphan,) = found([SHADOW, CANDIDATE], endpoint(SHADOW.name, shadows=fleet))
    assert (orphan.kind, orphan.name, orphan.removable) == ("shadow", "churn", False)
    assert orphan.instance_hours == {"ml.m5.large": 144.0}
    assert orphan.remedy == (
        "clear the task rollback of its run, or: aws sagemaker update-endpoint --endpoint-name churn "
        "--endpoint-config-name churn-v1"
    )


def test_the_way_back_of_a_promotion_that_serves_is_kept_with_its_models() -> None:
    earlier = made("endpoint config", "churn-promoted-1111111111", "promoted", run="0")
    incumbent = made("model", "churn-candidate-1111111111", "candidate", run="0")
    serving = made("endpoint config", "churn-promoted-2222222222", "promoted", baseline=earlier.name)
    MODELS[earlier.name] = {incumbent.name}
    assert found([earlier, incumbent, serving], endpoint(serving.name)) == []
    # Once another promotion serves, nothing leads back to it any more.
    newer = made("endpoint config", "churn-promoted-3333333333", "promoted", run="3", baseline=serving.name)
    assert names(found([earlier, incumbent, serving, newer], endpoint(newer.name))) == [incumbent.name, earlier.name]


def test_a_model_in_somebodys_own_config_that_serves_is_kept() -> None:
    MODELS["own"] = {CANDIDATE.name}
    assert names(found([SHADOW, CANDIDATE], endpoint("churn-v1"), endpoint("own", name="other"))) == [SHADOW.name]
    assert names(
        found([SHADOW, CANDIDATE], endpoint("churn-v1"), endpoint("x", name="other", pending_config="own"))
    ) == [SHADOW.name]


def test_a_lease_that_ran_out_is_listed_and_left_to_the_next() -> None:
    (orphan,) = found([], endpoint("churn-v1"), leases=[lease(hours=-1)])
    assert (orphan.kind, orphan.name, orphan.removable, orphan.since) == ("lease", "churn", False,
                                                                          NOW - timedelta(hours=1))  # fmt: skip
    assert found([], endpoint("churn-v1"), leases=[lease(LeaseState.RELEASED)]) == []
    assert found([], endpoint("churn-v1"), leases=[lease(), lease(LeaseState.RELEASED, generation=2)]) == []
