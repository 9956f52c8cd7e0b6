from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadow_provider.local.errors import ValidationException
from shadow_provider.local.serving.rollout_plan import (
    Bake,
    Launch,
    Retire,
    RolloutPlan,
    Shift,
    check_policy,
    plan_rollback,
    plan_rollout,
)
from tests.deployment_policies import blue_green, instances, percent, rolling


def test_a_creation_and_an_update_without_a_policy() -> None:
    up = (Launch({"v": 3, "s": 1}), Shift({"v": 3}, {"v": 1.0}))
    assert plan_rollout(None, {"v": 3}, {}, {"s": 1}).steps == up
    assert plan_rollout(None, {"v": 3}, {"v": 2}, {"s": 1}).steps == (*up, Retire({"v": 2}))


@pytest.mark.parametrize(
    ("config", "steps"),
    [
        (
            blue_green("ALL_AT_ONCE", 60, 600),
            (Launch({"v": 4}), Shift({"v": 4}, {"v": 1.0}), Bake(600, "TerminationWaitInSeconds", "full")),
        ),
        (
            blue_green("CANARY", 60, 600, CanarySize=percent(25)),
            (
                Launch({"v": 4}),
                Shift({"v": 1}, {"v": 0.25}),
                Bake(60, "WaitIntervalInSeconds", "canary"),
                Shift({"v": 4}, {"v": 1.0}),
                Bake(600, "TerminationWaitInSeconds", "full"),
            ),
        ),
        (
            blue_green("LINEAR", 60, LinearStepSize=instances(2)),
            (
                Launch({"v": 4}),
                Shift({"v": 2}, {"v": 0.5}),
                Bake(60, "WaitIntervalInSeconds", "linear"),
                Shift({"v": 4}, {"v": 1.0}),
            ),
        ),
    ],
)
def test_blue_green(config: dict[str, Any], steps: tuple[Any, ...]) -> None:
    assert plan_rollout(config, {"v": 4}, {"v": 3}).steps == (*steps, Retire({"v": 3}))


def test_each_variant_has_its_own_canary() -> None:
    plan = plan_rollout(blue_green("CANARY", 1, CanarySize=percent(50)), {"a": 4, "b": 2}, {"a": 4, "b": 2})
    assert [step for step in plan.steps if isinstance(step, Shift)] == [
        Shift({"a": 2, "b": 1}, {"a": 0.5, "b": 0.5}),
        Shift({"a": 4, "b": 2}, {"a": 1.0, "b": 1.0}),
    ]


def test_the_canary_of_one_instance_is_the_whole_fleet() -> None:
    plan = plan_rollout(blue_green("CANARY", 60, 30, CanarySize=percent(10)), {"v": 1}, {"v": 1})
    assert [step.seconds for step in plan.steps if isinstance(step, Bake)] == [60, 30]
    assert [step.shares for step in plan.steps if isinstance(step, Shift)] == [{"v": 1.0}]


def test_rolling() -> None:
    plan = plan_rollout(rolling(instances(2), 60), {"v": 5}, {"v": 3}, {"s": 1})
    bake = Bake(60, "WaitIntervalInSeconds", "batch")
    assert plan.steps == (
        *(Launch({"v": 2, "s": 1}), Shift({"v": 2}, {"v": 0.4}), bake, Retire({"v": 1})),
        *(Launch({"v": 2}), Shift({"v": 4}, {"v": 0.8}), bake, Retire({"v": 1})),
        *(Launch({"v": 1}), Shift({"v": 5}, {"v": 1.0}), bake, Retire({"v": 1})),
    )
    assert (plan.rolling, plan.rollback_batch) == (True, 3)
    with_batch = rolling(instances(2), RollbackMaximumBatchSize=percent(50))
    assert plan_rollout(with_batch, {"v": 5}, {"v": 4}).rollback_batch == 2


@pytest.mark.parametrize(
    ("config", "surge"),
    [(None, {"v": 4, "s": 2}), (rolling(instances(1)), {"v": 1, "s": 2}), (rolling(percent(50)), {"v": 2, "s": 2})],
)
def test_the_instances_that_run_beside_the_old_fleet(config: dict[str, Any] | None, surge: dict[str, int]) -> None:
    assert plan_rollout(config, {"v": 4}, {"v": 4}, {"s": 2}).surge == surge


