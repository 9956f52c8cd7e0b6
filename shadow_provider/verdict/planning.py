"""What a policy needs before anything is started: pairs and hours by gate, and what the deadline can prove.

A plan supposes a candidate that is as good as production and asks when its gates pass with probability 0.8 each.
What is not known is said to be a guess; without traffic there are requests but no hours.
"""

import math
from datetime import timedelta
from typing import Literal

from shadow_provider.plan.frozen import Frozen
from shadow_provider.policy.gates import Gate, ModelLatency
from shadow_provider.policy.policy import Policy
from shadow_provider.verdict.expected import Course, requests_to_pass
from shadow_provider.verdict.looks import harm_margin, in_gate_unit, shown_margin, unit_of
from shadow_provider.verdict.plan_text import in_one_line, plan_as_text
from shadow_provider.verdict.plan_warnings import warnings_of
from shadow_provider.verdict.suppositions import Supposition, suppose
from shadow_provider.verdict.traffic import Traffic
from shadow_provider.verdict.units import Unit

POWER = 0.8
"""Probability with which each gate should pass."""

_HORIZON = 4
"""Deadlines that are looked at, to say how much longer a gate would need."""

_SPREAD = 100
"""Blocks over which requests are supposed to come where the traffic is not known."""


class GatePlan(Frozen):
    """What one gate needs.

    Attributes:
        name: the gate's name.
        unit: how its numbers are meant.
        margin: what the policy accepts.
        deciding: whether a promotion has to wait for it; a gate on the truth only if the policy requires it.
        counted_in: what `needed` counts: pairs, requests of the shadow, or blocks that hold enough requests.
        needed: so many; None if more than any deployment has.
        hours: until then at the traffic given; None if it is not known or longer than four deadlines.
        reached: whether that is before the deadline; None without traffic.
        provable: the tightest margin that the deadline can prove; None without traffic, or if it can prove none.
        samples: requests of the shadow that a block must have to count; 0 but for percentiles.
        counted_share: share of the blocks that hold so many; None without traffic.
        supposed: what the plan rests on.
    """

    name: str
    unit: Unit
    margin: float
    deciding: bool
    counted_in: Literal["pairs", "requests", "blocks"]
    needed: int | None
    hours: float | None = None
    reached: bool | None = None
    provable: float | None = None
    samples: int = 0
    counted_share: float | None = None
    supposed: str


class Plan(Frozen):
    """What a deployment by this policy needs.

    Attributes:
        power: probability with which each gate passes after its hours.
        alpha: of each gate.
        sampling_percentage: share of the requests that the shadow gets.
        deadline_hours: of the policy, without the warm-up.
        block_seconds: length of a block.
        traffic: what the plan was made for; None if that is not known.
        pairs_per_hour: pairs to be expected; None without traffic.
        gates: every gate.
        cover_hours: hours until the minimum cover; None if it is not known.
        hours: until the deciding gates and the cover; None if one is not known.
        warnings: what a person should change or know, a sentence each.
        assumptions: what was supposed, a sentence each.
    """

    power: float
    alpha: float
    sampling_percentage: float
    deadline_hours: float
    block_seconds: int
    traffic: Traffic | None
    pairs_per_hour: float | None
    gates: tuple[GatePlan, ...]
    cover_hours: float | None
    hours: float | None
    warnings: tuple[str, ...]
    assumptions: tuple[str, ...]

    @property
    def unreachable(self) -> tuple[str, ...]:
        """The gates that the deadline cannot reach, also those that do not decide."""
        return tuple(gate.name for gate in self.gates if gate.reached is False)

    @property
    def hopeless(self) -> bool:
        """Whether the deadline comes before a deciding gate or the minimum cover: no promotion is to be expected."""
        if self.traffic is None:
            return False
        late = self.cover_hours is None or self.cover_hours > self.deadline_hours
        return late or any(gate.deciding and gate.reached is False for gate in self.gates)

    def as_text(self) -> str:
        """The plan as plain text: a sentence, a table of the gates, warnings and assumptions."""
        return plan_as_text(self)

    def in_one_line(self) -> str:
        """The plan in one sentence, for a log."""
        return in_one_line(self)


