"""The verdict."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.triggers.temporal import DateTimeTrigger
from airflow.sdk import Context

from shadow_provider.links.report import SageMakerShadowReportLink
from shadow_provider.links.sagemaker import SageMakerShadowEndpointLink
from shadow_provider.operators.base import DeploymentOperator, final_errors, is_templated, seconds
from shadow_provider.operators.production_guard import refuse_harm
from shadow_provider.operators.waiting import DEFAULT_DEFERRABLE
from shadow_provider.plan.arguments import S3Uri, Specification, for_template, none_of_jinja
from shadow_provider.plan.endpoint_config import ShadowRun
from shadow_provider.plan.endpoint_state import Progress, outcome_of
from shadow_provider.plan.errors import EndpointChangedError, PlanError
from shadow_provider.policy.policy import Policy
from shadow_provider.policy.production_guard import ON, read_production_guard
from shadow_provider.policy.reading import read_policy

if TYPE_CHECKING:
    from shadow_provider.verdict.evidence import Evidence
    from shadow_provider.verdict.record import DecisionRecord

# Captures are delivered minutes late, each instance its own: the newest minutes hold only some of the pairs.
DEFAULT_CAPTURE_LAG_SECONDS = 300.0
# With less, what reads the captures cannot join what it has spilled; it is too heavy to be asked at DAG parse.
_LEAST_MEMORY_MB = 256
# So many times the usual lag, and what has not come is taken for lost.
_SETTLED_AFTER_LAGS = 6


def now() -> datetime:
    """The time by which looks are taken, in UTC."""
    return datetime.now(tz=UTC)


class _Places(Specification):
    """Where labels come from and records go to."""

    ground_truth_s3_uri: S3Uri | None = None
    record_s3_uri: S3Uri | None = None


class SageMakerShadowEvaluateOperator(DeploymentOperator):
    """Looks at the evidence again and again until it is decided, or the deadline has come.

    Every look is valid, however many there are, so a candidate that fails is rejected as soon as that is sure, and one
    that is proven is promoted without waiting for the deadline. Between looks the task waits in the triggerer; what a
    look has read is kept in S3 beside the decision record, so the next one may run anywhere and costs what is new. The
    record is written once and never overwritten; a task that runs again after that returns the decision that stands
    there.

    Args:
        policy: what the candidate must prove: a ``Policy``, the name of a ready-made one, a mapping, YAML or JSON
            text, or None for the balanced policy.
        deadline: replaces the policy's, from the making of the shadow config on; timedelta or seconds.
        look_interval: replaces the policy's seconds between two looks.
        capture_lag: seconds that captures may take to arrive; evidence younger than this is left for the next look; at
            the deadline it is not waited for.
        ground_truth_s3_uri: prefix of the true labels (Model Monitor's JSONL); None if there are none.
        record_s3_uri: prefix for decision records; by default ``shadow-decisions`` beside the captures.
        production_guard: each look also compares production with itself before the shadow: ``on``, ``off``, or
            ``{"error_rate_margin", "latency_margin", "percentile", "alpha"}``; what is left out follows the policy. If
            production is surely worse, the task fails for good, so that the rollback runs.
        memory_mb: what reading the captures may take before it spills to disk, at least 256.
        deferrable: wait between looks in the triggerer instead of on a worker slot.
        kwargs: see ``DeploymentOperator``.

    Returns:
        ``{"verdict", "reason", "pairs", "looks", "gates", "record_uri", "report_uri", "looked_at"}``.
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
                "production_guard",
            }
        )
    )
    template_fields_renderers = {"policy": "json"}  # noqa: RUF012 - Airflow reads it from the class
    operator_extra_links = (SageMakerShadowEndpointLink(), SageMakerShadowReportLink())

    def __init__(
        self,
        *,
        policy: Policy | Mapping[str, Any] | str | None = None,
        deadline: timedelta | float | None = None,
        look_interval: float | None = None,
        capture_lag: timedelta | float = DEFAULT_CAPTURE_LAG_SECONDS,
        ground_truth_s3_uri: str | None = None,
        record_s3_uri: str | None = None,
        production_guard: Mapping[str, Any] | str | bool | None = ON,
        memory_mb: int = 512,
        deferrable: bool = DEFAULT_DEFERRABLE,
        **kwargs: Any,
    ) -> None:
        super().__init__(**({"multiple_outputs": True} | kwargs))
        self.policy = for_template(policy)
        self.deadline = deadline.total_seconds() if isinstance(deadline, timedelta) else deadline
        self.look_interval = look_interval
        self.capture_lag = capture_lag if is_templated(capture_lag) else seconds("capture_lag", capture_lag)
        self.ground_truth_s3_uri = ground_truth_s3_uri
        self.record_s3_uri = record_s3_uri
        self.production_guard = production_guard
        self.memory_mb = memory_mb
        self.deferrable = deferrable
        if memory_mb < _LEAST_MEMORY_MB:
            raise PlanError(f"memory_mb={memory_mb!r}: must be at least {_LEAST_MEMORY_MB}")
        if not any(is_templated(each) for each in (policy, deadline, look_interval)):
            read = self._effective_policy()
            if not is_templated(production_guard):
                read_production_guard(production_guard, read)
        _Places.parse_partly("", self._places, is_templated)

    def run_step(self, context: Context) -> dict[str, Any]:
        """Look until decided."""
        policy, places = self._effective_policy(), _Places.parse("", self._places)
        run = self.hook.shadow_run(self.deployment)
        deadline = run.since + timedelta(hours=policy.deadline_hours)
        uri = self._record_uri(run, places)
        while True:
            record = self._decided(uri) or self._look(run, policy, deadline, places, uri)
            if record is not None:
                return self._result(context, record, uri)
            pause = max(0.0, min(policy.look_interval_seconds, (deadline - now()).total_seconds()))
            moment = now() + timedelta(seconds=pause)
            self.keep_lease(moment)
            if self.deferrable:
                self.defer(trigger=DateTimeTrigger(moment=moment), method_name="execute_complete")
            time.sleep(pause)

    def execute_complete(self, context: Context, event: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Look again after the trigger fired."""
        with final_errors():
            return self.run_step(context)

    @property
    def _places(self) -> dict[str, Any]:
        return {"ground_truth_s3_uri": self.ground_truth_s3_uri, "record_s3_uri": self.record_s3_uri}

    def _effective_policy(self) -> Policy:
        policy = effective_policy(self.policy, deadline=self.deadline, look_interval=self.look_interval)
        longest = policy.deadline_hours * 3600 - policy.effective_block_seconds
        if not is_templated(self.capture_lag) and seconds("capture_lag", self.capture_lag) > longest:
            raise PlanError(
                f"capture_lag={self.capture_lag!r}: must leave a block of {policy.effective_block_seconds} s before "
                f"the deadline of {policy.deadline_hours * 3600:g} s"
            )
        return policy

    def _decided(self, uri: str) -> DecisionRecord | None:
        from shadow_provider.verdict.record import DecisionRecord

        document = self.hook.read_document(uri)
        if document is None:
            return None
        self.log.info("This deployment was decided before; the record stands in %s", uri)
        return DecisionRecord.model_validate_json(document)

    def _look(
        self, run: ShadowRun, policy: Policy, deadline: datetime, places: _Places, uri: str
    ) -> DecisionRecord | None:
        from shadow_provider.verdict.judge import judge
        from shadow_provider.verdict.record import ConfigNames, DecisionRecord, decide
        from shadow_provider.verdict.render import progress

        self._check_endpoint(run)
        # What comes after the deadline is not waited for, so the last look is the same however late it is taken.
        moment = min(now(), deadline)
        final = moment == deadline
        refuse_harm(
            self.hook,
            endpoint_name=self.endpoint_name,
            run=run,
            policy=policy,
            guard=read_production_guard(self.production_guard, policy),
            lag=self._lag,
            now=moment,
        )
        evidence = self._collect(run, policy, places, moment, uri, final=final)
        judgement = judge(policy, evidence, final=final)
        self.log.info("Look %d, evidence until %s. %s", len(evidence.looks),
                      evidence.looks[-1].isoformat(timespec="seconds"), progress(judgement))  # fmt: skip
        if not judgement.verdict.final:
            return None
        record = decide(
            deployment_id=self.deployment_id,
            incumbent_model=run.incumbent_model,
            candidate_model=run.candidate_model,
            configs=ConfigNames(
                baseline=self.hook.way_back(self.deployment),
                shadow=run.config_name,
                promoted=self.deployment.names.promoted_config,
            ),
            policy=policy,
            evidence=evidence,
            final=final,
        )
        written = self.hook.write_document_once(uri, record.canonical_bytes(), content_type="application/json")
        return DecisionRecord.model_validate_json(written)

    def _check_endpoint(self, run: ShadowRun) -> None:
        state = self.hook.endpoint_state(self.endpoint_name)
        # Autoscaling and SageMaker's own maintenance change the endpoint too, and leave it on its config.
        if (
            state is None
            or state.active_config != run.config_name
            or outcome_of(state, run.config_name).progress is Progress.FAILED
        ):
            raise EndpointChangedError(
                f"Endpoint {self.endpoint_name} should serve the shadow config {run.config_name}; it is "
                f"{state.summary() if state else 'gone'}. What was gathered cannot be judged as this deployment's."
            )

    @property
    def _lag(self) -> timedelta:
        return timedelta(seconds=seconds("capture_lag", self.capture_lag))

    def _collect(
        self, run: ShadowRun, policy: Policy, places: _Places, moment: datetime, uri: str, *, final: bool
    ) -> Evidence:
        from shadow_provider.evidence.collect import Kept, collect
        from shadow_provider.evidence.engine.store import S3Store
        from shadow_provider.evidence.objects import split_uri

        lag = self._lag
        bucket, key = split_uri(uri)
        return collect(
            s3=self.hook.s3,
            cloudwatch=self.hook.cloudwatch,
            endpoint_name=self.endpoint_name,
            run=run,
            policy=policy,
            until=moment - lag,
            final=final,
            ground_truth_s3_uri=places.ground_truth_s3_uri,
            kept=Kept(S3Store(self.hook.s3, bucket), f"{key.removesuffix('.json')}-looks"),
            settled_after=_SETTLED_AFTER_LAGS * lag,
            memory_mb=self.memory_mb,
            now=now(),
        )

    def _record_uri(self, run: ShadowRun, places: _Places) -> str:
        return run.documents(self.endpoint_name, places.record_s3_uri) + ".json"

    def _report(self, record: DecisionRecord, uri: str) -> str | None:
        """Write the reports beside the record; each is a function of it, so whoever writes first writes the same.

        The decision stands already: a report that cannot be made must not keep anybody from acting on it.
        """
        from shadow_provider.report import html_report, markdown_report

        base = uri.removesuffix(".json")
        try:
            page, text = html_report(record), markdown_report(record).encode()
        except Exception:
            self.log.exception("The report could not be made; `sagemaker-shadow report %s` would make it", uri)
            return None
        self.hook.write_document_once(f"{base}.html", page, content_type="text/html; charset=utf-8")
        self.hook.write_document_once(f"{base}.md", text, content_type="text/markdown; charset=utf-8")
        return f"{base}.html"

    def _result(self, context: Context, record: DecisionRecord, uri: str) -> dict[str, Any]:
        from shadow_provider.verdict.record import summary
        from shadow_provider.verdict.render import as_text

        report_uri = self._report(record, uri)
        if report_uri is not None:
            SageMakerShadowReportLink.remember(context, self, report_uri)
        self.log.info("Decision record: %s, report: %s\n%s", uri, report_uri,
                      as_text(record.judgement, record.notes))  # fmt: skip
        more = {"record_uri": uri, "report_uri": report_uri, "looked_at": record.created_at.isoformat()}
        # Through JSON, so that nothing but JSON types can reach the XCom.
        return dict(json.loads(json.dumps({**summary(record), **more})))


def effective_policy(policy: Any, *, deadline: Any = None, look_interval: Any = None) -> Policy:
    """The policy with a deadline and an interval of looks that an operator's arguments may put in its place.

    Args:
        policy: as a person gave it, rendered.
        deadline: timedelta or seconds; None keeps the policy's.
        look_interval: seconds; None keeps the policy's.

    Raises:
        PlanError: one of them breaks a rule.
    """
    read = read_policy(none_of_jinja(policy))
    replaced: dict[str, Any] = {}
    if none_of_jinja(deadline) is not None:
        replaced["deadline_hours"] = seconds("deadline", deadline) / 3600
    if none_of_jinja(look_interval) is not None:
        replaced["look_interval_seconds"] = seconds("look_interval", look_interval)
    return read_policy(read.model_dump(mode="json") | replaced) if replaced else read
