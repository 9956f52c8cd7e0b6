from __future__ import annotations

import pytest
from pydantic import ValidationError

from shadow_provider.local.faults import FAULT, ApiFault, CaptureFault, EndpointFault, Fault, VariantFault
from shadow_provider.local.faults.board import FaultBoard
from shadow_provider.local.recognition import Asked

ASKED = Asked("sagemaker", "UpdateEndpoint", "AKIA1", ("prices", "config-2"), "json")


def fired(board: FaultBoard, count: int, asked: Asked = ASKED) -> list[bool]:
    return [bool(board.for_call(asked)) for _ in range(count)]


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (ApiFault(kind="throttle"), [True, True, True, True]),
        (ApiFault(kind="throttle", times=2), [True, True, False, False]),
        (ApiFault(kind="throttle", nth=3), [False, False, True, False]),
        (ApiFault(kind="throttle", operation="Update*", resource="config-?", principal="AKIA*"), [True] * 4),
        (ApiFault(kind="throttle", operation="update*"), [False] * 4),
        (ApiFault(kind="throttle", resource="price"), [False] * 4),
        (ApiFault(kind="throttle", service="sagemaker-runtime"), [False] * 4),
        (ApiFault(kind="throttle", principal="AKIA2"), [False] * 4),
    ],
)
def test_when_a_fault_fires(fault: ApiFault, expected: list[bool]) -> None:
    board = FaultBoard()
    board.add(fault)
    assert fired(board, 4) == expected


def test_only_what_matches_counts_for_the_nth() -> None:
    board = FaultBoard()
    board.add(ApiFault(kind="throttle", operation="UpdateEndpoint", nth=2))
    other = Asked("sagemaker", "DescribeEndpoint", "AKIA1", ("prices",), "json")
    assert [*fired(board, 1), *fired(board, 5, other), *fired(board, 1)] == [False] * 6 + [True]


def test_the_first_that_fires_ends_the_search_and_delays_do_not() -> None:
    board = FaultBoard()
    kinds = ("delay", "throttle", "server_error")
    for kind in kinds:
        board.add(ApiFault(kind=kind, seconds=1 if kind == "delay" else None, times=1))
    found = [[armed.fault.kind for armed in board.for_call(ASKED)] for _ in range(3)]
    assert found == [["delay", "throttle"], ["server_error"], []]


def test_chance_comes_from_the_seed_and_differs_between_faults() -> None:
    def draw(seed: int | None, position: int = 0) -> list[bool]:
        board = FaultBoard(seed)
        for _ in range(position):
            board.add(ApiFault(kind="throttle", operation="None"))
        board.add(ApiFault(kind="throttle", probability=0.5))
        return fired(board, 64)

    assert draw(1) == draw(1)
    assert draw(1) != draw(2)
    assert draw(1) != draw(1, position=1)
    assert draw(None) != draw(None)


def test_what_fires_once_unless_told_otherwise() -> None:
    faults: list[tuple[Fault, int | None]] = [
        (VariantFault(kind="die"), 1),
        (VariantFault(kind="hang"), 1),
        (VariantFault(kind="die", times=3), 3),
        (VariantFault(kind="error"), None),
        (EndpointFault(kind="rollback"), 1),
        (EndpointFault(kind="rollback", times=2), 2),
        (CaptureFault(kind="missing"), None),
        (CaptureFault(kind="missing", nth=7), 1),
    ]
    assert [fault.limit for fault, _ in faults] == [limit for _, limit in faults]


def test_pings_and_requests_are_not_confused() -> None:
    board = FaultBoard()
    board.add(VariantFault(variant="s", kind="fail_pings"))
    board.add(VariantFault(variant="s", kind="error"))
    assert not board.fails_ping("e", "v")
    assert board.fails_ping("e", "s")
    assert [armed.fault.kind for armed in board.for_request("e", "s")] == ["error"]
    assert board.for_request("e", "v") == []


def test_removing_undoes_once() -> None:
    board, undone = FaultBoard(), []
    armed = board.add(VariantFault(kind="hang"))
    armed.undo.append(lambda: undone.append(armed.id))
    other = board.add(ApiFault(kind="throttle"))
    assert [item.id for item in board] == ["f1", "f2"]
    assert board.remove(armed.id)
    assert not board.remove(armed.id)
    assert undone == ["f1"]
    assert board.clear() == 1
    assert list(board) == []
    assert board.add(ApiFault(kind="throttle")).id not in (armed.id, other.id)


@pytest.mark.parametrize(
    "wrong",
    [
        {"on": "variant", "kind": "latency"},
        {"on": "variant", "kind": "error", "sigma": 1},
        {"on": "variant", "kind": "error", "status": 200},
        {"on": "variant", "kind": "die", "nth": 0},
        {"on": "capture", "kind": "late"},
        {"on": "metrics", "kind": "missing", "seconds": 1},
        {"on": "endpoint", "kind": "rollback", "nth": 2},
        {"on": "api", "kind": "throttle", "nth": 2, "probability": 0.5},
        {"on": "api", "kind": "server_error", "status": 400},
        {"on": "api", "kind": "throttle", "probability": 0},
        {"kind": "throttle"},
    ],
)
def test_what_makes_no_sense_is_no_fault(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        FAULT.validate_python(wrong)
