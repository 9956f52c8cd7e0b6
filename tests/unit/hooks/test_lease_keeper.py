"""The lease of an endpoint: one deployment at a time, whatever is killed, late or at once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shadow_provider.plan.errors import LeaseContestedError, LeaseHeldError, LeaseLostError
from shadow_provider.plan.lease import CLAIM_TIME, KEPT_GENERATIONS, Lease, LeaseState
from tests.unit.hooks.lease_stores import ENDPOINT, Actor, Killed, World, every_order, interleave

HOUR = timedelta(hours=1)


@pytest.fixture
def world() -> World:
    return World()


def state_of(world: World, generation: int) -> tuple[str, str]:
    lease = world.leases.documents[generation]
    return lease.owner, lease.state.value


def claim(world: World, owner: str, generation: int) -> None:
    """A claim whose owner went no further."""
    world.leases.documents[generation] = Lease(
        endpoint=ENDPOINT, owner=owner, generation=generation, state=LeaseState.CLAIMED, acquired=world.now,
        renewed=world.now, expires=world.now + CLAIM_TIME,
    )  # fmt: skip


def test_the_first_taking_is_generation_one_and_says_who_and_until_when(world: World) -> None:
    lease = world.keeper("a").take(world.until())
    assert world.leases.documents == {1: lease}
    assert (lease.owner, lease.dag, lease.run, lease.endpoint) == ("a", "dag-a", "run", ENDPOINT)
    assert (lease.state, lease.expires) == (LeaseState.HELD, world.until())


def test_another_deployment_is_told_who_holds_the_endpoint_and_until_when(world: World) -> None:
    world.keeper("a").take(world.until())
    with pytest.raises(LeaseHeldError) as caught:
        world.keeper("b").take(world.until())
    assert str(caught.value) == (
        "Endpoint churn is held by deployment 'a' (DAG dag-a, run run), until 2026-03-01T11:00:00+00:00 unless it "
        "renews its lease (generation 1)."
    )
    assert list(world.leases.documents) == [1]


def test_the_same_deployment_goes_on_with_its_own_lease_even_when_that_ran_out(world: World) -> None:
    first = world.keeper("a").take(world.until())
    world.now += 3 * HOUR
    again = world.keeper("a").take(world.until())
    assert (again.generation, again.acquired, again.expires) == (1, first.acquired, world.until())


def test_a_released_lease_goes_to_the_next(world: World) -> None:
    world.keeper("a").take(world.until())
    assert world.keeper("a").release()
    assert world.keeper("b").take(world.until()).generation == 2
    assert state_of(world, 1) == ("a", "released")


def test_after_its_release_a_deployment_takes_a_new_generation(world: World) -> None:
    world.keeper("a").take(world.until())
    world.keeper("a").release()
    assert world.keeper("a").keep(world.until()).generation == 2


def test_releasing_twice_or_what_one_never_had_changes_nothing(world: World) -> None:
    assert not world.keeper("a").release()
    world.keeper("a").take(world.until())
    world.keeper("a").release()
    before = dict(world.leases.documents)
    assert not world.keeper("a").release()
    assert not world.keeper("b").release()
    assert world.leases.documents == before


def test_a_lease_that_ran_out_is_taken_over_and_its_old_owner_changes_nothing_more(world: World) -> None:
    world.keeper("a").take(world.until())
    world.now += 2 * HOUR
    assert world.keeper("b").take(world.until()).generation == 2
    with pytest.raises(LeaseLostError, match=r"This deployment has lost endpoint churn: .* held by deployment 'b'"):
        world.keeper("a").keep(world.until())
    assert not world.keeper("a").release()
    assert state_of(world, 2) == ("b", "held")


def test_a_lease_that_ran_out_stays_while_the_endpoint_objects(world: World) -> None:
    world.keeper("a").take(world.until())
    world.now += 2 * HOUR
    world.objection = "the endpoint runs the shadow of a"
    with pytest.raises(LeaseHeldError) as caught:
        world.keeper("b").take(world.until())
    assert str(caught.value) == "The endpoint runs the shadow of a."
    assert list(world.leases.documents) == [1]
    # Its own deployment may still go on.
    assert world.keeper("a").keep(world.until()).generation == 1


def test_a_taker_gives_back_what_its_owner_renewed_meanwhile(world: World) -> None:
    owner, taker = world.keeper("a"), world.keeper("b")
    owner.take(world.until())
    world.now += 2 * HOUR
    claim(world, "b", 2)
    with pytest.raises(LeaseContestedError, match="deployment 'b' is about to take endpoint churn"):
        owner.keep(world.until())
    # The owner was already past its look when the claim was made, and writes.
    world.leases.documents[1] = world.leases.documents[1].written(LeaseState.HELD, now=world.now, expires=world.until())
    with pytest.raises(LeaseHeldError, match="held by deployment 'a'"):
        taker.take(world.until())
    assert state_of(world, 2) == ("b", "withdrawn")
    assert owner.keep(world.until()).generation == 1


def test_a_claim_is_taken_up_again_by_its_own_deployment(world: World) -> None:
    claim(world, "a", 1)
    assert world.keeper("a").take(world.until()).state is LeaseState.HELD


def test_a_claim_left_lying_keeps_nobody_away_for_long(world: World) -> None:
    world.keeper("a").take(world.until())
    claim(world, "b", 2)
    with pytest.raises(LeaseContestedError):
        world.keeper("c").take(world.until())
    world.now += CLAIM_TIME
    # It was never held, so the one before it still counts.
    assert world.keeper("a").keep(world.until()).generation == 1
    world.keeper("a").release()
    assert world.keeper("c").take(world.until()).generation == 3


def test_old_generations_are_removed_but_a_few(world: World) -> None:
    for _ in range(KEPT_GENERATIONS + 4):
        world.keeper("a").take(world.until())
        world.keeper("a").release()
    assert sorted(world.leases.documents) == list(range(4, KEPT_GENERATIONS + 5))


def test_what_a_newer_version_wrote_into_a_lease_does_not_hide_its_holder(world: World) -> None:
    lease = world.keeper("a").take(world.until())
    document = lease.model_dump(mode="json") | {"mood": "good"}
    assert Lease.model_validate(document) == lease


VERBS = st.lists(st.sampled_from(["take", "keep", "keep", "release", "sleep"]), min_size=1, max_size=6)
KILLS = st.none() | st.integers(1, 30)


@given(st.lists(st.tuples(VERBS, KILLS), min_size=2, max_size=3), st.lists(st.integers(0, 8), max_size=120))
@settings(derandomize=True, deadline=None, max_examples=400)
def test_never_two_deployments_may_change_the_endpoint(
    plans: list[tuple[list[str], int | None]], choices: list[int]
) -> None:
    world = World()
    actors = [Actor(world, owner, verbs, kill) for owner, (verbs, kill) in zip("abc", plans, strict=False)]
    interleave(world, actors, choices)
    assert not any(actor.conflicts for actor in actors)
    # Whatever happened, the endpoint is free again once every lease has run out.
    world.now += 2 * HOUR
    assert world.keeper("d").take(world.until()).state is LeaseState.HELD


def ran_out(world: World) -> None:
    world.keeper("a").take(world.until())
    world.now += 2 * HOUR


def released(world: World) -> None:
    world.keeper("a").take(world.until())
    world.keeper("a").release()


@pytest.mark.parametrize(
    ("prepare", "first"),
    [(ran_out, "a"), (ran_out, "c"), (released, "a"), (lambda world: None, "c")],
    ids=["its owner comes back", "it ran out", "its owner had released it", "nobody had it"],
)
def test_of_two_at_once_never_both_get_it_in_any_order(prepare: Callable[[World], None], first: str) -> None:
    def two(world: World) -> list[Actor]:
        prepare(world)
        return [Actor(world, first, ["keep"]), Actor(world, "b", ["take"])]

    orders = 0
    for world, actors in every_order(two):
        orders += 1
        assert not any(actor.conflicts for actor in actors)
        assert len(world.entitled) <= 1
    assert orders > 100


@pytest.mark.parametrize("step", range(1, 9))
@pytest.mark.parametrize("verb", ["take", "release"])
def test_a_deployment_killed_at_any_step_takes_or_releases_at_its_next_try(world: World, verb: str, step: int) -> None:
    world.keeper("z").take(world.until())
    world.keeper("z").release()
    if verb == "release":
        world.keeper("a").take(world.until())
    left = iter(range(step))

    def die() -> None:
        if next(left, None) is None:
            world.leases.before_each = lambda: None
            raise Killed

    world.leases.before_each = die
    try:
        world.keeper("a").take(world.until()) if verb == "take" else world.keeper("a").release()
    except Killed:
        world.keeper("a").take(world.until()) if verb == "take" else world.keeper("a").release()
    assert state_of(world, 2) == ("a", "held" if verb == "take" else "released")
    assert max(world.leases.documents) == 2
