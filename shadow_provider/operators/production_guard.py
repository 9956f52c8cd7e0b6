"""Every look at the evidence also looks at production: harm to it ends the deployment."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from shadow_provider.hooks.sagemaker_shadow import SageMakerShadowHook
from shadow_provider.plan.endpoint_config import ShadowRun
from shadow_provider.plan.errors import ProductionHarmedError
from shadow_provider.policy.policy import Policy
from shadow_provider.policy.production_guard import ProductionGuard

log = logging.getLogger(__name__)


def refuse_harm(
    hook: SageMakerShadowHook,
    *,
    endpoint_name: str,
    run: ShadowRun,
    policy: Policy,
    guard: ProductionGuard | None,
    lag: timedelta,
    now: datetime,
) -> None:
    """Look at production once, and say in the log what was seen.

    Args:
        hook: the verbs of AWS.
        endpoint_name: the endpoint.
        run: what the shadow config says.
        policy: the deployment's.
        guard: the margins; None looks at nothing.
        lag: how old a block must be to have all its figures.
        now: the time of this look.

    Raises:
        ProductionHarmedError: production is surely worse than the guard allows.
    """
    if guard is None:
        return
    # Sensors import this module at DAG parse, and these bring the statistics with them.
    from shadow_provider.evidence.production_guard import look_at_production

    found = look_at_production(
        hook.cloudwatch,
        endpoint_name=endpoint_name,
        variant=run.production_variant,
        since=run.since,
        until=now - lag,
        now=now,
        policy=policy,
        guard=guard,
    )
    log.info("Production guard: %s", found.as_text())
    if found.breaches:
        raise ProductionHarmedError(
            f"Production guard of endpoint {endpoint_name}: {found.as_text()}. The deployment is given up and rolled "
            "back; if the cause is another one than the shadow, start a new deployment, with wider margins in "
            "production_guard or 'off'."
        )
