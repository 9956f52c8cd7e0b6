from datetime import UTC, datetime, timedelta

import pytest

from shadow_provider.plan.endpoint_state import EndpointState
from shadow_provider.plan.names import deployment_names
from shadow_provider.plan.promotion import PromotionStep, next_step

NAMES = deployment_names("fraud", "run")
SHADOW, PROMOTED, BASE, FOREIGN = NAMES.shadow_config, NAMES.promoted_config, "fraud-v1", "fraud-by-hand"
CHANGED = datetime(2026, 1, 1, tzinfo=UTC)
BEFORE = CHANGED - timedelta(minutes=5)
DROP, PROMOTE = PromotionStep.DROP_SHADOW, PromotionStep.PROMOTE
UNDER_WAY, ROLLED_BACK = PromotionStep.UNDER_WAY, PromotionStep.ROLLED_BACK


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
        last_modified=CHANGED,
    )


@pytest.mark.parametrize(
    ("found", "guarded", "since", "step"),
    [
        # One update without guardrails, two with them.
        (state("InService", SHADOW), False, None, PROMOTE),
        (state("InService", SHADOW), True, None, DROP),
        (state("Updating", SHADOW, BASE), True, None, DROP),
        (state("InService", BASE), True, None, PROMOTE),
        # There already, or on the way.
        (state("Updating", SHADOW, PROMOTED), False, None, UNDER_WAY),
        (state("Updating", BASE, PROMOTED), True, BEFORE, UNDER_WAY),
        (state("InService", PROMOTED), True, BEFORE, UNDER_WAY),
        (state("InService", PROMOTED), False, None, UNDER_WAY),
        # Asked for, and the endpoint has not changed since: the task died before the update.
        (state("InService", BASE), True, CHANGED, PROMOTE),
        # Asked for, and it has changed: AWS rolled it back, however that ended.
        (state("InService", BASE), True, BEFORE, ROLLED_BACK),
        (state("UpdateRollbackFailed", BASE), True, BEFORE, ROLLED_BACK),
        (state("RollingBack", BASE), True, BEFORE, PROMOTE),  # busy; the operator waits for it
        (state("InService", SHADOW), False, BEFORE, ROLLED_BACK),
        (state("InService", SHADOW), False, CHANGED, PROMOTE),
        # Refused where it is done, by compare-and-set.
        (state("InService", FOREIGN), True, None, DROP),
        (state("InService", BASE), False, None, PROMOTE),
    ],
)
def test_next_step(found: EndpointState, guarded: bool, since: datetime | None, step: PromotionStep) -> None:
    assert next_step(found, baseline=BASE, names=NAMES, guarded=guarded, asked_since=since) is step
