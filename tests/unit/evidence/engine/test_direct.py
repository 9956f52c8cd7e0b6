"""What is settled in memory is what the database would have settled, whatever happens to captures."""

import json
from datetime import timedelta
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from shadow_provider.evidence.engine.direct import Bounds, Direct, Undoubted
from shadow_provider.evidence.engine.engine import take_look
from shadow_provider.evidence.engine.model import Result, Settings, Wanted
from shadow_provider.evidence.engine.records import schema
from shadow_provider.evidence.engine.state import State
from shadow_provider.evidence.engine.store import FolderStore, S3Store
from shadow_provider.evidence.engine.truth import Truth
from shadow_provider.policy.examples import Examples
from shadow_provider.policy.segments import AttributeSegment, SizeSegment
from tests.unit.evidence.engine.answers import Numbers, captures
from tests.unit.evidence.engine.test_truth import Right
from tests.unit.evidence.fakes import BUCKET, PRODUCTION, SHADOW, START, FakeS3, capture, capture_key, line, truth

HOURS = 4
END = START + timedelta(hours=HOURS)
ODD = (b"oops", b"", b'{"captureData": {}}')


def traffic(random: Random, ids: int) -> list[tuple[str, list[bytes]]]:
    """Objects of lines that have one shape each, most of them: records come twice, late, alone, changed, anywhere."""
    objects = []
    for hour in range(HOURS):
        for variant in (PRODUCTION, SHADOW):
            for number in range(random.randrange(3)):
                plain = random.random() < 0.8
                shape = random.randrange(4)
                lines = []
                for _ in range(random.randrange(1, 20)):
                    identity = random.randrange(ids)
                    # A request has its time, and its copies have it as well, now and then another one.
                    minutes = identity * HOURS * 60 // ids if random.random() < 0.7 else hour * 60 + 30
                    if random.random() < 0.1:
                        minutes += random.randrange(-90, 90)
                    lines.append(written(random, identity, START + timedelta(minutes=minutes), shape, plain=plain))
                moment = START + timedelta(hours=hour)
                objects.append((capture_key(variant, moment, name=f"{number}"), lines))
    return objects


def written(random: Random, identity: int, moment: Any, shape: int, *, plain: bool) -> bytes:
    if not plain and random.random() < 0.2:
        return random.choice(ODD)
    document = capture(
        f"id-{identity}" if plain or random.random() < 0.8 else None,
        given=None if shape == 3 else "other" if random.random() < 0.05 else f'{identity},"x"' * (1 + identity % 3),
        answer=None if shape == 2 and random.random() < 0.5 else f"{random.randrange(3)}\n",
        time=moment,
    )
    document["eventMetadata"]["eventId"] = f"event-{identity}"
    if shape == 1:
        document["eventMetadata"]["customAttributes"] = ["tier=gold"]
    return json.dumps(document, separators=(",", ":")).encode() if shape else line(document)


def everything_in_database(self: Direct, connection: Any, bounds: Bounds) -> Undoubted:
    self.leave(connection)
    nothing = np.zeros(0, dtype=np.int64)
    return Undoubted(schema().empty_table(), nothing, nothing)


def results(seed: int) -> list[Result]:
    """Of several looks, with a state."""
    random = Random(seed)
    objects = traffic(random, ids=random.choice([10, 60, 400]))
    cuts = sorted(random.randrange(len(objects) + 1) for _ in range(random.randrange(3)))
    last = random.random() < 0.7
    many = random.random() < 0.5
    how = Settings(
        memory_mb=256,
        threads=1,
        block_seconds=300,
        batch_bytes=random.choice([700, 5_000, 1 << 25]),
        paired_by=random.choice([None, "inference_id"]),
        lag=timedelta(minutes=random.choice([0, 30])),
        repeats_within=timedelta(hours=random.choice([1, 6])),
    )
    wanted = Wanted(
        segments=(SizeSegment(name="s", edges=(5,)), AttributeSegment(name="tier", key="tier", values=("gold",))),
        examples=Examples(count=5, show="answers"),
    )
    s3 = FakeS3(page_size=100)
    labels = [line(truth(f"id-{number}", f"{number % 3}")) for number in range(0, 400, 2)]
    s3.put(f"truth/{START + timedelta(hours=1):%Y/%m/%d/%H}/a.jsonl", *labels)
    there = captures(s3, warm_up=timedelta(minutes=random.choice([0, 20])))
    with TemporaryDirectory() as folder:
        state = State(FolderStore(Path(folder)), "state")
        found = []
        for first, cut in zip([0, *cuts], [*cuts, len(objects)], strict=True):
            for key, lines in objects[first:cut]:
                s3.put(key, *lines, end=random.choice([b"\n", b""]))
            ends = cut == len(objects)
            found.append(
                take_look(
                    there,
                    Numbers(),
                    until=END if ends else START + timedelta(minutes=1 + HOURS * 60 * cut // max(1, len(objects))),
                    last=last and ends,
                    settings=how,
                    state=state if cuts else None,
                    truth=Truth(S3Store(s3, BUCKET), "truth", Right(), until=END),
                    wanted=wanted if many else None,
                )
            )
        return found


@given(st.integers(0, 10_000))
# A seed that is smaller is no simpler: there is nothing to shrink.
@settings(derandomize=True, deadline=None, max_examples=40, phases=[Phase.generate])
def test_memory_and_database_settle_alike(seed: int) -> None:
    mine = results(seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Direct, "settle", everything_in_database)
        others = results(seed)
    for one, other in zip(mine, others, strict=True):
        assert one == other
        for side, fates in one.fates.items():
            assert sum(fates.values()) == one.lines[side]


@pytest.mark.parametrize("copies", [1, 2])
def test_a_shadow_that_waits_for_a_later_partner_is_not_late(copies: int) -> None:
    """The shadow's record is older than what was settled meanwhile, production's is not."""
    s3 = FakeS3(page_size=100)
    for hour in range(HOURS):
        for variant in (PRODUCTION, SHADOW):
            moment = START + timedelta(hours=hour)
            lines = [line(capture(f"{hour}-{number}", given="x" * 2000, time=moment)) for number in range(5)]
            if (variant, hour) == (SHADOW, 0):
                lines.append(line(capture("waits", time=START + timedelta(minutes=10))))
            if variant == PRODUCTION and hour in (1, 3)[:copies]:
                lines.append(line(capture("waits", time=START + timedelta(minutes=90))))
            s3.put(capture_key(variant, moment), *lines)
    how = Settings(memory_mb=256, threads=1, batch_bytes=1500, paired_by="inference_id", lag=timedelta(hours=3))
    found = take_look(captures(s3), Numbers(), until=END, settings=how)
    assert found.fates["shadow"] == {"paired": 5 * HOURS + 1}
    assert found.fates["production"] == {"paired": 5 * HOURS + 1} | ({"duplicate": 1} if copies > 1 else {})
