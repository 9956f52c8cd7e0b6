"""The way back, as a pure function of where the endpoint stands.

A rollback is entered from any state: shadow config updating, active or failed; promotion updating, active or rolled
back by AWS; the deployment killed anywhere. It never touches an endpoint whose config is foreign.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime

from shadow_provider.plan.endpoint_state import EndpointState
from shadow_provider.plan.names import DeploymentNames

# From UpdateRollbackFailed AWS's remedy is one more update; one that ends there again is for a person to look at.
_MOST_UPDATES = 2


@dataclass(frozen=True)
class Tried:
    """Updates to the baseline that this task began.

    Attributes:
        on: the endpoint's ``last_modified`` when it began the last of them.
        times: how many.
    """

    on: datetime
    times: int = 1


class RollbackStep(enum.Enum):
    """What is to be done next."""

    DONE = "done"
    WAIT = "wait"
    UPDATE = "update"
    DELETE_FAILED_ENDPOINT = "delete_failed_endpoint"
    STOP = "stop"


@dataclass(frozen=True)
class NextStep:
    """The next step and why; with ``WAIT``, the config that the endpoint is changing to (None: it is being deleted)."""

    step: RollbackStep
    reason: str
    waits_for: str | None = None


def next_step(
    state: EndpointState | None,
    *,
    baseline: str | None,
    names: DeploymentNames,
    made_by_us: bool,
    tried: Tried | None,
) -> NextStep:
    """Say what brings the endpoint back to its baseline.

    Args:
        state: where the endpoint stands; None if it does not exist.
        baseline: the baseline config by the deployment's tags; None if the deployment made no config.
        names: the deployment's names.
        made_by_us: whether the endpoint itself was made by this deployment.
        tried: the updates to the baseline that this task began, None if it has not. Then another end is a failure,
            unless AWS still shows the endpoint as it was before, or the first of them ended in UpdateRollbackFailed.
    """
    ours = {names.shadow_config, names.promoted_config}
    if state is None:
        return NextStep(RollbackStep.DONE, "there is no endpoint, so nothing serves the candidate")
    at_work = {state.active_config, state.pending_config} & ours
    if baseline is None:
        if at_work:
            return NextStep(
                RollbackStep.STOP,
                f"the endpoint is {state.summary()}, but the tags that name the baseline config are gone. A person "
                "must choose the config to go back to and update the endpoint to it",
            )
        return NextStep(RollbackStep.DONE, f"this deployment did not touch the endpoint: {state.summary()}")
    if state.serves(baseline):
        return NextStep(RollbackStep.DONE, f"the endpoint is {state.summary()}")
    if state.status == "Deleting":
        return NextStep(RollbackStep.WAIT, "the endpoint is being deleted", waits_for=None)
    if state.in_progress:
        return _while_in_progress(state, baseline, ours)
    return _when_settled(state, baseline, ours, made_by_us=made_by_us, tried=tried)


def _while_in_progress(state: EndpointState, baseline: str, ours: set[str]) -> NextStep:
    goal = state.pending_config or state.active_config
    if goal in ours | {baseline}:
        return NextStep(RollbackStep.WAIT, f"the endpoint is {state.summary()}", waits_for=goal)
    return NextStep(RollbackStep.STOP, f"somebody else is changing the endpoint: {state.summary()}")


def _when_settled(
    state: EndpointState, baseline: str, ours: set[str], *, made_by_us: bool, tried: Tried | None
) -> NextStep:
    if state.active_config not in ours | {baseline}:
        return NextStep(
            RollbackStep.STOP,
            f"the endpoint is {state.summary()}, which is neither this deployment's nor its baseline {baseline}: "
            "somebody else changed it. Left alone",
        )
    if tried is not None and state.last_modified <= tried.on:
        return NextStep(RollbackStep.WAIT, f"AWS does not show the change yet: {state.summary()}", waits_for=baseline)
    if state.status == "Failed":
        if made_by_us:
            return NextStep(RollbackStep.DELETE_FAILED_ENDPOINT, f"the new endpoint never served: {state.summary()}")
        return NextStep(RollbackStep.STOP, f"AWS takes no update of a Failed endpoint: {state.summary()}")
    if tried is not None and not (state.status == "UpdateRollbackFailed" and tried.times < _MOST_UPDATES):
        return NextStep(
            RollbackStep.STOP,
            f"SageMaker did not carry out the update to {baseline}: {state.summary()}. Remove the cause and clear this "
            f"task, or update the endpoint to {baseline} by hand",
        )
    return NextStep(RollbackStep.UPDATE, f"the endpoint is {state.summary()}")
