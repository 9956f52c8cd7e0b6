from __future__ import annotations

import random
from typing import Any, cast

import pytest
from scipy import stats

from shadow_provider.local.serving.mirror import Mirror, MirrorMetrics, mirrored_share
from shadow_provider.local.serving.variant import Variant, VariantCounters


class FakeMetrics:
    def __init__(self) -> None:
        self.copies, self.drops = 0, 0

    def sent(self) -> None:
        self.copies += 1

    def dropped(self, *, after_it_was_sent: bool) -> None:
        self.drops += 1


class FakeShadow:
    name = "shadow"

    def __init__(self) -> None:
        self.counters = VariantCounters()


@pytest.mark.parametrize(
    ("production", "shadow", "share"),
    [(1, 0.5, 0.5), (1, 1, 1.0), (2, 0.5, 0.25), (1, 3, 1.0), (1, 0, 0.0), (0, 1, 1.0), (0, 0, 0.0)],
)
def test_the_share_is_the_ratio_of_the_weights_and_at_most_one(production: float, shadow: float, share: float) -> None:
    assert mirrored_share(production, shadow, "ratio") == share


@pytest.mark.parametrize(("production", "shadow", "share"), [(1, 0.5, 0.5), (2, 0.5, 0.5), (4, 3, 1.0), (1, 0, 0.0)])
def test_the_share_can_be_the_shadows_weight_alone(production: float, shadow: float, share: float) -> None:
    assert mirrored_share(production, shadow, "shadow_weight") == share


@pytest.mark.parametrize("share", [0.01, 0.25, 0.5, 0.9, 0.999])
def test_sampling_is_binomial(share: float) -> None:
    # Without room every copy that sampling chooses is a drop: what is counted is sampling alone.
    shadow, metrics, count = FakeShadow(), FakeMetrics(), 20_000
    mirror = Mirror(cast(Variant, shadow), share, 0, random.Random(11), cast(MirrorMetrics, metrics))
    chosen = []
    for _ in range(count):
        before = metrics.drops
        mirror.offer(cast(Any, None))
        chosen.append(metrics.drops > before)
    low, high = stats.binom.ppf(1e-6, count, share), stats.binom.isf(1e-6, count, share)
    assert low <= shadow.counters.dropped == metrics.drops == sum(chosen) <= high
    # Independent from one request to the next: pairs of chosen ones are as frequent as chance makes them.
    pairs = sum(one and other for one, other in zip(chosen[::2], chosen[1::2], strict=True))
    assert stats.binom.ppf(1e-6, count // 2, share**2) <= pairs <= stats.binom.isf(1e-6, count // 2, share**2)


@pytest.mark.parametrize(("share", "chosen"), [(0.0, 0), (1.0, 1000)])
def test_none_and_all_are_exact(share: float, chosen: int) -> None:
    shadow = FakeShadow()
    mirror = Mirror(cast(Variant, shadow), share, 0, random.Random(1), cast(MirrorMetrics, FakeMetrics()))
    for _ in range(1000):
        mirror.offer(cast(Any, None))
    assert (shadow.counters.mirrored, shadow.counters.dropped) == (0, chosen)
