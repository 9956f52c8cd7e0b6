"""The table of facts: each check holds, each proof is there, and the page says what the table says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from shadow_provider.local import LocalAWS, LocalSettings
from tests.aws.conformance.page import FACTS, PAGE, page
from tests.aws.conformance.table import Fact, World
from tests.aws.conftest import cloud_of

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    numbers = iter(range(1, 10_000))
    with LocalAWS(LocalSettings(seed=7, clock=60, capture_flush_seconds=0.2, provisioning_seconds=6)) as running:
        cloud = cloud_of(running, lambda prefix: f"{prefix}-{next(numbers)}")
        model = cloud.model()
        # The endpoint's name is the next but one.
        prefix = f"captured-endpoint-{next(numbers) + 2}"
        production, shadow = cloud.variant("production", model), cloud.variant("shadow", model)
        config = cloud.config([production], [shadow], DataCaptureConfig=cloud.capture_config(prefix))
        endpoint = cloud.endpoint(config)
        described = cloud.describe(endpoint)
        for _ in range(3):
            cloud.invoke(endpoint, InferenceId="conformance")
        yield World(cloud, model, config, endpoint, described)


@pytest.mark.parametrize("fact", [fact for fact in FACTS if fact.check is not None], ids=lambda fact: fact.id)
def test_a_fact_holds(world: World, fact: Fact) -> None:
    assert fact.check is not None
    fact.check(world)


def test_every_fact_is_held_by_something_that_is_there() -> None:
    assert len({fact.id for fact in FACTS}) == len(FACTS)
    for fact in FACTS:
        held = fact.check is not None or bool(fact.proofs)
        assert held != bool(fact.missing), fact.id
        assert not fact.setting or fact.setting in LocalSettings.model_fields, fact.id
        for proof in fact.proofs:
            file, _, name = proof.partition("::")
            assert (ROOT / file).exists(), proof
            assert not name or f"def {name}(" in (ROOT / file).read_text(), proof


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == page(), "python -m tests.aws.conformance.page writes it anew"
