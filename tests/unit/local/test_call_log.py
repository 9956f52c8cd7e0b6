from __future__ import annotations

import pytest

from shadow_provider.local.control.calls import CallLog
from shadow_provider.local.recognition import Asked


@pytest.fixture
def log() -> CallLog:
    """DescribeEndpoint of a, InvokeEndpoint of a, DescribeEndpoint of b, ListModels: 1 to 4."""
    made = CallLog(10)
    for operation, resources in [
        ("DescribeEndpoint", ("a",)), ("InvokeEndpoint", ("a",)), ("DescribeEndpoint", ("b",)), ("ListModels", ()),
    ]:  # fmt: skip
        asked = Asked("sagemaker", operation, "local", resources, "json")
        made.add(asked, 1.0, 200, None, effect=True)
    return made


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, [1, 2, 3, 4]),
        ({"operation": "Describe*"}, [1, 3]),
        ({"resource": "a"}, [1, 2]),
        ({"exclude": "Invoke*"}, [1, 3, 4]),
        ({"exclude": "*"}, []),
        ({"since": 2}, [3, 4]),
        ({"limit": 2}, [3, 4]),
        ({"limit": 2, "exclude": "ListModels"}, [2, 3]),
        ({"limit": 1, "operation": "Describe*", "resource": "a"}, [1]),
        ({"since": 3, "limit": 5}, [4]),
    ],
)
def test_filters_let_through_what_fits_oldest_first(
    log: CallLog, filters: dict[str, object], expected: list[int]
) -> None:
    assert [call.sequence for call in log.select(**filters)] == expected  # type: ignore[arg-type]


def test_numbers_go_on_when_the_log_is_emptied(log: CallLog) -> None:
    log.clear()
    assert log.select() == []
    log.add(Asked("s3", "ListBuckets", "", (), "s3"), 2.0, 403, "AccessDenied", effect=False, faults=("f1",))
    (call,) = log.select()
    assert (call.sequence, call.error_code, call.faults) == (5, "AccessDenied", ("f1",))
