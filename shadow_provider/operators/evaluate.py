"""The verdict."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.triggers.temporal import DateTimeTrigger
from airflow.sdk import Context

from shadow_provider.operators.base import DeploymentOperator, final_errors, is_templated, seconds
from shadow_provider.operators.waiting import DEFAULT_DEFERRABLE
from shadow_provider.plan.arguments import none_of_jinja
from shadow_provider.plan.endpoint_config import ShadowRun
from shadow_provider.plan.errors import EndpointChangedError
from shadow_provider.plan.policy import Policy

if TYPE_CHECKING:
    from shadow_provider.verdict.evidence import Evidence
    from shadow_provider.verdict.record import DecisionRecord

DEFAULT_DEADLINE = timedelta(days=7)
DEFAULT_LOOK_SECONDS = 300.0
# Captures are delivered minutes late, each instance its own: the newest minutes hold only some of the pairs.
DEFAULT_CAPTURE_LAG_SECONDS = 300.0


class SageMakerShadowEvaluateOperator(DeploymentOperator):
    """Looks at the evidence until there is enough of it or the deadline has come, then decides, once.

    How long it looks depends on counts only (pairs, metrics), never on how the candidate does, so the intervals of the
    one decision are valid. The decision record is written to S3 once and never overwritten; a task that runs again
    after that returns the decision that stands there.

    Args:
        policy: what the candidate must prove: a ``Policy``, a mapping, JSON text, or None for the default policy.
        deadline: how long evidence is waited for, from the making of the shadow config on; timedelta or seconds.
        look_interval: seconds between two looks.
        capture_lag: seconds that captures may take to arrive; evidence younger than this is left for the next look.
        ground_truth_s3_uri: prefix of the true labels (Model Monitor's JSONL); None if there are none.
        record_s3_uri: prefix for decision records; by default ``shadow-decisions`` beside the captures.
        deferrable: wait between looks in the triggerer instead of on a worker slot.
        kwargs: see ``DeploymentOperator``.

    Returns:
        ``{"verdict", "reason", "pairs", "gates", "record_uri", "looked_at"}``.
    """

    template_fields = tuple(
        sorted(
            {
                *DeploymentOperator.template_fields,
                "policy",
                "deadline",
                "look_interval",
                "capture_lag",
                "ground_truth_s3_uri",
                "record_s3_uri",
            }
        )
    )
    template_fields_renderers = {"policy": "json"}  # noqa: RUF012 - Airflow reads it from the class

    def __init__(
        self,
        *,
        policy: Policy | Mapping[str, Any] | str | None = None,
        deadline: timedelta | float = DEFAULT_DEADLINE,
        look_interval: float = DEFAULT_LOOK_SECONDS,
        capture_lag: timedelta | float = DEFAULT_CAPTURE_LAG_SECONDS,
        ground_truth_s3_uri: str | None = None,
        record_s3_uri: str | None = None,
        deferrable: bool = DEFAULT_DEFERRABLE,
        **kwargs: Any,
    ) -> None:
        super().__init__(**({"multiple_outputs": True} | kwargs))
        # Kept as plain JSON: a template field must be something that Airflow can render, store and show.
        self.policy = policy.model_dump(mode="json") if isinstance(policy, Policy) else policy
        self.deadline = deadline if is_templated(deadline) else seconds("deadline", deadline)
        self.look_interval = look_interval if is_templated(look_interval) else seconds("look_interval", look_interval)
        self.capture_lag = capture_lag if is_templated(capture_lag) else seconds("capture_lag", capture_lag)
        self.ground_truth_s3_uri = ground_truth_s3_uri
        self.record_s3_uri = record_s3_uri
        self.deferrable = deferrable
        if not is_templated(policy):
            Policy.from_any(policy)

    def run_step(self, context: Context) -> dict[str, Any]:
        """Look until decided."""
        run = self.hook.shadow_run(self.deployment)
        policy = Policy.from_any(none_of_jinja(self.policy))
        deadline = run.since + timedelta(seconds=seconds("deadline", self.deadline))
        uri = self._record_uri(run)
        while True:
            record = self._decided(uri) or self._look(run, policy, deadline, uri)
            if record is not None:
                return self._result(record, uri)
            pause = min(seconds("look_interval", self.look_interval), (deadline - datetime.now(tz=UTC)).total_seconds())
            if self.deferrable:
                moment = datetime.now(tz=UTC) + timedelta(seconds=max(pause, 0))
                self.defer(trigger=DateTimeTrigger(moment=moment), method_name="execute_complete")
            time.sleep(max(pause, 0))

    def execute_complete(self, context: Context, event: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Look again after the trigger fired."""
        with final_errors():
            return self.run_step(context)

    def _decided(self, uri: str) -> DecisionRecord | None:
        from shadow_provider.verdict.record import DecisionRecord

        document = self.hook.read_document(uri)
        if document is None:
            return None
        self.log.info("This deployment was decided before; the record stands in %s", uri)
        return DecisionRecord.model_validate_json(document)

    def _look(self, run: ShadowRun, policy: Policy, deadline: datetime, uri: str) -> DecisionRecord | None:
        from shadow_provider.verdict.judge import missing_cover
        from shadow_provider.verdict.record import ConfigNames, DecisionRecord, decide

        self._check_endpoint(run)
        now = datetime.now(tz=UTC)
        evidence = self._collect(run, policy, now)
        missing = missing_cover(policy, evidence)
        if missing and now < deadline:
            self.log.info("CONTINUE until %s: still missing %s", deadline.isoformat(timespec="seconds"),
                          "; ".join(missing))  # fmt: skip
            return None
        configs = ConfigNames(
            baseline=self.hook.way_back(self.deployment) or "",
            shadow=run.config_name,
            promoted=self.deployment.names.promoted_config,
        )
        record = decide(
            deployment_id=self.deployment_id,
            incumbent_model=run.incumbent_model,
            candidate_model=run.candidate_model,
            configs=configs,
            policy=policy,
            evidence=evidence,
        )
        written = self.hook.write_document_once(uri, record.canonical_bytes(), content_type="application/json")
        return DecisionRecord.model_validate_json(written)

    def _check_endpoint(self, run: ShadowRun) -> None:
        state = self.hook.endpoint_state(self.endpoint_name)
        if state is None or not state.serves(run.config_name):
            raise EndpointChangedError(
                f"Endpoint {self.endpoint_name} should serve the shadow config {run.config_name}; it is "
                f"{state.summary() if state else 'gone'}. What was gathered cannot be judged as this deployment's."
            )

    def _collect(self, run: ShadowRun, policy: Policy, now: datetime) -> Evidence:
        from shadow_provider.evidence.collect import collect_evidence
        from shadow_provider.verdict.evidence import EvidenceWindow

        lag = timedelta(seconds=seconds("capture_lag", self.capture_lag))
        end = max(now - lag, run.since + timedelta(seconds=1))
        return collect_evidence(
            s3=self.hook.s3,
            cloudwatch=self.hook.cloudwatch,
            endpoint_name=self.endpoint_name,
            production_variant=run.production_variant,
            shadow_variant=run.shadow_variant,
            capture_s3_uri=run.capture_s3_uri,
            window=EvidenceWindow(start=run.since, end=end),
            policy=policy,
            ground_truth_s3_uri=none_of_jinja(self.ground_truth_s3_uri),
            sampling_percentage=run.sampling_percentage,
            capture_percentage=run.capture_percentage,
        )

    def _record_uri(self, run: ShadowRun) -> str:
        prefix = none_of_jinja(self.record_s3_uri) or f"{run.capture_s3_uri.rstrip('/')}/shadow-decisions"
        # The moment the shadow config was made tells a deployment that was cleaned up and run again from its first run.
        made = run.since.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
        return f"{prefix.rstrip('/')}/{self.endpoint_name}/{run.config_name}-{made}.json"

    def _result(self, record: DecisionRecord, uri: str) -> dict[str, Any]:
        from shadow_provider.verdict.record import summary
        from shadow_provider.verdict.render import as_text

        self.log.info("Decision record: %s\n%s", uri, as_text(record.judgement))
        result = {**summary(record), "record_uri": uri, "looked_at": record.created_at.isoformat()}
        # Through JSON, so that nothing but JSON types can reach the XCom.
        return dict(json.loads(json.dumps(result)))
