"""Service quotas of endpoints: what is in use, what a request adds, and AWS's refusal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from shadow_provider.local.errors import AwsError
from shadow_provider.local.serving.capacity_change import Desired
from shadow_provider.local.serving.endpoint import Endpoint
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


def instances_of(endpoints: Iterable[Endpoint]) -> Counter[str]:
    """The instances of endpoints, by instance type; those that are starting count."""
    found: Counter[str] = Counter()
    for endpoint in endpoints:
        for deployment in endpoint.deployments:
            for variant in deployment.variants:
                found[variant.definition["InstanceType"]] += max(variant.count, variant.desired_count)
    return found


def growth_of(endpoint: Endpoint, desired: Iterable[Desired]) -> tuple[Counter[str], int]:
    """What a change of capacity adds, by instance type, and how many instances the endpoint has in the end."""
    counts = {wish.variant: wish.count for wish in desired if wish.count is not None}
    added: Counter[str] = Counter()
    total = 0
    for variant in [] if endpoint.live is None else endpoint.live.variants:
        count = counts.get(variant.name, variant.desired_count)
        added[variant.definition["InstanceType"]] += max(0, count - variant.desired_count)
        total += count
    return added, total


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
