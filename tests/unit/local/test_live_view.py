from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from shadow_provider.local.control.calls import Call
from shadow_provider.local.faults import ApiFault, FaultState
from shadow_provider.local.live_view import Snapshot, rates, render, short


def variant(name: str, role: str = "production", **changes: Any) -> dict[str, Any]:
    return {
        "name": name,
        "role": role,
        "weight": 1.0,
        "share": 1.0,
        "healthy": 2,
        "latency_ms": {"p50": 2.345, "p99": 19.99},
        "pids": [1, 2],
        "captured": 17,
        **changes,
    }


def counters(requests: int = 0, errors: int = 0, mirrored: int = 0, dropped: int = 0) -> dict[str, int]:
    return {"requests": requests, "errors": errors, "mirrored": mirrored, "dropped": dropped}


def endpoint(name: str = "prices", **changes: Any) -> dict[str, Any]:
    return {
        "name": name,
        "status": "InService",
        "endpoint_config": "prices-v2",
        "failure_reason": None,
        "variants": [variant("main"), variant("candidate", "shadow", share=0.5, healthy=1)],
        "pending": None,
        "counters": {"main": counters(12_345, 3), "candidate": counters(6_170, 0, 6_172, 2)},
        **changes,
    }


def call(sequence: int, **changes: Any) -> Call:
    values: dict[str, Any] = {
        "sequence": sequence, "time": 1e9 + sequence, "service": "sagemaker", "operation": f"Operation{sequence}",
        "principal": "local", "resources": ("prices",), "status": 200, "error_code": None, "effect": True, "faults": (),
    }  # fmt: skip
    return Call(**{**values, **changes})


def snapshot(*endpoints: dict[str, Any], taken: float = 10.0, **changes: Any) -> Snapshot:
    return Snapshot(
        **{
            "endpoint_url": "http://x",
            "taken": taken,
            "now": 1000.0,
            "endpoints": endpoints,
            "faults": [],
            "calls": [],
            **changes,
        }
    )


def text(now: Snapshot, before: Snapshot | None = None, width: int = 80, height: int = 40) -> str:
    console = Console(file=io.StringIO(), width=width, height=height, color_system=None)
    console.print(render(now, rates(now, before), height))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def row(shown: str, first: str) -> dict[str, str]:
    """The line of a variant, by column."""
    lines = [line.split() for line in shown.splitlines()]
    (heads,) = [line for line in lines if line[:1] == ["variant"]]
    (found,) = [line for line in lines if line[:1] == [first]]
    # Production's two columns about mirroring are empty.
    return dict(zip(heads, found if len(found) == len(heads) else [*found[:-1], "", "", found[-1]], strict=True))


def test_variants_with_all_their_figures() -> None:
    before = snapshot(endpoint(counters={"main": counters(12_335), "candidate": counters(6_165)}), taken=8.0)
    shown = text(snapshot(endpoint()), before)
    assert "prices InService prices-v2" in shown
    assert row(shown, "main") == {
        "variant": "main", "role": "prod", "share": "100%", "inst": "2/2", "reqs": "12.3k", "req/s": "5.0", "errs": "3",
        "p50ms": "2.3", "p99ms": "20.0", "mirr": "", "drop": "", "capt": "17",
    }  # fmt: skip
    assert row(shown, "candidate") == {
        "variant": "candidate", "role": "shad", "share": "50%", "inst": "1/2", "reqs": "6170", "req/s": "2.5",
        "errs": "0", "p50ms": "2.3", "p99ms": "20.0", "mirr": "6172", "drop": "2", "capt": "17",
    }  # fmt: skip


