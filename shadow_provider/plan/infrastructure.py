"""On whose instances the candidate serves after its promotion.

AWS (SageMaker developer guide, shadow tests): keep production's instance type and count when promoting, unless those of
the shadow are what was tested; then test at full sampling first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, cast, get_args

from shadow_provider.plan.arguments import none_of_jinja
from shadow_provider.plan.endpoint_config import Baseline, ShadowRun
from shadow_provider.plan.endpoint_state import EndpointState
from shadow_provider.plan.errors import PlanError

Infrastructure = Literal["production", "shadow"]

# What the variant keeps whatever carries it.
_NOT_INFRASTRUCTURE = ("VariantName", "ModelName", "InitialVariantWeight")


def infrastructure(value: Any) -> Infrastructure:
    """Read the argument ``promote_infrastructure``; what was left out is production's.

    Raises:
        PlanError: it is something else.
    """
    choice = none_of_jinja(value) or "production"
    if choice not in get_args(Infrastructure):
        raise PlanError(f"promote_infrastructure={choice!r}: must be one of {', '.join(get_args(Infrastructure))}")
    return cast(Infrastructure, choice)


def check_tested(chosen: Infrastructure, sampling_percentage: float) -> None:
    """Check that the shadow's infrastructure carried what production has to carry.

    Raises:
        PlanError: the shadow's was chosen, and the shadow got only a part of the requests.
    """
    if chosen == "shadow" and sampling_percentage < 100:
        raise PlanError(
            f"promote_infrastructure='shadow', sampling_percentage={sampling_percentage:g}: the shadow's instances may "
            "be promoted only where they had the full load, so it must be 100"
        )


def promoted_variant(
    baseline: Baseline, shadow_config: Mapping[str, Any], state: EndpointState, chosen: Infrastructure
) -> dict[str, Any]:
    """Return the production variant of the promoted config but for its model.

    With the shadow's infrastructure, everything but name and weight is the shadow's: instance type, present instance
    count, timeouts, routing, volume.

    Args:
        baseline: production with its present instance count.
        shadow_config: DescribeEndpointConfig of the shadow config.
        state: the endpoint as it runs, for the shadow's present count and weight.
        chosen: whose infrastructure.

    Raises:
        PlanError: see ``check_tested``; also where the shadow's weight was lowered since.
    """
    if chosen == "production":
        return dict(baseline.variant)
    run = ShadowRun.of(shadow_config)
    running = next((item for item in state.shadows if item.name == run.shadow_variant), None)
    weights = {item.name: item.weight for item in (*state.production, *state.shadows)}
    shadow_weight, production_weight = weights.get(run.shadow_variant), weights.get(run.production_variant)
    share = run.sampling_percentage
    if shadow_weight is not None and production_weight:
        share = min(share, 100 * shadow_weight / production_weight)
    check_tested(chosen, share)
    variant = {key: value for key, value in shadow_config["ShadowProductionVariants"][0].items()
               if key not in _NOT_INFRASTRUCTURE}  # fmt: skip
    if running is not None and running.desired_instances:
        variant["InitialInstanceCount"] = running.desired_instances
    kept = {key: baseline.variant[key] for key in _NOT_INFRASTRUCTURE if key in baseline.variant}
    return {**variant, **kept}
