"""How Airflow's scheduler goes from upstream tasks' states to a task's, and from the leaves' to the run's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

FINISHED = frozenset({"success", "failed", "skipped", "upstream_failed"})
FAILED = frozenset({"failed", "upstream_failed"})
RUN = "run"


def _all_success(upstream: Sequence[str]) -> str:
    if FAILED & set(upstream):
        return "upstream_failed"
    return "skipped" if "skipped" in upstream else RUN


def _none_failed(upstream: Sequence[str]) -> str:
    return "upstream_failed" if FAILED & set(upstream) else RUN


def _none_failed_min_one_success(upstream: Sequence[str]) -> str:
    return "skipped" if set(upstream) == {"skipped"} else _none_failed(upstream)


# By Airflow's TriggerRuleDep, for tasks whose upstream is finished.
_RULES: Mapping[str, Callable[[Sequence[str]], str]] = {
    "all_success": _all_success,
    "all_done": lambda _: RUN,
    "none_failed": _none_failed,
    "none_failed_min_one_success": _none_failed_min_one_success,
    "one_failed": lambda upstream: RUN if FAILED & set(upstream) else "skipped",
}


def next_state(trigger_rule: str, upstream: Sequence[str]) -> str:
    """``run``, or the state that the task gets without being run.

    Raises:
        KeyError: a rule that is not known here.
    """
    return _RULES[trigger_rule](upstream) if upstream else RUN


def run_state(leaves: Sequence[str]) -> str:
    """A run failed if a leaf failed."""
    return "failed" if FAILED & set(leaves) else "success"
