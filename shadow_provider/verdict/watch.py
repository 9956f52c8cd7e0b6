"""The first minutes of the new production against the time before it.

A watch of minutes proves nothing good; it catches what is surely bad. Each rule errs on the side of leaving the
candidate where its evidence put it, except where there is no data: that is never a pass.
"""

from __future__ import annotations

from dataclasses import dataclass

from shadow_provider.plan.serving_figures import ServingFigures, error_gate, latency_gates, latency_limit
from shadow_provider.policy.gates import ModelLatency
from shadow_provider.policy.policy import Policy
from shadow_provider.statistics.proportion import independent_difference

LEAST_BLOCKS = 3
"""Blocks with enough requests of which a majority is one."""


@dataclass(frozen=True)
class WatchFinding:
    """What a look says.

    Attributes:
        breaches: why the promotion must not stand, in words; none if it may.
        notes: what could not be judged, in words.
    """

    breaches: tuple[str, ...]
    notes: tuple[str, ...] = ()


def judge_watch(
    policy: Policy, before: ServingFigures, after: ServingFigures, *, looks: int, final: bool
) -> WatchFinding:
    """Hold the new production against production as it was.

    * Errors, at every look: a breach if the rate of failed requests is surely higher than before by more than the
      gate's margin: the lower bound of the difference (``independent_difference``) lies above it. The policy's alpha is
      divided by the number of looks, so that all of them together are wrong no more often than alpha.
    * Latency, at the last look: a breach if more than half of the blocks lie above ``latency_limit`` of the blocks
      before. Of a model that is just as fast, one block in ten comes that far without any margin. Where too few blocks
      have requests enough, all are taken: callers that wait for a slow model send less.
    * No data, at the last look: a breach if there were requests before and none is counted after.

    Args:
        policy: its blocking gates on invocation errors and latency.
        before: production before the promotion, with traffic.
        after: the new production so far.
        looks: how many looks there are to be.
        final: whether this is the last one.
    """
    if not after.invocations:
        silent = "CloudWatch counts no request since the promotion, and there were some before: nothing is verified"
        return WatchFinding((silent,) if final else ())
    said = [_errors(policy, before, after, looks), *(_latency(policy, before, after) if final else ())]
    breaches = [found for found, is_breach in said if found and is_breach]
    if final and after.errors is None:
        breaches.append("CloudWatch has requests since the promotion but no count of failed ones: nothing is verified")
    return WatchFinding(tuple(breaches), tuple(found for found, is_breach in said if found and not is_breach))


_Said = tuple[str | None, bool]


def _errors(policy: Policy, before: ServingFigures, after: ServingFigures, looks: int) -> _Said:
    gate = error_gate(policy)
    if gate is None or after.errors is None or not after.invocations:
        return None, False
    if before.errors is None or not before.invocations:
        return f"{gate.name} is not judged: CloudWatch has no count of production's errors before", False
    failed, failed_before = min(after.errors, after.invocations), min(before.errors, before.invocations)
    lower, _ = independent_difference(
        failed, after.invocations, failed_before, before.invocations, policy.alpha / looks
    )
    if lower <= gate.margin:
        return None, False
    return (
        f"{gate.name}: {failed} of {after.invocations} requests failed, before it were {failed_before} of "
        f"{before.invocations}; that is surely more than {gate.margin:g} higher",
        True,
    )


def _latency(policy: Policy, before: ServingFigures, after: ServingFigures) -> tuple[_Said, ...]:
    return tuple(_one_latency(gate, before, after) for gate in latency_gates(policy))


def _one_latency(gate: ModelLatency, before: ServingFigures, since: ServingFigures) -> _Said:
    name, limit = gate.name, latency_limit(before.latency.get(gate.percentile, ()), gate.margin)
    if limit is None:
        return f"{name} is not judged: production had too few blocks with enough requests before", False
    after = since.latency.get(gate.percentile, ())
    if len(after) < LEAST_BLOCKS:
        after = since.thin_latency.get(gate.percentile, ())
    if len(after) < LEAST_BLOCKS:
        return f"{name} is not judged: only {len(after)} blocks since the promotion have requests", False
    slow = sum(block > limit for block in after)
    if 2 * slow <= len(after):
        return None, False
    return f"{name}: {slow} of {len(after)} blocks are slower than {limit / 1000:.4g} ms", True
