"""What a person should change or know before a deployment by a plan is started."""

from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

from shadow_provider.policy.policy import BLOCK_SECONDS, Policy, is_on_pairs
from shadow_provider.verdict.expected import share_with
from shadow_provider.verdict.plan_text import shown_hours, shown_provable

if TYPE_CHECKING:
    from shadow_provider.verdict.planning import GatePlan, Plan

_MOST_UNCOUNTED = 0.1
"""Share of the blocks that may be too empty for a percentile before the plan warns."""


def warnings_of(plan: "Plan", policy: Policy) -> tuple[str, ...]:
    """A sentence each, those about gates first."""
    return (*_of_gates(plan), *_of_policy(policy), *_of_traffic(plan))


def _of_gates(plan: "Plan") -> Iterator[str]:
    for gate in plan.gates:
        too_empty = gate.counted_share is not None and gate.counted_share < 1 - _MOST_UNCOUNTED
        if too_empty:
            yield _too_empty(plan, gate)
        if gate.deciding and gate.reached is False and not (too_empty and gate.hours is None):
            yield (
                f"{gate.name}: needs {shown_hours(gate)}, the deadline comes after {plan.deadline_hours:g} h; "
                f"what it can prove is {shown_provable(gate)}"
            )


def _too_empty(plan: "Plan", gate: "GatePlan") -> str:
    per_hour = plan.pairs_per_hour or 0.0
    enough = next(
        (each for each in BLOCK_SECONDS if _holds(per_hour * each / 3600, gate.samples)),
        None,
    )
    advice = (
        "no length of a block does: take a lower percentile, or mirror more"
        if enough is None
        else f"block_seconds = {enough} would do"
    )
    seconds = plan.block_seconds
    return (
        f"{gate.name}: a block counts from {gate.samples:,} requests of the shadow on, and one of {seconds} s has "
        f"about {per_hour * seconds / 3600:,.3g}; {advice}"
    )


def _holds(mean: float, samples: int) -> bool:
    return share_with(samples, mean) >= 1 - _MOST_UNCOUNTED


def _of_policy(policy: Policy) -> Iterator[str]:
    if not any(is_on_pairs(gate) for gate in policy.blocking_gates):
        yield "no deciding gate compares answers on pairs, so nothing can be promoted by this policy"
    for segment in policy.declared_segments:
        count = len(segment.values)
        yield (
            f"segment {segment.name} is declared: each of its {count} parts needs the pairs of the gates on answers by "
            f"itself, {count} times the hours where they are equally large"
        )


def _of_traffic(plan: "Plan") -> Iterator[str]:
    traffic = plan.traffic
    if traffic is None:
        return
    if not plan.pairs_per_hour:
        yield "production had no traffic: nothing can be proven"
        return
    if plan.cover_hours is not None and plan.cover_hours > plan.deadline_hours:
        yield (
            f"the minimum cover takes {plan.cover_hours:,.4g} hours, more than the {plan.deadline_hours:g} until the "
            "deadline"
        )
    hours = round((traffic.end - traffic.start) / timedelta(hours=1))
    if hours < 24:
        yield f"the traffic is that of {hours} hours: the rest of a day may be otherwise"
    if traffic.hours < hours:
        yield f"{hours - traffic.hours} of the {hours} hours had no traffic: the plan reckons with the mean over all"
    quietest, mean = traffic.quietest, traffic.invocations_per_hour or 0.0
    if quietest is not None and quietest.invocations < mean / 10:
        yield (
            f"the quietest hour had {quietest.invocations:,} requests, the mean is {mean:,.0f}: hours here are "
            "hours of average traffic"
        )
    yield from (f"CloudWatch: {note}" for note in traffic.notes)
