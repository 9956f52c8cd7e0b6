"""What goes wrong in AWS during a run, and what must hold then.

A fault of one call is to be absorbed: the end is that of the undisturbed run. One that lasts, or that ends a change of
the endpoint, may fail the run; then production serves on a config that it has a right to, the cause is in the log, no
error escapes without an explanation, and nothing is left that a finished clean-up should have removed.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from shadow_provider.local.faults import AlarmFault, ApiFault, EndpointFault, MetricsFault, VariantFault
from tests.chaos.interruptions import KillPoint
from tests.chaos.scenarios import ENDPOINT, Scenario

PRODUCTION = "AllTraffic"
_SHADOW = "[!A]*"
_REASON = "Cause of the chaos tests."
_CAPACITY = "InsufficientInstanceCapacity"
_PINGS = "did not pass the ping health check"
_CODES = {
    "throttle": ("ThrottlingException", "SlowDown"),
    "server_error": ("InternalFailure", "InternalError"),
    "expired_token": ("ExpiredToken",),
    "reset_before": ("ConnectionClosedError", "ConnectionError", "ProtocolError"),
    "reset_after": ("ConnectionClosedError", "ConnectionError", "ProtocolError"),
}
# What is said of a production that is worse than it was, or that does not answer a captured request as before.
# Without an apostrophe: in a log line it may be escaped.
_OF_WATCHING = ("a captured request of production", "the captured request", "did not pass the watch", "worse")
_KINDS: tuple[Any, ...] = tuple(_CODES)
_KINDS_OF_CALLS: tuple[Any, ...] = (*_KINDS, "delay")
# The scenario in which each call meets each kind of fault; in the others they take turns.
_EACH_KIND_AT = "promote"
# More than a poll of a trigger repeats by itself, and less than would bring it to its deadline.
_OUTLASTS_A_POLL = 12
# Tasks that change the endpoint; each change may end otherwise than asked.
_CHANGES = {"PROMOTE": ("deploy_endpoint", "promote")}
_OTHER_CHANGES = ("deploy_endpoint", "rollback")


@dataclass(frozen=True)
class Trouble:
    """One thing that goes wrong.

    Attributes:
        what: in words; tells it from all others of its scenario.
        process: whose call it is.
        changes: whether the world may be another one for it: not if a read goes wrong once.
        faults: of the local AWS.
        set_at: the task before which they are set; None for the beginning.
        absorbed: whether the run must end as if nothing had been.
        causes: one of these is in the log of a run that failed.
        spoils: what becomes of the shadow's captures: ``missing``, ``duplicated``, ``truncated``, ``halved``, ``late``.
        hits_production: whether callers may see it.
        ends_endpoint: whether AWS leaves an endpoint that nothing but a deletion helps.
    """

    what: str
    process: str = ""
    changes: bool = True
    faults: Sequence[Any] = field(default=(), hash=False)
    set_at: str | None = None
    absorbed: bool = False
    causes: tuple[str, ...] = ()
    spoils: str | None = None
    hits_production: bool = False
    ends_endpoint: bool = False


def troubles(scenario: Scenario, points: Sequence[KillPoint]) -> Iterator[Trouble]:
    """All that is done to a scenario."""
    calls = [point for point in points if point.when == "before"]
    yield from _of_calls(calls, each_kind=scenario.name == _EACH_KIND_AT)
    yield from _that_last(calls)
    if scenario.state == "success":
        yield from _of_changes(scenario)
        yield from _of_variants()
        yield from _of_evidence()
    if scenario.guardrails is not None:
        yield from _of_alarms()


def _of_calls(calls: Sequence[KillPoint], *, each_kind: bool) -> Iterator[Trouble]:
    """Each call meets a fault once: each kind of fault, or the kinds take turns."""
    first = {(call.process, call.operation, call.resource): call for call in reversed(calls)}
    for number, call in enumerate(reversed(first.values())):
        for kind in _KINDS_OF_CALLS if each_kind else (_KINDS_OF_CALLS[number % len(_KINDS_OF_CALLS)],):
            fault = ApiFault(
                kind=kind,
                principal=call.process,
                operation=call.operation,
                resource=call.resource,
                nth=call.nth,
                seconds=0.3 if kind == "delay" else None,
            )
            name = f"{kind} at {call.process}'s {call.operation} {call.resource} #{call.nth}"
            yield Trouble(name, call.process, call.changes, (fault,), absorbed=True, causes=_CODES.get(kind, ()))


def _that_last(calls: Sequence[KillPoint]) -> Iterator[Trouble]:
    """A process's calls of one operation all meet a fault; the kinds take turns."""
    kinds_of = list(dict.fromkeys((call.process, call.operation) for call in calls))
    for number, (process, operation) in enumerate(kinds_of):
        kind = _KINDS[number % len(_KINDS)]
        waiting = process.startswith("trigger.")
        fault = ApiFault(
            kind=kind,
            principal=process,
            operation=operation,
            times=_OUTLASTS_A_POLL if waiting else None,
        )
        name = f"{kind} at all of {process}'s {operation}"
        yield Trouble(name, faults=(fault,), absorbed=waiting, causes=_CODES[kind])