def test_alarms_without_any_wait_are_looked_at_once() -> None:
    plan = plan_rollout({"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "a"}]}}, {"v": 1}, {"v": 1})
    assert plan.alarms == ("a",)
    assert [step.seconds for step in plan.steps if isinstance(step, Bake)] == [0]


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({**blue_green("ALL_AT_ONCE"), **rolling(percent(50))}, "Only one of"),
        (blue_green("CANARY"), "CanarySize must be specified"),
        (blue_green("LINEAR"), "LinearStepSize must be specified"),
        (blue_green("ALL_AT_ONCE", CanarySize=percent(10)), "CanarySize must be specified"),
        (blue_green("CANARY", CanarySize=percent(10), LinearStepSize=percent(10)), "LinearStepSize must be"),
        (blue_green("CANARY", CanarySize=percent(51)), "CanarySize must be at most 50%"),
        (blue_green("LINEAR", LinearStepSize=percent(9)), "LinearStepSize must be between 10% and 50%"),
        (blue_green("LINEAR", LinearStepSize=percent(51)), "LinearStepSize must be between 10% and 50%"),
        (rolling(percent(4)), "MaximumBatchSize must be between 5% and 50%"),
        (rolling(percent(51)), "MaximumBatchSize must be between 5% and 50%"),
        (rolling(percent(50), RollbackMaximumBatchSize=percent(101)), "RollbackMaximumBatchSize"),
    ],
)
def test_what_is_refused_without_an_endpoint(config: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationException, match=said):
        check_policy(config)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (blue_green("CANARY", CanarySize=instances(3)), "CanarySize .* 3 of 4 instance"),
        (blue_green("LINEAR", LinearStepSize=instances(3)), "LinearStepSize .* 3 of 4 instance"),
        (rolling(instances(3)), "MaximumBatchSize .* 3 of 4 instance"),
        # Waits of 300 + 300 s are not less than 600 s; with one second less they are.
        (blue_green("CANARY", 300, 300, CanarySize=percent(25), MaximumExecutionTimeoutInSeconds=600), "total waiting"),
        (rolling(percent(25), 150, MaximumExecutionTimeoutInSeconds=600), "total waiting"),
    ],
)
def test_what_is_refused_for_the_instances_there_are(config: dict[str, Any], said: str) -> None:
    check_policy(config)
    with pytest.raises(ValidationException, match=said):
        plan_rollout(config, {"v": 4}, {"v": 4})


def test_the_longest_waits_that_are_allowed() -> None:
    config = blue_green("CANARY", 300, 299, CanarySize=percent(25), MaximumExecutionTimeoutInSeconds=600)
    assert plan_rollout(config, {"v": 4}, {"v": 4}).timeout == 600


def test_rolling_is_refused_for_several_variants() -> None:
    with pytest.raises(ValidationException, match="multi-variant"):
        plan_rollout(rolling(percent(50)), {"a": 2, "b": 2}, {"a": 2, "b": 2})


@pytest.mark.parametrize(
    ("config", "count", "after"),
    [
        (None, 2, Launch),
        (blue_green("CANARY", 60, 60, CanarySize=percent(50)), 2, Bake),
        (rolling(percent(50), 60), 2, Retire),  # one of two: there is a way back
        (rolling(percent(50), 60), 1, Bake),  # the only one: afterwards there is none
    ],
)
def test_where_an_injected_failure_strikes(config: dict[str, Any] | None, count: int, after: type) -> None:
    plan = plan_rollout(config, {"v": count}, {"v": count})
    assert [type(step) for step in plan.steps].index(after) == plan.fault_point


COUNTS = st.integers(1, 40)
POLICIES = st.one_of(
    st.builds(lambda w, t: blue_green("ALL_AT_ONCE", w, t), st.integers(0, 9), st.integers(0, 9)),
    st.builds(lambda w, t, p: blue_green("CANARY", w, t, CanarySize=percent(p)), *[st.integers(1, 50)] * 3),
    st.builds(lambda w, t, p: blue_green("LINEAR", w, t, LinearStepSize=percent(p)), *[st.integers(10, 50)] * 3),
    st.builds(lambda w, p: rolling(percent(p), w), st.integers(0, 9), st.integers(5, 50)),
)


def total(plan: RolloutPlan, kind: type) -> int:
    return sum(step.counts["v"] for step in plan.steps if isinstance(step, kind) and isinstance(step, Launch | Retire))


@given(POLICIES, COUNTS, COUNTS)
def test_every_plan_moves_everything_step_by_step(config: dict[str, Any], new: int, old: int) -> None:
    plan = plan_rollout(config, {"v": new}, {"v": old})
    assert (total(plan, Launch), total(plan, Retire)) == (new, old)
    assert plan.steps[-1] == Retire({"v": old}) or plan.rolling
    shares, opened, launched, retired, waited = [0.0], 0, 0, 0, 0
    for step in plan.steps:
        if isinstance(step, Launch):
            launched += step.counts["v"]
        elif isinstance(step, Retire):
            retired += step.counts["v"]
            # The old fleet keeps what its traffic needs.
            assert (old - retired) / old >= 1 - shares[-1] - 1e-9
        elif isinstance(step, Shift):
            shares.append(step.shares["v"])
            assert opened < step.instances["v"] <= launched
            opened = step.instances["v"]
            assert shares[-1] == opened / new
        else:
            waited += step.seconds
    assert shares == sorted(shares)
    assert (shares[-1], opened) == (1.0, new)
    limited = {name: {**policy, "MaximumExecutionTimeoutInSeconds": waited} for name, policy in config.items()}
    with pytest.raises(ValidationException, match="total waiting time"):
        plan_rollout(limited, {"v": new}, {"v": old})


@given(COUNTS, COUNTS, COUNTS, st.floats(0, 1))
def test_every_way_back_restores_the_old_fleet(new: int, missing: int, batch: int, share: float) -> None:
    steps = plan_rollback("v", new, share, missing, batch)
    launches = [step.counts["v"] for step in steps if isinstance(step, Launch)]
    shares = [step.shares["v"] for step in steps if isinstance(step, Shift)]
    assert (sum(launches), max(launches) <= batch) == (missing, True)
    assert [share, *shares] == sorted([share, *shares], reverse=True)
    assert shares[-1] == 0
    # What has a share has an instance; the last of them are retired with their deployment.
    left = new
    for step in steps:
        left -= step.counts["v"] if isinstance(step, Retire) else 0
        assert left >= 1


def test_no_way_back_is_needed_while_nothing_is_missing() -> None:
    assert plan_rollback("v", 2, 0.5, 0, 4) == ()
