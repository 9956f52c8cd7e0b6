from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shadow_provider.local.errors import ValidationException
from shadow_provider.local.sagemaker.listing import ENDPOINTS, MODEL_PACKAGES, MODELS, listed, refuse_token

ARN = "arn:aws:sagemaker:us-east-1:123456789012"


def model(name: str, created: float = 0.0) -> dict[str, Any]:
    return {"ModelName": name, "ModelArn": f"{ARN}:model/{name}", "CreationTime": created}


def endpoint(name: str, status: str, modified: float = 0.0) -> dict[str, Any]:
    return {
        "EndpointName": name,
        "EndpointArn": f"{ARN}:endpoint/{name}",
        "EndpointStatus": status,
        "CreationTime": 1.0,
        "LastModifiedTime": modified,
    }


def names(answer: dict[str, Any]) -> list[str]:
    return [row["ModelName"] for row in answer["Models"]]


ROWS = [model("b", 1.0), model("a", 2.0), model("c", 2.0), model("d", 3.0)]


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ({}, "dcab"),
        ({"SortOrder": "Ascending"}, "bacd"),
        ({"SortBy": "Name"}, "dcba"),
        ({"SortBy": "Name", "SortOrder": "Ascending"}, "abcd"),
        ({"SortBy": "CreationTime"}, "dcab"),
        # AWS: "greater than or equal to the specified time" but "created before" it.
        ({"CreationTimeAfter": 2.0}, "dca"),
        ({"CreationTimeBefore": 2.0}, "b"),
        ({"NameContains": "A"}, "a"),
        ({"NameContains": "nothing"}, ""),
        ({"MaxResults": 2}, "dc"),
    ],
)
def test_order_and_filters(request_: dict[str, Any], expected: str) -> None:
    shuffled = random.Random(5).sample(ROWS, len(ROWS))
    assert names(listed(MODELS, shuffled, request_)) == list(expected)


def test_filters_of_endpoints() -> None:
    rows = [endpoint("a", "Failed", 1.0), endpoint("b", "InService", 2.0), endpoint("c", "Creating", 3.0)]

    def found(**request: Any) -> str:
        return "".join(row["EndpointName"] for row in listed(ENDPOINTS, rows, request)["Endpoints"])

    assert found(StatusEquals="InService") == "b"
    assert found(SortBy="Status", SortOrder="Ascending") == "cab"
    assert found(LastModifiedTimeAfter=2.0) == "c"
    assert found(LastModifiedTimeBefore=2.0) == "a"


def test_packages_are_oldest_first_and_their_bound_is_exclusive() -> None:
    rows = [
        {"ModelPackageGroupName": "g", "ModelPackageArn": f"{ARN}:model-package/g/{n}", "CreationTime": float(n // 4)}
        for n in (10, 2, 1, 4)
    ]

    def versions(**request: Any) -> list[str]:
        found = listed(MODEL_PACKAGES, rows, request)["ModelPackageSummaryList"]
        return [row["ModelPackageArn"].rpartition("/")[2] for row in found]

    assert versions() == ["1", "2", "4", "10"]
    assert versions(CreationTimeAfter=1.0) == ["10"]
    assert versions(SortBy="Name", SortOrder="Descending") == ["10", "4", "2", "1"]


def test_a_token_is_good_for_its_own_query_only() -> None:
    request = {"NameContains": "", "MaxResults": 1}
    token = listed(MODELS, ROWS, request)["NextToken"]
    # Another page size is the same query.
    assert names(listed(MODELS, ROWS, {"NameContains": "", "MaxResults": 3, "NextToken": token})) == ["c", "a", "b"]
    for wrong in (
        {"NextToken": token},
        {"NextToken": token, "NameContains": "a"},
        {"NextToken": token, "NameContains": "", "SortBy": "Name"},
        {"NextToken": token[:-4], "NameContains": ""},
        {"NextToken": token + "AAAA", "NameContains": ""},
        {"NextToken": "", "NameContains": ""},
        {"NextToken": "nonsense", "NameContains": ""},
        {"NextToken": "MQ==", "NameContains": ""},
        {"NextToken": "é", "NameContains": ""},
    ):
        with pytest.raises(ValidationException, match="NextToken is invalid"):
            listed(MODELS, ROWS, wrong)
    with pytest.raises(ValidationException, match="NextToken is invalid"):
        listed(ENDPOINTS, [], {**request, "NextToken": token})
    with pytest.raises(ValidationException, match="NextToken is invalid"):
        refuse_token({"NextToken": token})


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.integers(0, 5), min_size=1, max_size=25),
    st.integers(1, 6),
    st.sampled_from(["Name", "CreationTime"]),
    st.sampled_from(["Ascending", "Descending"]),
    st.randoms(use_true_random=False),
)
def test_pages_hold_everything_once_though_others_come_and_go(
    times: list[int], size: int, sort_by: str, order: str, chance: random.Random
) -> None:
    rows = {f"m{number}": model(f"m{number}", float(created)) for number, created in enumerate(times)}
    lasting, seen, token = set(rows), [], None
    while True:
        request = {"SortBy": sort_by, "SortOrder": order, "MaxResults": size}
        answer = listed(MODELS, list(rows.values()), request | ({} if token is None else {"NextToken": token}))
        seen += names(answer)
        token = answer.get("NextToken")
        if token is None:
            break
        gone = chance.choice(sorted(rows))
        lasting.discard(gone)
        del rows[gone]
        if len(seen) < 60:
            new = f"n{len(seen)}-{chance.randrange(9)}"
            rows[new] = model(new, float(chance.randrange(6)))
    assert len(seen) == len(set(seen))
    assert lasting <= set(seen)
