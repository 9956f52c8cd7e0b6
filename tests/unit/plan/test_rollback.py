from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shadow_provider.plan.endpoint_state import BROKEN, IN_PROGRESS, EndpointState
from shadow_provider.plan.names import deployment_names
from shadow_provider.plan.rollback import RollbackStep, Tried, next_step

NAMES = deployment_names("fraud", "run")
SHADOW, PROMOTED, OWN_BASELINE = NAMES.shadow_config, NAMES.promoted_config, NAMES.baseline_config
BASE, FOREIGN = "fraud-v1", "fraud-by-hand"
DONE, WAIT, UPDATE = RollbackStep.DONE, RollbackStep.WAIT, RollbackStep.UPDATE
DELETE, STOP = RollbackStep.DELETE_FAILED_ENDPOINT, RollbackStep.STOP
STATUSES = sorted({"InService", *IN_PROGRESS, *BROKEN})
CONFIGS = [None, SHADOW, PROMOTED, OWN_BASELINE, BASE, FOREIGN]


BEFORE = datetime(2025, 12, 31, tzinfo=UTC)


def state(status: str, active: str | None, pending: str | None = None) -> EndpointState:
    return EndpointState(
        name="fraud",
        arn="arn",
        status=status,
        active_config=active,
        pending_config=pending,
        failure_reason="",
        production=(),
        shadows=(),
        last_modified=datetime(2026, 1, 1, tzinfo=UTC),
    )


@pytest.mark.parametrize(
    ("found", "baseline", "made_by_us", "tried", "step", "waits_for"),
    [
        # There is nothing to go back from.
        (None, BASE, False, False, DONE, None),
        (None, None, False, False, DONE, None),
        (state("InService", BASE), BASE, False, False, DONE, None),
        (state("InService", BASE), BASE, False, True, DONE, None),
        (state("InService", FOREIGN), None, False, False, DONE, None),
        (state("Updating", FOREIGN, BASE), None, False, False, DONE, None),
        # The tags are gone, and the candidate serves.
        (state("InService", SHADOW), None, False, False, STOP, None),
        (state("InService", PROMOTED), None, False, False, STOP, None),
        (state("Updating", BASE, SHADOW), None, False, False, STOP, None),
        # From the shadow, from the promotion.
        (state("InService", SHADOW), BASE, False, False, UPDATE, None),
        (state("InService", PROMOTED), BASE, False, False, UPDATE, None),
        (state("UpdateRollbackFailed", SHADOW), BASE, False, False, UPDATE, None),
        (state("UpdateRollbackFailed", BASE), BASE, False, False, UPDATE, None),
        # A change under way is let end first.
        (state("Updating", BASE, SHADOW), BASE, False, False, WAIT, SHADOW),
        (state("Updating", SHADOW, PROMOTED), BASE, False, False, WAIT, PROMOTED),
        (state("Updating", SHADOW, BASE), BASE, False, True, WAIT, BASE),
        (state("RollingBack", SHADOW, PROMOTED), BASE, False, False, WAIT, PROMOTED),
        (state("SystemUpdating", SHADOW), BASE, False, False, WAIT, SHADOW),
        (state("SystemUpdating", BASE), BASE, False, False, WAIT, BASE),
        (state("InService", SHADOW, BASE), BASE, False, True, WAIT, BASE),
        (state("Creating", None, SHADOW), OWN_BASELINE, True, False, WAIT, SHADOW),
        (state("Creating", SHADOW), OWN_BASELINE, True, False, WAIT, SHADOW),
        (state("Deleting", SHADOW), BASE, True, True, WAIT, None),
        # Somebody else is at it, or was.
        (state("Updating", SHADOW, FOREIGN), BASE, False, False, STOP, None),
        (state("SystemUpdating", FOREIGN), BASE, False, False, STOP, None),
        (state("InService", FOREIGN), BASE, True, False, STOP, None),
        (state("Failed", FOREIGN), BASE, True, False, STOP, None),
        # Failed: AWS takes only a delete, and we delete only what we made.
        (state("Failed", SHADOW), OWN_BASELINE, True, False, DELETE, None),
        (state("Failed", SHADOW), BASE, False, False, STOP, None),
        # The update to the baseline was rolled back itself: not tried for ever.
        (state("InService", SHADOW), BASE, False, True, STOP, None),
        (state("InService", PROMOTED), BASE, True, True, STOP, None),
        (state("OutOfService", SHADOW), BASE, False, True, STOP, None),
        # AWS could not undo the update to the baseline: its remedy is one more.
        (state("UpdateRollbackFailed", SHADOW), BASE, False, True, UPDATE, None),
        (state("UpdateRollbackFailed", SHADOW), BASE, False, 2, STOP, None),
    ],
)
def test_next_step(
    found: EndpointState | None,
    baseline: str | None,
    made_by_us: bool,
    tried: int,
    step: RollbackStep,
    waits_for: str | None,
) -> None:
    following = next_step(
        found, baseline=baseline, names=NAMES, made_by_us=made_by_us, tried=Tried(BEFORE, tried) if tried else None
    )
    assert (following.step, following.waits_for) == (step, waits_for)
    assert following.reason
    if found is not None and step is not DELETE and found.status != "Deleting":
        assert found.summary() in following.reason


STATES = st.builds(state, st.sampled_from(STATUSES), st.sampled_from(CONFIGS), st.sampled_from(CONFIGS))


@given(STATES, st.sampled_from([None, BASE, OWN_BASELINE]), st.booleans(), st.integers(0, 2))
@settings(derandomize=True, deadline=None, max_examples=1000)
def test_what_is_not_ours_is_never_touched(
    found: EndpointState, baseline: str | None, made_by_us: bool, tried: int
) -> None:
    step = next_step(
        found, baseline=baseline, names=NAMES, made_by_us=made_by_us, tried=Tried(BEFORE, tried) if tried else None
    ).step
    if step in {UPDATE, DELETE}:
        assert baseline is not None
        assert found.active_config in {SHADOW, PROMOTED, baseline}
        assert not found.in_progress
    if step is UPDATE:
        assert found.status != "Failed"
        assert not tried or (tried == 1 and found.status == "UpdateRollbackFailed")
    if step is DELETE:
        assert made_by_us
        assert found.status == "Failed"


@given(STATES, st.sampled_from([BASE, OWN_BASELINE]), st.booleans(), st.integers(0, 2))
@settings(derandomize=True, deadline=None, max_examples=1000)
def test_it_is_done_only_where_the_baseline_serves(
    found: EndpointState, baseline: str, made_by_us: bool, tried: int
) -> None:
    step = next_step(
        found, baseline=baseline, names=NAMES, made_by_us=made_by_us, tried=Tried(BEFORE, tried) if tried else None
    ).step
    assert (step is DONE) is found.serves(baseline)


def test_an_endpoint_that_aws_shows_as_before_the_update_is_waited_for() -> None:
    found = state("InService", NAMES.shadow_config)
    following = next_step(found, baseline="base", names=NAMES, made_by_us=False, tried=Tried(found.last_modified))
    assert (following.step, following.waits_for) == (RollbackStep.WAIT, "base")
