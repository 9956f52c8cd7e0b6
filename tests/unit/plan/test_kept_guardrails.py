import random
import re
import string
from typing import Any

import pytest

from shadow_provider.plan.kept_guardrails import kept_config, kept_tags
from tests.deployment_policies import blue_green, percent

CANARY = blue_green("CANARY", 300, 60, CanarySize=percent(25))


def longest() -> dict[str, Any]:
    letters = random.Random(1)
    names = ["".join(letters.choices(string.printable, k=255)) for _ in range(10)]
    return {**CANARY, "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": name} for name in names]}}


@pytest.mark.parametrize("config", [CANARY, longest()], ids=["usual", "longest"])
def test_what_is_kept_comes_back_as_it_was(config: dict[str, Any]) -> None:
    tags = kept_tags(config)
    assert kept_config({"other": "tag", **tags}) == config
    assert len(tags) <= 20
    # AWS's rule for tags (botocore: sagemaker TagKey, TagValue).
    assert all(re.fullmatch(r"[\w .:/=+\-@]{1,128}", key) for key in tags)
    assert all(re.fullmatch(r"[A-Za-z0-9 _.:/=+\-@]{1,256}", value) for value in tags.values())


def test_the_usual_one_needs_one_tag_and_none_needs_none() -> None:
    assert len(kept_tags(CANARY)) == 1
    assert kept_tags(None) == kept_tags({}) == {}
    assert kept_config({"other": "tag"}) is None
