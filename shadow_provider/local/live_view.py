"""What happens in a running local AWS, on a terminal: endpoints, deployments under way, faults, the latest calls."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from threading import Event
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from shadow_provider.local.control.calls import Call
from shadow_provider.local.control.client import ControlClient, ControlError
from shadow_provider.local.faults import FaultState
from shadow_provider.local.faults.notation import written

INTERVAL = 0.5
_CALLS = 50
# Of these the variants' counters tell, and they would push all others out of sight.
_EXCLUDED = "InvokeEndpoint*"
_COLUMNS = ("role", "share", "inst", "reqs", "req/s", "errs", "p50ms", "p99ms", "mirr", "drop", "capt")
_ROLES = {"production": "prod", "shadow": "shad"}
_STATUS_STYLES = {"InService": "green", "Failed": "red", "OutOfService": "red", "UpdateRollbackFailed": "red"}


@dataclass(frozen=True)
class Snapshot:
    """A running local AWS at one moment.

    Attributes:
        endpoint_url: Where it is.
        taken: When, in seconds of a clock that only goes forward.
        now: When, epoch seconds.
        endpoints: As GET /_local/status shows them.
        faults: The faults that are set.
        calls: The latest calls, oldest first.
    """

    endpoint_url: str
    taken: float
    now: float
    endpoints: Sequence[Mapping[str, Any]]
    faults: Sequence[FaultState]
    calls: Sequence[Call]


def rates(now: Snapshot, before: Snapshot | None) -> dict[tuple[str, str], float]:
    """Requests a second by endpoint and variant, between two snapshots."""
    if before is None or now.taken <= before.taken:
        return {}
    old = {(item["name"], name): counted for item in before.endpoints for name, counted in item["counters"].items()}
    found = {}
    for item in now.endpoints:
        for name, counted in item["counters"].items():
            key = (item["name"], name)
            grown = counted["requests"] - (old[key]["requests"] if key in old else 0)
            found[key] = max(0, grown) / (now.taken - before.taken)
    return found


def render(now: Snapshot, per_second: Mapping[tuple[str, str], float], height: int) -> RenderableType:
    """The view of a snapshot; as wide as where it is shown, from 80 columns on.

    Args:
        now: The snapshot.
        per_second: See `rates`.
        height: Lines there are; the latest calls get those that are left.
    """
    parts: list[RenderableType] = [Text(f"Local AWS at {now.endpoint_url}", style="bold", no_wrap=True)]
    used = 2
    if not now.endpoints:
        parts.append(Text("  no endpoints yet", style="dim"))
        used += 1
    for endpoint in now.endpoints:
        lines = _endpoint(endpoint, per_second, now.now)
        parts += lines
        used += len(lines) + len(endpoint["variants"])
    for state in now.faults:
        text = f"fault {state.id}: {written(state.fault)}; matched {state.seen}, fired {state.fired}"
        parts.append(Text(text, style="yellow", no_wrap=True, overflow="ellipsis"))
        used += 1
    latest = now.calls[-max(3, height - used) :]
    parts += [call_line(call) for call in latest]
    return Group(*parts)


def call_line(call: Call) -> Text:
    """A call of the log in one line."""
    at = time.strftime("%H:%M:%S", time.localtime(call.time))
    outcome = "no answer" if call.status is None else call.error_code or str(call.status)
    met = f" ({', '.join(call.faults)})" if call.faults else ""
    refused = call.status is None or call.status >= 400
    return Text.assemble(
        (at, "dim"),
        f" {call.service}:{call.operation} ",
        (outcome + met, "red" if refused else "green"),
        (f" {' '.join(call.resources)}", "dim"),
        no_wrap=True,
        overflow="ellipsis",
    )


def _endpoint(
    endpoint: Mapping[str, Any], per_second: Mapping[tuple[str, str], float], now: float
) -> list[RenderableType]:
    status = endpoint["status"]
    title = Text.assemble(
        (endpoint["name"], "bold"),
        " ",
        (status, _STATUS_STYLES.get(status, "yellow")),
        (f" {endpoint['endpoint_config']}", "dim"),
        no_wrap=True,
        overflow="ellipsis",
    )
    lines: list[RenderableType] = [title]
    if endpoint["failure_reason"]:
        text = f"  {endpoint['failure_reason']}"
        lines.append(Text(text, style="red", no_wrap=True, overflow="ellipsis"))
    if endpoint["variants"]:
        lines.append(_variants(endpoint, per_second))
    if endpoint["pending"] is not None:
        lines += _deployment(endpoint["pending"], now)
    return lines


def _variants(endpoint: Mapping[str, Any], per_second: Mapping[tuple[str, str], float]) -> Table:
    table = Table(box=None, padding=(0, 0, 0, 1), expand=True, header_style="dim")
    table.add_column("variant", ratio=1, min_width=8, no_wrap=True, overflow="ellipsis")
    for name in _COLUMNS:
        table.add_column(name, justify="right", no_wrap=True, min_width=5 if "p" in name and "ms" in name else None)
    for variant in endpoint["variants"]:
        counted = endpoint["counters"].get(variant["name"], {})
        latency = variant["latency_ms"] or {}
        shadow = variant["role"] == "shadow"
        total = len(variant["pids"])
        errors = counted.get("errors", 0)
        table.add_row(
            variant["name"],
            _ROLES[variant["role"]],
            f"{variant['share']:.0%}",
            Text(f"{variant['healthy']}/{total}", style="" if variant["healthy"] == total else "red"),
            short(counted.get("requests", 0)),
            short(per_second.get((endpoint["name"], variant["name"]), 0.0)),
            Text(short(errors), style="red" if errors else ""),
            short(latency["p50"]) if latency else "-",
            short(latency["p99"]) if latency else "-",
            short(counted.get("mirrored", 0)) if shadow else "",
            short(counted.get("dropped", 0)) if shadow else "",
            short(variant["captured"]),
        )
    return table


def _deployment(pending: Mapping[str, Any], now: float) -> list[RenderableType]:
    since = pending["since"]
    age = "" if since is None else f", {max(0, int(now - since))} s"
    lines: list[RenderableType] = [
        Text(f"  -> {pending['endpoint_config']}{age}", style="cyan", no_wrap=True, overflow="ellipsis")
    ]
    for variant in pending["variants"]:
        up, wanted = variant["instances"] or 0, variant["desired"] or 0
        done = "#" * (10 * up // wanted if wanted else 0)
        stage = ", ".join(variant["stages"])
        text = f"     {variant['name']} ({_ROLES[variant['role']]}) [{done:.<10}] {up}/{wanted} {stage}"
        lines.append(Text(text, style="cyan", no_wrap=True, overflow="ellipsis"))
    return lines


def short(number: float) -> str:
    """A number in at most five characters: 0.42, 3.1, 42, 1234, 12.3k, 1.2M."""
    if isinstance(number, float) and number < 100:
        return "0" if number == 0 else f"{number:.2f}" if number < 1 else f"{number:.1f}"
    if number < 10_000:
        return f"{number:.0f}"
    for size, letter in ((1e3, "k"), (1e6, "M"), (1e9, "G")):
        scaled = number / size
        if scaled < 1000:
            return f"{scaled:.1f}{letter}" if scaled < 100 else f"{scaled:.0f}{letter}"
    return f"{number:.0e}"


class LiveView:
    """Shows a running local AWS until told to stop. It asks the control API only, so the server may be anywhere.

    Args:
        endpoint_url: Where the local AWS is.
        console: Where to show it.
    """

    def __init__(self, endpoint_url: str, console: Console) -> None:
        self._url = endpoint_url
        self._client = ControlClient(endpoint_url)
        self._console = console
        self._before: Snapshot | None = None
        self._drawn: Any = None
        self._calls: list[Call] = []

    def once(self) -> RenderableType:
        """The view as it is now.

        Raises:
            ControlError: The local AWS does not answer.
        """
        return render(self._look(), {}, self._console.height)

    def run(self, stop: Event, *, to_its_end: bool = False) -> None:
        """Shows the view, twice a second if something changed.

        Args:
            stop: Ends it.
            to_its_end: Whether it ends, with an error, when the local AWS does not answer any more.

        Raises:
            ControlError: The local AWS does not answer.
        """
        with Live(console=self._console, auto_refresh=False, transient=True) as live:
            while not stop.is_set():
                try:
                    self._draw(self._look(), live)
                except ControlError:
                    if to_its_end:
                        raise
                stop.wait(INTERVAL)

    def _look(self) -> Snapshot:
        since = self._calls[-1].sequence if self._calls else 0
        found = self._client.send("GET", f"overview?exclude={_EXCLUDED}&limit={_CALLS}&since={since}")
        self._calls = [*self._calls, *(Call.model_validate(call) for call in found["calls"])][-_CALLS:]
        return Snapshot(
            endpoint_url=self._url,
            taken=time.monotonic(),
            now=time.time(),
            endpoints=found["status"]["endpoints"],
            faults=[FaultState.model_validate(state) for state in found["faults"]],
            calls=self._calls,
        )

    def _draw(self, now: Snapshot, live: Live) -> None:
        per_second = rates(now, self._before)
        self._before = now
        # Time alone changes only the age of what is under way.
        age = int(now.now) if any(item["pending"] for item in now.endpoints) else 0
        shown = (now.endpoints, now.faults, now.calls, per_second, self._console.size, age)
        if shown != self._drawn:
            self._drawn = shown
            live.update(render(now, per_second, self._console.height), refresh=True)