def _of_changes(scenario: Scenario) -> Iterator[Trouble]:
    for task in _CHANGES.get(str(scenario.verdict), _OTHER_CHANGES):
        for kind, reason, causes in (
            ("rollback", _REASON, (_REASON,)),
            ("rollback", None, ("SageMaker rolled the change back", "did not carry out the update")),
            ("rollback_failed", _REASON, ("UpdateRollbackFailed",)),
            ("capacity", None, (_CAPACITY,)),
            ("out_of_service", _REASON, ("OutOfService",)),
        ):
            fault = EndpointFault(endpoint=ENDPOINT, kind=kind, reason=reason)
            said = "with a reason" if reason else "without a reason"
            ended = kind == "out_of_service"
            yield Trouble(f"{kind} at {task}, {said}", faults=(fault,), set_at=task, causes=causes, ends_endpoint=ended)
    maintenance = EndpointFault(endpoint=ENDPOINT, kind="system_update", seconds=2.0)
    yield Trouble("a system update of two seconds", faults=(maintenance,), causes=("SystemUpdating",))


def _of_variants() -> Iterator[Trouble]:
    for variant, whose in ((PRODUCTION, "production"), (_SHADOW, "the shadow")):
        for fault in (
            VariantFault(endpoint=ENDPOINT, variant=variant, kind="die", nth=5),
            VariantFault(endpoint=ENDPOINT, variant=variant, kind="error", probability=0.3, status=503),
            VariantFault(endpoint=ENDPOINT, variant=variant, kind="latency", seconds=0.2),
            VariantFault(endpoint=ENDPOINT, variant=variant, kind="content_type", content_type="text/html", times=20),
        ):
            yield Trouble(
                f"{fault.kind} of {whose}", faults=(fault,), causes=_OF_WATCHING, hits_production=variant == PRODUCTION
            )
    unhealthy = VariantFault(endpoint=ENDPOINT, variant=_SHADOW, kind="fail_pings")
    yield Trouble("the shadow never answers its pings", faults=(unhealthy,), causes=(_PINGS,))
    hanging = VariantFault(endpoint=ENDPOINT, variant=_SHADOW, kind="hang")
    yield Trouble("the shadow hangs", faults=(hanging,))
    hanging = VariantFault(endpoint=ENDPOINT, variant=PRODUCTION, kind="hang")
    yield Trouble("production hangs", faults=(hanging,), causes=_OF_WATCHING, hits_production=True)


def _of_evidence() -> Iterator[Trouble]:
    for spoils in ("missing", "duplicated", "truncated", "halved", "late"):
        yield Trouble(f"captures of the shadow are {spoils}", spoils=spoils)
    # Whether the watch sees what the harness wrote of the time before is a matter of milliseconds.
    unseen = ("CloudWatch counts no request since the promotion",)
    missing = MetricsFault(endpoint=ENDPOINT, kind="missing")
    yield Trouble("metrics are missing", faults=(missing,), causes=unseen)
    late = MetricsFault(endpoint=ENDPOINT, kind="delayed", seconds=2.0)
    yield Trouble("metrics are late", faults=(late,), causes=unseen)


def _of_alarms() -> Iterator[Trouble]:
    yield Trouble("all alarms go off", faults=(AlarmFault(kind="ALARM"),), set_at="promote", causes=("In ALARM: ",))
    for kind in ("OK", "INSUFFICIENT_DATA"):
        yield Trouble(f"all alarms are {kind}", faults=(AlarmFault(kind=kind),), set_at="promote", absorbed=True)


# -- what a log says --------------------------------------------------------------------------------------------------

# Structured as one line by Python's own notation: the traceback stands in it as a text, the error last.
_FAILURE = re.compile(r"""exception=('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")""")
_EXPLAINED = re.compile(
    r"(airflow\..*|AirflowFailException|AirflowException|shadow_provider\.plan\.errors\.\w+|TaskDeferralTimeout)$"
)


def unexplained(log: str) -> list[str]:
    """The errors at the ends of tracebacks that are neither ours nor Airflow's."""
    texts = [ast.literal_eval(found) for found in _FAILURE.findall(log)]
    errors = [_error_of(text) for text in texts]
    return [error[:300] for error in errors if not _EXPLAINED.match(error.partition(":")[0])]


def _error_of(traceback: str) -> str:
    """The last line that is not a part of the stack, with those of its message."""
    lines = traceback.strip().splitlines()
    stack = [number for number, line in enumerate(lines) if line.startswith(("  ", "Traceback"))]
    return "\n".join(lines[max(stack, default=-1) + 1 :])
