"""The new production, verified, asked once, and watched for its first minutes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import Context

from shadow_provider.hooks import smoke
from shadow_provider.operators.base import DeploymentOperator, final_errors, is_templated, seconds
from shadow_provider.operators.waiting import DEFAULT_DEFERRABLE
from shadow_provider.plan.arguments import for_template, none_of_jinja
from shadow_provider.plan.endpoint_state import Progress, outcome_of
from shadow_provider.plan.errors import EndpointChangedError, EndpointFailedError, PlanError
from shadow_provider.plan.new_production import differences, images_of
from shadow_provider.plan.serving_figures import ServingFigures, latency_gates
from shadow_provider.policy.policy import Policy
from shadow_provider.policy.reading import read_policy
from shadow_provider.triggers.moment import SageMakerShadowMomentTrigger

if TYPE_CHECKING:
    from shadow_provider.evidence.recent_request import CapturedRequest

DEFAULT_WATCH_MINUTES = 5.0
# CloudWatch shows a datapoint one to three minutes after its end.
DEFAULT_METRIC_LAG_SECONDS = 180.0
SMOKE_TESTS = ("if_captured", "required", "off")
_LOOKS = 5
_LONGEST_BLOCK = 60
# Where the shadow config is gone already, the time before is the day before the promoted config was made.
_BEFORE = timedelta(hours=24)


def now() -> datetime:
    """The time by which looks are taken, in UTC."""
    return datetime.now(tz=UTC)


@dataclass(frozen=True)
class _Origin:
    """Where the new production comes from: since when production's figures count, until when, and its captures."""

    since: datetime
    until: datetime
    capture_s3_uri: str | None


