"""Service quotas of endpoints: what is in use, what a request adds, and AWS's refusal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from shadow_provider.local.errors import AwsError
from shadow_provider.local.serving.deployment import VariantPlan
from shadow_provider.local.serving.endpoints import Endpoint
from shadow_provider.local.settings import QUOTA_ACROSS_ENDPOINTS, QUOTA_OF_INSTANCE_TYPE, QUOTA_PER_ENDPOINT


def check_quotas(
    quotas: Mapping[str, int], used: Counter[str], added: Counter[str], endpoint_total: int | None = None
) -> None:
    """Whether instances may be added; without quotas everything may.

    Args:
        quotas: The limits by AWS's quota names; what is not named is unlimited.
        used: Instances in use now, by instance type, of all endpoints.
        added: Instances that the request adds while it is carried out, by instance type. What a type loses counts as
            nothing.
        endpoint_total: Instances that the endpoint has in the end; None leaves its own quota unchecked.

    Raises:
        AwsError: ResourceLimitExceeded in AWS's words, for the first quota that does not suffice.
    """
    growing = Counter({kind: count for kind, count in added.items() if count > 0})
    for kind, count in sorted(growing.items()):
        _check(quotas, QUOTA_OF_INSTANCE_TYPE.format(kind), used[kind], count)
    if growing:
        _check(quotas, QUOTA_ACROSS_ENDPOINTS, used.total(), growing.total())
        if endpoint_total is not None:
            _check(quotas, QUOTA_PER_ENDPOINT, 0, endpoint_total)


def instances_of_plans(plans: Iterable[VariantPlan]) -> Counter[str]:
    """The instances that variants start with, by instance type."""
    found: Counter[str] = Counter()
    for plan in plans:
        found[plan.definition["InstanceType"]] += plan.count
    return found


def instances_of(endpoints: Iterable[Endpoint]) -> Counter[str]:
    """The instances of endpoints, by instance type; those that are starting count."""
    found: Counter[str] = Counter()
    for endpoint in endpoints:
        # While an update ends, what was pending is live already: it counts once.
        for deployment in {endpoint.live, endpoint.pending}:
            for variant in [] if deployment is None else deployment.variants:
                found[variant.definition["InstanceType"]] += variant.count
    return found


def _check(quotas: Mapping[str, int], name: str, used: int, added: int) -> None:
    limit = quotas.get(name)
    if limit is None or used + added <= limit:
        return
    raise AwsError(
        "ResourceLimitExceeded",
        f"The account-level service limit '{name}' is {limit} Instances, with current utilization of {used} Instances "
        f"and a request delta of {added} Instances. Please use AWS Service Quotas to request an increase for this "
        "quota. If AWS Service Quotas is not available, contact AWS support to request an increase for this quota.",
    )