def plan(policy: Policy, traffic: Traffic | None, *, sampling_percentage: float) -> Plan:
    """Say what the policy's margins need. Pure: the same question has the same answer.

    Args:
        policy: what is to be promised.
        traffic: production's, of late; None if it is not known.
        sampling_percentage: share of the requests that the shadow will get, above 0 to 100.

    Raises:
        ValueError: the percentage is out of range.
    """
    if not 0 < sampling_percentage <= 100:
        raise ValueError(f"sampling_percentage must lie within (0, 100], got {sampling_percentage:g}")
    share = sampling_percentage / 100
    planner = _Planner(policy, traffic, share)
    gates = tuple(planner.gate(gate) for gate in policy.gates)
    cover = planner.cover_hours()
    hours = [cover, *(gate.hours for gate in gates if gate.deciding)]
    known = [each for each in hours if each is not None]
    found = Plan(
        power=POWER,
        alpha=policy.alpha,
        sampling_percentage=sampling_percentage,
        deadline_hours=planner.deadline_hours,
        block_seconds=policy.effective_block_seconds,
        traffic=traffic,
        pairs_per_hour=None if traffic is None else planner.per_hour,
        gates=gates,
        cover_hours=cover,
        hours=max(known) if traffic is not None and len(known) == len(hours) else None,
        warnings=(),
        assumptions=(
            f"the candidate is as good as production; each gate passes then with probability {POWER:g}",
            "every request that the shadow gets is captured on both sides, and traffic goes on evenly as it was",
            *(f"{gate.name}: {gate.supposed}" for gate in gates),
        ),
    )
    return found.model_copy(update={"warnings": warnings_of(found, policy)})


class _Planner:
    """One policy at one traffic."""

    def __init__(self, policy: Policy, traffic: Traffic | None, share: float) -> None:
        self.policy, self.traffic, self.share = policy, traffic, share
        self.seconds = policy.effective_block_seconds
        self.deadline_hours = policy.deadline_hours - policy.warm_up_seconds / 3600
        self.deadline_blocks = int(self.deadline_hours * 3600 / self.seconds)
        self.horizon = _HORIZON * max(self.deadline_blocks, 1)
        self.per_hour = 0.0 if traffic is None else requests_per_hour(traffic) * share

    def gate(self, gate: Gate) -> GatePlan:
        """What one gate needs."""
        supposition = suppose(gate, self.policy, self.traffic)
        needed = self._needed(gate, supposition)
        course = self._course(supposition)
        hours = self._hours(gate, course, needed)
        known: dict[str, object] = {}
        if self.traffic is not None:
            known = {
                "reached": hours is not None and hours <= self.deadline_hours,
                "provable": self._provable(gate, course),
                "counted_share": course.counted_share() if supposition.samples else None,
            }
        return GatePlan.model_validate(
            {
                "name": gate.name,
                "unit": unit_of(gate, self.policy),
                "margin": shown_margin(gate),
                "deciding": gate.blocking and supposition.surely_decides,
                "counted_in": supposition.counted_in,
                "needed": needed,
                "hours": hours,
                "samples": supposition.samples,
                "supposed": supposition.words,
            }
            | known
        )

    def _course(self, supposition: Supposition) -> Course:
        hours = self.seconds / 3600
        return Course(
            supposition.expectation,
            self.per_hour / self.share * hours,
            self.per_hour * supposition.coverage * hours,
            self.policy.precision,
            self.horizon,
        )

    def _needed(self, gate: Gate, supposition: Supposition) -> int | None:
        """Requests, pairs or blocks, whatever the traffic."""
        margin, alpha, precision = harm_margin(gate), self.policy.alpha, self.policy.precision
        if isinstance(gate, ModelLatency):
            # Requests do not matter where every block counts.
            return Course(supposition.without_samples, 1.0, 1.0, precision, self.horizon).blocks_to_pass(
                margin, alpha, POWER
            )
        found = requests_to_pass(supposition.expectation, self.share, margin, alpha, POWER, precision, _SPREAD)
        return None if found is None else math.ceil(found / supposition.coverage)

    def _hours(self, gate: Gate, course: Course, needed: int | None) -> float | None:
        if not self.per_hour:
            return None
        blocks = course.blocks_to_pass(harm_margin(gate), self.policy.alpha, POWER)
        if blocks is not None:
            return _rounded(blocks * self.seconds / 3600)
        if needed is None or isinstance(gate, ModelLatency):
            return None
        # Beyond the blocks that were drawn it is the number of requests that counts.
        return _rounded(max(needed / self.per_hour, self.horizon * self.seconds / 3600))

    def _provable(self, gate: Gate, course: Course) -> float | None:
        if not self.per_hour or not self.deadline_blocks:
            return None
        harm = course.provable(self.policy.alpha, POWER, self.deadline_blocks)
        if not math.isfinite(harm) or harm >= course.expectation.most:
            return None
        return _rounded(in_gate_unit(gate, (harm,))[0])

    def cover_hours(self) -> float | None:
        """Hours until the minimum cover."""
        policy = self.policy
        if not self.per_hour:
            return None
        of_day = math.ceil(policy.minimum_day_share * 24)
        return _rounded(max(policy.minimum_pairs / self.per_hour, policy.minimum_hours, of_day))


def requests_per_hour(traffic: Traffic) -> float:
    """Mean over all hours of the span, those without traffic too: a deadline does not stop for them."""
    span = (traffic.end - traffic.start) / timedelta(hours=1)
    return (traffic.invocations_per_hour or 0.0) * traffic.hours / span if span else 0.0


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")
