"""How much longer a gate needs, and what would change a verdict."""

import math
from typing import Any

import numpy as np
import pytest

from shadow_provider.policy.gates import PairedErrorRate
from shadow_provider.policy.policy import Policy
from shadow_provider.statistics.blocks import BlockMean
from shadow_provider.verdict import change
from shadow_provider.verdict.looks import GateLook, GateState
from shadow_provider.verdict.measures import PairedMeasure
from shadow_provider.verdict.outlook import blocks_to_decision
from shadow_provider.verdict.units import Unit

POLICY = Policy(gates=(PairedErrorRate(margin=0.01),))


def pairs(worse: float, better: float, blocks: int, seed: int = 1) -> PairedMeasure:
    drawn = np.random.default_rng(seed).multinomial(100, [worse, better, 1 - worse - better], size=blocks)
    return PairedMeasure(worse=tuple(drawn[:, 0].tolist()), better=tuple(drawn[:, 1].tolist()), pairs=(100,) * blocks)


def more(measure: PairedMeasure, margin: float) -> float | None:
    return blocks_to_decision(measure.sequential(POLICY.precision), margin, POLICY)


@pytest.mark.parametrize(("worse", "margin"), [(0.02, 0.01), (0.036, 0.01)])
def test_the_expected_time_is_about_the_time_it_takes(worse: float, margin: float) -> None:
    expected, taken = [], []
    for seed in range(20):
        whole = pairs(worse, 0.02, 4000, seed)
        outlook = more(whole.first(100), margin)
        assert outlook is not None
        expected.append(100 + outlook)
        needed = math.log(1 / POLICY.alpha)
        for blocks in range(20, 4000, 20):
            sequential = whole.first(blocks).sequential(POLICY.precision)
            if max(sequential.evidence_below(margin), sequential.evidence_above(margin)) >= needed:
                taken.append(blocks)
                break
    assert np.median(expected) == pytest.approx(np.median(taken), rel=0.6)


def test_too_few_blocks_need_at_least_as_many_as_are_missing() -> None:
    outlook = more(pairs(0.02, 0.02, 6), 0.01)
    assert outlook is not None
    assert outlook >= 6


def test_what_nobody_can_know_is_not_told() -> None:
    assert more(pairs(0.1, 0.1, 1), 0.01) is None
    assert more(pairs(0.1, 0.1, 0), 0.01) is None
    nothing = BlockMean.of_series(np.empty(0))
    assert blocks_to_decision(nothing, 0.1, POLICY) is None
    # An estimate that lies on the margin.
    on_it = PairedMeasure(worse=(1, 0) * 30, better=(0,) * 60, pairs=(50,) * 60)
    assert more(on_it, 0.01) is None


def gate(**fields: Any) -> GateLook:
    known: dict[str, Any] = {
        "name": "paired_error_rate", "metric": "paired_error_rate", "measure": "unreadable", "margin": 0.01,
        "unit": Unit.RATE_DIFFERENCE, "state": GateState.UNDECIDED, "estimate": 0.01, "lower": 0.005, "upper": 0.02,
        "effective_blocks": 100.0, "reason": "not surely on either side of the margin",
    }  # fmt: skip
    return GateLook.model_validate(known | fields)


AGREEMENT = gate(
    name="agreement", metric="agreement", unit=Unit.SHARE, margin=0.95, estimate=0.95, lower=0.94, upper=0.96
)


def test_a_rejection_tells_the_limits_on_both_sides_of_it() -> None:
    assert change.of_reject([gate()], alone=True) == (
        "It would be PROMOTE with paired_error_rate at a margin above +2.000 pp, and stays REJECT at a margin below "
        "+0.500 pp; more traffic makes the same result only surer."
    )
    both = change.of_reject([gate(), AGREEMENT], alone=False)
    assert both.startswith(
        "It would be no REJECT with paired_error_rate at a margin above +2.000 pp and agreement at a "
    )
    assert "not critical and at a margin above" in change.of_reject([gate(critical=True)], alone=True)
    assert change.of_reject([gate(upper=1.0)], alone=True).startswith("Only another candidate")
    assert change.of_reject([AGREEMENT.model_copy(update={"lower": 0.0})], alone=True).startswith("Only another")


def test_a_promotion_tells_which_limit_would_be_too_tight() -> None:
    assert change.of_promote(AGREEMENT) == (
        "agreement would not be proven at a minimum above 94.00 %, and would be REJECT at a minimum above 96.00 %."
    )
    better = gate(lower=-0.02, upper=0.0)
    assert "no limit is too tight" in change.of_promote(better).lower()
    assert change.of_promote(gate(lower=-0.02)) == "paired_error_rate would not be proven at a margin below +2.000 pp."


def test_waiting_tells_what_the_slowest_gate_needs() -> None:
    quick, slow = gate(name="quick", hours_to_decision=1.0), gate(name="slow", hours_to_decision=30.0)
    text = change.of_waiting([quick, slow], [], final=False)
    assert text == (
        "slow would pass at a margin above +2.000 pp and fail at a margin below +0.500 pp; about 30.0 h more of the "
        "same traffic would decide it."
    )
    assert change.of_waiting([slow, gate(name="nobody_knows")], [], final=False).startswith("nobody_knows would")
    assert "would have decided it" in change.of_waiting([quick], [], final=True)
    bare = gate(lower=None, upper=None, hours_to_decision=2.0)
    assert change.of_waiting([bare], ["1,000 pairs"], final=False) == (
        "About 2.0 h more of the same traffic would decide paired_error_rate. PROMOTE also needs 1,000 pairs."
    )
    silent = gate(state=GateState.NO_DATA, lower=None, upper=None, estimate=None)
    assert change.of_waiting([silent], ["1,000 pairs", "a measured mirror"], final=False) == (
        "PROMOTE needs figures for paired_error_rate, 1,000 pairs and a measured mirror."
    )
