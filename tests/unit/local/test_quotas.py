from __future__ import annotations

from collections import Counter

import pytest
from pydantic import ValidationError

from shadow_provider.local import LocalSettings
from shadow_provider.local.errors import AwsError
from shadow_provider.local.sagemaker.quotas import check_quotas

M5, C5 = "ml.m5.xlarge", "ml.c5.large"
ACROSS, PER_ENDPOINT = "Number of instances across active endpoints", "Maximum number of instances per endpoint"


def words(name: str, limit: int, used: int, added: int) -> str:
    return (
        f"The account-level service limit '{name}' is {limit} Instances, with current utilization of {used} Instances "
        f"and a request delta of {added} Instances. Please use AWS Service Quotas to request an increase for this "
        "quota. If AWS Service Quotas is not available, contact AWS support to request an increase for this quota."
    )


@pytest.mark.parametrize(
    ("quotas", "used", "added", "total", "said"),
    [
        ({}, {M5: 1000}, {M5: 1000}, 1000, None),
        ({f"{M5} for endpoint usage": 2}, {M5: 1}, {M5: 1}, 1, None),
        ({f"{M5} for endpoint usage": 2}, {M5: 1}, {M5: 2}, 2, (f"{M5} for endpoint usage", 2, 1, 2)),
        ({f"{M5} for endpoint usage": 0}, {}, {M5: 1}, 1, (f"{M5} for endpoint usage", 0, 0, 1)),
        ({f"{M5} for endpoint usage": 0}, {}, {C5: 1}, 1, None),
        ({ACROSS: 4}, {M5: 2, C5: 1}, {C5: 1}, 1, None),
        ({ACROSS: 4}, {M5: 2, C5: 1}, {M5: 1, C5: 1}, 2, (ACROSS, 4, 3, 2)),
        ({PER_ENDPOINT: 4}, {M5: 100}, {M5: 3}, 4, None),
        ({PER_ENDPOINT: 4}, {M5: 100}, {M5: 3}, 5, (PER_ENDPOINT, 4, 0, 5)),
        ({PER_ENDPOINT: 4}, {}, {M5: 30}, None, None),
        # What shrinks is never refused, though more is in use than allowed; nor does it make room for another type.
        ({f"{M5} for endpoint usage": 1, ACROSS: 1}, {M5: 3}, {M5: -1}, 2, None),
        ({ACROSS: 3}, {M5: 3}, {M5: -1, C5: 1}, 3, (ACROSS, 3, 3, 1)),
    ],
)
def test_what_a_quota_allows(
    quotas: dict[str, int],
    used: dict[str, int],
    added: dict[str, int],
    total: int | None,
    said: tuple[str, int, int, int] | None,
) -> None:
    if said is None:
        check_quotas(quotas, Counter(used), Counter(added), total)
        return
    with pytest.raises(AwsError) as caught:
        check_quotas(quotas, Counter(used), Counter(added), total)
    assert (caught.value.code, caught.value.message) == ("ResourceLimitExceeded", words(*said))


def test_only_quotas_that_there_are_can_be_set() -> None:
    known = {f"{M5} for endpoint usage": 0, "ml.inf1.2xlarge for endpoint usage": 1, ACROSS: 2, PER_ENDPOINT: 3}
    assert LocalSettings(quotas=known).quotas == known
    for wrong in ({"ml.m5.xlarge for training job usage": 1}, {ACROSS: -1}, {"for endpoint usage": 1}):
        with pytest.raises(ValidationError):
            LocalSettings(quotas=wrong)