class SageMakerShadowWatchOperator(DeploymentOperator):
    """Verifies the new production, sends it a request, and watches its first minutes against the time before.

    * Verified: the endpoint is on the promoted config, with its one production variant, weight and image, no shadow.
    * Smoke: a real request that production answered before, from the captures, is answered with 2xx and the same media
      type.
    * Watch: errors and latency since then against production's before the promotion, by the policy's margins
      (``judge_watch`` has the rules). Requests before and none counted after is a failure: no data is no pass.

    What fails here fails for good, and the rollback that follows brings the baseline config back, which is kept until
    then. The task may be killed and run again at any point: it then begins its watch anew.

    Args:
        policy: from whose blocking gates the margins come; see ``SageMakerShadowEvaluateOperator``.
        watch_minutes: how long production is watched; 0 for not at all.
        smoke_test: ``if_captured``: skipped, and said so, where there is no captured request; ``required``: that is a
            failure; ``off``: no request is sent.
        metric_lag: how late CloudWatch's datapoints may come; timedelta or seconds.
        deferrable: wait between looks in the triggerer instead of on a worker slot.
        kwargs: see ``DeploymentOperator``.

    Returns:
        ``{"promoted": true, "endpoint_config_name", "model_name", "smoke", "watched_minutes", "notes"}``.
    """

    template_fields = tuple(
        sorted({*DeploymentOperator.template_fields, "policy", "watch_minutes", "smoke_test", "metric_lag"})
    )
    template_fields_renderers = {"policy": "json"}  # noqa: RUF012 - Airflow reads it from the class

    def __init__(
        self,
        *,
        policy: Policy | Mapping[str, Any] | str | None = None,
        watch_minutes: float = DEFAULT_WATCH_MINUTES,
        smoke_test: str = SMOKE_TESTS[0],
        metric_lag: timedelta | float = DEFAULT_METRIC_LAG_SECONDS,
        deferrable: bool = DEFAULT_DEFERRABLE,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.policy = for_template(policy)
        self.watch_minutes = watch_minutes
        self.smoke_test = smoke_test
        self.metric_lag = metric_lag if is_templated(metric_lag) else seconds("metric_lag", metric_lag)
        self.deferrable = deferrable
        if not is_templated(policy):
            read_policy(self.policy)
        if not is_templated(watch_minutes):
            self._watch_time()
        if not is_templated(smoke_test):
            self._smoke_mode()

    def run_step(self, context: Context) -> dict[str, Any]:
        """Verify, send the smoke request, then watch."""
        promoted = self._verified()
        origin = self._origin(promoted)
        answer = self._smoke(promoted, origin)
        # The watch begins after the smoke request, which is not to be taken for a caller's.
        return self._watch(now(), answer, 1)

    def execute_complete(self, context: Context, event: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Look again after the trigger fired."""
        resume = (event or {}).get("resume") or {}
        with final_errors():
            if "started" not in resume:
                return self.run_step(context)  # an event that is not our trigger's: begin anew
            return self._watch(datetime.fromisoformat(resume["started"]), resume["smoke"], resume["look"])

    # -- verified -----------------------------------------------------------------------------------------------------

    def _verified(self) -> dict[str, Any]:
        """Return the promoted config, which the endpoint verifiably serves."""
        name = self.deployment.names.promoted_config
        state = self.hook.endpoint_state(self.endpoint_name)
        promoted = self.hook.endpoint_config(name)
        # Autoscaling and SageMaker's own maintenance change the endpoint too, and leave it on its config.
        if (
            state is None
            or promoted is None
            or state.active_config != name
            or outcome_of(state, name).progress is Progress.FAILED
        ):
            raise EndpointChangedError(
                f"Endpoint {self.endpoint_name} should serve the promoted config {name}; it is "
                f"{state.summary() if state else 'gone'}."
            )
        model = self.hook.model(promoted["ProductionVariants"][0]["ModelName"]) or {}
        if found := differences(state, promoted, images_of(model)):
            raise EndpointFailedError(f"Endpoint {self.endpoint_name} serves {name}, but {'; '.join(found)}")
        return promoted

    def _origin(self, promoted: Mapping[str, Any]) -> _Origin:
        until = promoted["CreationTime"]
        shadow = self.hook.endpoint_config(self.deployment.names.shadow_config)
        capture = (shadow or promoted).get("DataCaptureConfig") or {}
        since = shadow["CreationTime"] if shadow else until - _BEFORE
        return _Origin(since, until, capture.get("DestinationS3Uri"))

    # -- asked --------------------------------------------------------------------------------------------------------

    def _smoke_mode(self) -> str:
        mode = none_of_jinja(self.smoke_test) or SMOKE_TESTS[0]
        if mode not in SMOKE_TESTS:
            raise PlanError(f"smoke_test={mode!r}: must be one of {', '.join(SMOKE_TESTS)}")
        return str(mode)

    def _smoke(self, promoted: Mapping[str, Any], origin: _Origin) -> dict[str, Any]:
        mode = self._smoke_mode()
        if mode == "off":
            return {"sent": False, "why": "smoke_test='off'"}
        request = self._captured(promoted["ProductionVariants"][0]["VariantName"], origin)
        if request is None:
            why = f"there is no captured request of production's in {origin.capture_s3_uri or 'any place'}"
            if mode == "required":
                raise EndpointFailedError(f"Endpoint {self.endpoint_name}: smoke_test='required', but {why}")
            self.log.warning("No smoke request is sent: %s", why)
            return {"sent": False, "why": why}
        before = _type_of(request.answer_media)
        # Captures do not hold what the caller accepted. What it got is what it accepts; without that, a model that
        # answers in several formats would choose its own.
        answer = smoke.send(
            self.hook,
            self.endpoint_name,
            request.body,
            media=request.media,
            accept=before,
            attributes=request.attributes,
        )
        if before not in ("", _type_of(answer.media)):
            raise EndpointFailedError(
                f"Endpoint {self.endpoint_name}: the captured request {request.place} was answered with "
                f"{before} before and is answered with {_type_of(answer.media)!r} now"
            )
        self.log.info("The captured request %s was answered: %s, %d bytes", request.place, answer.media, answer.size)
        return {"sent": True, "request": request.place, "media_type": _type_of(answer.media), "bytes": answer.size}

    def _captured(self, variant: str, origin: _Origin) -> CapturedRequest | None:
        from shadow_provider.evidence.engine.store import S3Store
        from shadow_provider.evidence.objects import split_uri
        from shadow_provider.evidence.recent_request import recent_request

        if origin.capture_s3_uri is None:
            return None
        bucket, prefix = split_uri(origin.capture_s3_uri)
        return recent_request(
            S3Store(self.hook.s3, bucket),
            prefix=prefix,
            endpoint=self.endpoint_name,
            variant=variant,
            since=origin.since,
            until=origin.until,  # what the incumbent answered
        )

    # -- watched ------------------------------------------------------------------------------------------------------

    def _watch_time(self) -> timedelta:
        try:
            minutes = float(self.watch_minutes)
        except (TypeError, ValueError):
            minutes = -1.0
        if not 0 <= minutes <= 24 * 60:
            raise PlanError(f"watch_minutes={self.watch_minutes!r}: must be 0 to 1440")
        return timedelta(minutes=minutes)

    def _watch(self, started: datetime, answer: dict[str, Any], look: int) -> dict[str, Any]:
        """Look from the given look on, as soon as each may be taken."""
        from shadow_provider.evidence.window import rounded_down, rounded_up

        length, policy = self._watch_time(), read_policy(none_of_jinja(self.policy))
        promoted = self._verified()
        if not length:
            return self._result(promoted, answer, 0.0, ("watch_minutes=0: production was not watched",))
        block = min(_LONGEST_BLOCK, policy.block_seconds)
        origin = self._origin(promoted)
        before = self._figures(policy, promoted, origin.since, rounded_down(origin.until, block), block)
        if not before.invocations:
            said = "CloudWatch counts no request of production's before the promotion: there is nothing to compare with"
            self.log.warning("%s", said)
            return self._result(promoted, answer, 0.0, (said, *before.notes))
        begin = rounded_up(started, block)
        lag = timedelta(seconds=seconds("metric_lag", self.metric_lag))
        while True:
            final = look == _LOOKS
            end = rounded_up(begin + length, block) if final else rounded_down(begin + length * look / _LOOKS, block)
            self._wait_until(end + lag, {"started": started.isoformat(), "smoke": answer, "look": look})
            promoted = self._verified()
            notes = self._look(policy, before, self._figures(policy, promoted, begin, end, block), final=final)
            if final:
                return self._result(promoted, answer, length.total_seconds() / 60, (*before.notes, *notes))
            look += 1

    def _wait_until(self, moment: datetime, resume: dict[str, Any]) -> None:
        remaining = (moment - now()).total_seconds()
        if remaining <= 0:
            return
        self.keep_lease(moment)
        if self.deferrable:
            trigger = SageMakerShadowMomentTrigger(moment=moment.isoformat(), resume=resume)
            self.defer(trigger=trigger, method_name="execute_complete")
        time.sleep(remaining)

    def _look(self, policy: Policy, before: ServingFigures, after: ServingFigures, *, final: bool) -> tuple[str, ...]:
        from shadow_provider.verdict.watch import judge_watch

        found = judge_watch(policy, before, after, looks=_LOOKS, final=final)
        self.log.info(
            "New production: %s requests, %s failed; before: %s and %s",
            after.invocations, after.errors, before.invocations, before.errors,
        )  # fmt: skip
        if found.breaches:
            raise EndpointFailedError(
                f"Endpoint {self.endpoint_name} did not pass the watch since its promotion: {'; '.join(found.breaches)}"
            )
        return (*after.notes, *found.notes)

    def _figures(
        self, policy: Policy, promoted: Mapping[str, Any], start: datetime, end: datetime, block: int
    ) -> ServingFigures:
        from shadow_provider.evidence.serving_figures import serving_figures

        return serving_figures(
            self.hook.cloudwatch,
            endpoint_name=self.endpoint_name,
            variant=promoted["ProductionVariants"][0]["VariantName"],
            start=start,
            end=end,
            seconds=block,
            percentiles=[gate.percentile for gate in latency_gates(policy)],
            now=now(),
        )

    def _result(
        self, promoted: Mapping[str, Any], answer: dict[str, Any], minutes: float, notes: tuple[str, ...]
    ) -> dict[str, Any]:
        for note in notes:
            self.log.info("%s", note)
        return {
            "promoted": True,
            "endpoint_config_name": promoted["EndpointConfigName"],
            "model_name": promoted["ProductionVariants"][0]["ModelName"],
            "smoke": answer,
            "watched_minutes": minutes,
            "notes": list(notes),
        }


def _type_of(media: str) -> str:
    """The media type without its parameters."""
    return media.partition(";")[0].strip().lower()