@pytest.mark.parametrize("width", [80, 100, 200])
def test_no_line_is_wider_than_the_terminal_whatever_the_names(width: int) -> None:
    long = "x" * 63
    now = snapshot(
        endpoint(
            long,
            endpoint_config=long,
            failure_reason="y" * 900,
            variants=[variant(long), variant("s" + long[1:], "shadow")],
            counters={long: counters(10**9, 10**9), "s" + long[1:]: counters(10**9, 10**9, 10**9, 10**9)},
        ),
        calls=[call(1, resources=(long, long))],
        faults=[FaultState(id="f1", fault=ApiFault(kind="throttle", resource=long, operation=long))],
    )
    lines = text(now, width=width).splitlines()
    assert max(map(len, lines)) <= width
    assert len(lines) == 1 + 1 + 1 + 3 + 1 + 1
    assert all(name in "".join(lines) for name in ("p99ms", "drop", "1.0G"))


def test_a_deployment_under_way_with_its_stages() -> None:
    pending = {
        "endpoint_config": "prices-v3",
        "since": 958.0,
        "variants": [
            {"name": "main", "role": "production", "stages": ["Baking"], "instances": 2, "desired": 2},
            {"name": "candidate", "role": "shadow", "stages": ["Creating"], "instances": 1, "desired": 4},
        ],
    }
    shown = text(snapshot(endpoint(status="Updating", pending=pending)))
    assert "prices Updating prices-v2" in shown
    assert "-> prices-v3, 42 s" in shown
    assert "main (prod) [##########] 2/2 Baking" in shown
    assert "candidate (shad) [##........] 1/4 Creating" in shown


def test_an_endpoint_that_serves_nothing_says_why() -> None:
    shown = text(snapshot(endpoint(status="Failed", variants=[], counters={}, failure_reason="no ping")))
    assert "prices Failed" in shown
    assert "no ping" in shown
    assert "variant" not in shown


def test_faults_and_calls_with_their_outcomes() -> None:
    faults = [FaultState(id="f1", fault=ApiFault(kind="reset_after", operation="Up*"), seen=4, fired=1)]
    calls = [call(1), call(2, status=400, error_code="ValidationException"), call(3, status=None, faults=("f1",))]
    shown = text(snapshot(faults=faults, calls=calls))
    assert "no endpoints yet" in shown
    assert "fault f1: api kind=reset_after operation='Up*'; matched 4, fired 1" in shown
    assert "sagemaker:Operation1 200 prices" in shown
    assert "sagemaker:Operation2 ValidationException prices" in shown
    assert "sagemaker:Operation3 no answer (f1) prices" in shown


@pytest.mark.parametrize(("height", "expected"), [(40, 30), (12, 6), (5, 3)])
def test_the_latest_calls_get_the_lines_that_are_left(height: int, expected: int) -> None:
    shown = text(snapshot(endpoint(), calls=[call(number) for number in range(1, 31)]), height=height)
    found = [line for line in shown.splitlines() if "Operation" in line]
    assert len(found) == expected
    assert "Operation30" in found[-1]
    assert len(shown.splitlines()) < max(height, 9)


def test_a_view_without_colours_has_no_control_characters() -> None:
    shown = text(snapshot(endpoint(), calls=[call(1, status=500)]))
    assert shown.isascii()
    assert "\x1b" not in shown


def test_rates_of_an_endpoint_that_is_new_or_was_made_anew() -> None:
    first = snapshot(endpoint(counters={"main": counters(100)}), taken=1.0)
    again = snapshot(endpoint(counters={"main": counters(10), "new": counters(4)}), taken=3.0)
    assert rates(first, None) == {}
    assert rates(again, first) == {("prices", "main"): 0.0, ("prices", "new"): 2.0}


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (0, "0"), (0.0, "0"), (0.417, "0.42"), (3.14, "3.1"), (42, "42"), (99.96, "100.0"), (1234.0, "1234"),
        (9_999, "9999"), (12_345, "12.3k"), (999_949, "1000k"), (1_200_000, "1.2M"), (10**9, "1.0G"),
    ],
)  # fmt: skip
def test_numbers_are_short(number: float, expected: str) -> None:
    assert short(number) == expected
    assert len(short(number)) <= 5
