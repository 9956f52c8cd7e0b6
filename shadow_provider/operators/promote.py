"""The candidate becomes production."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from airflow.providers.common.compat.sdk import AirflowSkipException
from airflow.sdk import Context

from shadow_provider.operators.base import is_templated
from shadow_provider.operators.guarding import Guard
from shadow_provider.operators.waiting import ConfigChangeOperator
from shadow_provider.plan.arguments import for_template, given, none_of_jinja
from shadow_provider.plan.endpoint_config import baseline_of_live_endpoint, promoted_request
from shadow_provider.plan.endpoint_state import EndpointState
from shadow_provider.plan.errors import (
    EndpointBusyError,
    EndpointChangedError,
    EndpointFailedError,
    ForeignResourceError,
    PlanError,
)
from shadow_provider.plan.guardrails import Guardrails
from shadow_provider.plan.infrastructure import infrastructure, promoted_variant
from shadow_provider.plan.promotion import PromotionStep, next_step
from shadow_provider.plan.tags import asked_since, to_aws
from shadow_provider.policy.policy import Policy
from shadow_provider.policy.reading import read_policy

PROMOTE = "PROMOTE"
# What AWS's timestamps tell apart.
_MOMENT = timedelta(milliseconds=1)


class SageMakerShadowPromoteOperator(ConfigChangeOperator):
    """Promotes the candidate if, and only if, the verdict is ``PROMOTE``; otherwise the task is skipped.

    The promoted config is the baseline with the candidate's model, under the same production variant name, with
    production's present instance count and without the shadow. The endpoint must be on the shadow config.

    Without guardrails one update leads there. With them there are two: a plain one that drops the shadow, back to the
    baseline config, and a guarded one from there, in which nothing but the model changes (docs/promotion.md says why).
    An update that SageMaker rolled back is a failure for good, with AWS's reason and, where it was guarded, the alarms
    that are in ALARM; it is not tried again by a retry either.

    Args:
        verdict: the verdict, as the evaluate operator returns it. There is no default: nothing is promoted by accident.
        promote_infrastructure: ``production`` keeps production's instance type, present count, timeouts and the like;
            ``shadow`` takes the shadow's under production's variant name, allowed only where the shadow had all
            requests. Where the instance type changes, production's autoscaling is deregistered and restored.
        guardrails: how traffic moves to the candidate: a ``Guardrails`` or its fields; None moves it all at once.
        policy: from whose margins ``alarms_from_policy`` makes alarms; see ``SageMakerShadowEvaluateOperator``.
        kwargs: see ``ConfigChangeOperator``. ``timeout`` is that of each update; what guardrails wait comes on top.

    Returns:
        ``{"promoted": true, "endpoint_config_name", "model_name"}``, and only once AWS shows it.
    """

    template_fields = tuple(
        sorted({*ConfigChangeOperator.template_fields, "verdict", "promote_infrastructure", "guardrails", "policy"})
    )
    template_fields_renderers = {"guardrails": "json", "policy": "json"}  # noqa: RUF012 - Airflow reads it from there

    def __init__(
        self,
        *,
        verdict: str,
        promote_infrastructure: str = "production",
        guardrails: Guardrails | Mapping[str, Any] | None = None,
        policy: Policy | Mapping[str, Any] | str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.verdict = verdict
        self.promote_infrastructure = promote_infrastructure
        if not is_templated(promote_infrastructure):
            infrastructure(promote_infrastructure)
        self.guardrails = for_template(guardrails)
        self.policy = for_template(policy)
        if given(self.guardrails) is not None:
            Guardrails.parse_partly("guardrails", self.guardrails, is_templated)
        if not is_templated(policy):
            read_policy(self.policy)

    def run_step(self, context: Context) -> Any:
        """Begin the update that is next, and wait for it."""
        if self.verdict != PROMOTE:
            raise AirflowSkipException(f"The verdict is {self.verdict}, not {PROMOTE}: the candidate stays a candidate")
        guard = self._guard()
        state = self._present_state()
        promoted, tags = self._ensure_config(state)
        baseline = self.hook.way_back(self.deployment)
        names, since = self.deployment.names, asked_since(tags)
        step = next_step(state, baseline=baseline or "", names=names, guarded=guard is not None, asked_since=since)
        self.log.info("Promotion on endpoint %s: %s (%s)", self.endpoint_name, step.value, state.summary())
        if step is PromotionStep.ROLLED_BACK:
            raise self._rolled_back(state, guard)

        def remember(now: EndpointState) -> None:
            self.hook.remember_update(promoted["EndpointConfigArn"], now)

        if guard is None:
            self._update(state, names.promoted_config, expected=names.shadow_config, prepare=remember)
            return self._wait(context, names.promoted_config, not_before=promoted["CreationTime"])
        instances = self._instances(promoted, state)
        patience = guard.guardrails.patience_seconds(instances)
        if step is PromotionStep.UNDER_WAY:
            return self._wait(context, names.promoted_config, not_before=since, patience=patience)
        # Whatever is refused is refused while the shadow is still there; and alarms are there before they are needed.
        deployment_config = guard.deployment_config(promoted, instances)
        if step is PromotionStep.DROP_SHADOW:
            assert baseline is not None  # the tags name it, or the promoted config would not be there
            self._update(state, baseline, expected=names.shadow_config)
            return self._wait(context, baseline, not_before=promoted["CreationTime"])
        self._update(
            state,
            names.promoted_config,
            expected=str(baseline),
            deployment_config=deployment_config,
            prepare=remember,
        )
        not_before = state.last_modified + _MOMENT
        return self._wait(context, names.promoted_config, not_before=not_before, patience=patience)

    def _instances(self, promoted: Mapping[str, Any], state: EndpointState) -> int:
        """How many instances the new fleet will have: production's present number where that is carried over."""
        variant = promoted["ProductionVariants"][0]
        present = {item.name: item.desired_instances for item in state.production}.get(variant["VariantName"])
        kept = self._keeps_count(state, promoted["EndpointConfigName"])
        return int((present if kept else None) or variant["InitialInstanceCount"])

    def _guard(self) -> Guard | None:
        guardrails = Guardrails.of(self.guardrails)
        if guardrails is None:
            return None
        if not self.wait_for_completion:
            raise PlanError("wait_for_completion=False: a guarded promotion is two updates, so the task must wait")
        return Guard(self.hook, self.deployment, guardrails, read_policy(none_of_jinja(self.policy)))

    def _present_state(self) -> EndpointState:
        state = self.hook.endpoint_state(self.endpoint_name)
        if state is None:
            raise EndpointChangedError(f"Endpoint {self.endpoint_name} is gone")
        return state

    def _update(
        self,
        state: EndpointState,
        config_name: str,
        *,
        expected: str,
        deployment_config: Mapping[str, Any] | None = None,
        prepare: Callable[[EndpointState], None] | None = None,
    ) -> None:
        """Begin one change of the endpoint."""

        def just_before(now: EndpointState) -> None:
            self.autoscaling.before_update(now, config_name)
            if prepare is not None:
                prepare(now)

        self.hook.update_endpoint(
            self.endpoint_name,
            config_name,
            expected=frozenset({expected}),
            keep_instance_counts=self._keeps_count(state, config_name),
            prepare=just_before,
            deployment_config=deployment_config,
        )

    def _keeps_count(self, state: EndpointState, config_name: str) -> bool:
        """Whether production goes on with its present number of instances.

        Autoscaling may have moved it since the config was made, by an earlier try. Where the shadow's instances are
        promoted, their number is what was tested.
        """
        of_shadow = infrastructure(self.promote_infrastructure) == "shadow"
        if of_shadow and config_name == self.deployment.names.promoted_config:
            return False
        return self.scaled(state, config_name)

    def _wait(self, context: Context, config_name: str, *, not_before: datetime | None, patience: float = 0.0) -> Any:
        if not self.wait_for_completion:
            return {"promoted": False, "endpoint_config_name": config_name, "model_name": None}
        return self.wait_then_finish(context, config_name, not_before=not_before, patience=patience)

    def look(self, config_name: str, not_before: datetime | None) -> tuple[bool, EndpointState | None]:
        """Ask AWS once; a guarded update that failed is told with the alarms that are in ALARM."""
        try:
            return super().look(config_name, not_before)
        except EndpointFailedError as error:
            guard = self._guard()
            if guard is None or config_name != self.deployment.names.promoted_config:
                raise
            raise EndpointFailedError(f"{error}. {guard.what_went_off()}") from error

    def _rolled_back(self, state: EndpointState, guard: Guard | None) -> EndpointFailedError:
        fired = f" {guard.what_went_off()}." if guard else ""
        return EndpointFailedError(
            f"Endpoint {self.endpoint_name}: its update to {self.deployment.names.promoted_config} was asked "
            f"for before, and it is {state.summary()}: SageMaker rolled the change back, or somebody did.{fired} It is "
            "not tried again; start a new deployment."
        )

    def _ensure_config(self, state: EndpointState) -> tuple[dict[str, Any], dict[str, str]]:
        """Return the promoted config, made if it is not there, and its tags."""
        name = self.deployment.names.promoted_config
        promoted = self.hook.endpoint_config(name)
        if promoted is None:
            self._make_config(state)
            promoted = self.hook.endpoint_config(name)
            if promoted is None:
                raise EndpointBusyError(f"AWS does not show the endpoint config {name} yet, which was just made")
        tags = self.hook.tags(promoted["EndpointConfigArn"])
        if not self.deployment.owns(tags):
            raise ForeignResourceError(
                f"endpoint config {name!r} exists already, and its tags do not say that this deployment made it. It "
                "is not deployed."
            )
        return promoted, tags

    def _make_config(self, state: EndpointState) -> None:
        names = self.deployment.names
        shadow = self.hook.endpoint_config(names.shadow_config)
        baseline_name = self.hook.way_back(self.deployment)
        config = self.hook.endpoint_config(baseline_name) if baseline_name else None
        if shadow is None or baseline_name is None or config is None:
            raise PlanError(
                f"deployment_id={self.deployment_id!r}: its shadow config {names.shadow_config} or the baseline config "
                f"{baseline_name} is gone, so there is nothing to promote from."
            )
        baseline = baseline_of_live_endpoint(state, config)
        candidate = shadow["ShadowProductionVariants"][0]["ModelName"]
        chosen = infrastructure(self.promote_infrastructure)
        variant = promoted_variant(baseline, shadow, state, chosen)
        content = {"baseline": baseline_name, "model": candidate, "infrastructure": chosen}
        tags = self.deployment.tags("promoted", content, baseline_config=baseline_name)
        request = promoted_request(
            baseline, config_name=names.promoted_config, candidate_model=candidate, variant=variant
        )
        self.hook.ensure_endpoint_config({**request, "Tags": to_aws(tags)})

    def finish(self, context: Context, state: EndpointState | None) -> Any:
        """Return the result of a verified promotion; where only the shadow is gone by now, go on."""
        name = self.deployment.names.promoted_config
        if state is not None and state.active_config != name:
            return self.run_step(context)
        if state is not None:
            self.autoscaling.after_update(state)
        if (guard := self._guard()) is not None:
            guard.take_down()
        config = self.hook.endpoint_config(name) or {}
        variants = config.get("ProductionVariants") or [{}]
        return {"promoted": True, "endpoint_config_name": name, "model_name": variants[0].get("ModelName")}
