"""The production guard: how much worse production itself may become while the shadow runs."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from shadow_provider.plan.arguments import Specification, none_of_jinja
from shadow_provider.plan.errors import PlanError
from shadow_provider.policy.gates import InvocationErrorRate, ModelLatency, Percentile
from shadow_provider.policy.policy import Policy

ON, OFF = "on", "off"
_ERROR_RATE_MARGIN = 0.005
_LATENCY_MARGIN = 0.2
_PERCENTILE: Percentile = "p90"


class ProductionGuard(Specification):
    """What production must keep, against itself before the shadow was added.

    Attributes:
        error_rate_margin: increase of the share of failed invocations (4XX and 5XX) that is still accepted, as an
            absolute rate (0.005 is half a percentage point).
        latency_margin: increase of ModelLatency that is still accepted, relative (0.2 is twenty percent slower).
        percentile: of ModelLatency in each block.
        alpha: probability of an abort although production is exactly as bad as a margin allows, over all looks.
    """

    error_rate_margin: Annotated[float, Field(gt=0, lt=1)]
    latency_margin: Annotated[float, Field(gt=0, le=10)]
    percentile: Percentile
    alpha: Annotated[float, Field(ge=1e-9, le=0.2)]


def read_production_guard(value: Any, policy: Policy) -> ProductionGuard | None:
    """Make a guard of what a person gave.

    What is left out follows the policy: the margin of its gate on failed invocations, percentile and margin of its
    first gate on latency, its alpha. The latency's margin is at least 0.2 unless it is given: two days of the same
    production differ more than two variants that answer the same requests.

    Args:
        value: "on", "off", None (off), or a mapping with some of the fields.
        policy: the deployment's policy.

    Raises:
        PlanError: the value breaks a rule.
    """
    value = none_of_jinja(value)
    if value is None or value is False or (isinstance(value, str) and value.strip().lower() == OFF):
        return None
    if value is True or (isinstance(value, str) and value.strip().lower() == ON):
        value = {}
    if not isinstance(value, Mapping):
        raise PlanError(
            f"production_guard={value!r}: must be {ON!r}, {OFF!r} or a mapping with the fields "
            f"{', '.join(ProductionGuard.model_fields)}"
        )
    asked = {key: item for key, item in value.items() if none_of_jinja(item) is not None}
    return ProductionGuard.parse("production_guard", _of_policy(policy) | asked)


def _of_policy(policy: Policy) -> dict[str, Any]:
    errors = next((gate.margin for gate in policy.gates if isinstance(gate, InvocationErrorRate)), _ERROR_RATE_MARGIN)
    latency = next((gate for gate in policy.gates if isinstance(gate, ModelLatency)), None)
    return {
        "error_rate_margin": errors,
        "latency_margin": max(latency.margin, _LATENCY_MARGIN) if latency else _LATENCY_MARGIN,
        "percentile": latency.percentile if latency else _PERCENTILE,
        "alpha": policy.alpha,
    }
