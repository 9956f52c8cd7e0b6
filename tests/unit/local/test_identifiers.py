from __future__ import annotations

from uuid import UUID

from shadow_provider.local.identifiers import random_id


def test_identifiers_are_uuids_of_version_4_and_differ() -> None:
    made = {random_id() for _ in range(10_000)}
    assert len(made) == 10_000
    for text in made:
        identifier = UUID(text)
        assert str(identifier) == text
        assert identifier.version == 4
        assert identifier.variant == "specified in RFC 4122"
