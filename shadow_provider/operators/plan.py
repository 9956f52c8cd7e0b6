"""What the policy needs, said before anything is made."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import Context

from shadow_provider.operators.base import DeploymentOperator, is_templated
from shadow_provider.operators.evaluate import effective_policy
from shadow_provider.plan.arguments import for_template, none_of_jinja
from shadow_provider.plan.errors import PlanError
from shadow_provider.plan.infrastructure import check_tested, infrastructure
from shadow_provider.policy.policy import Policy

if TYPE_CHECKING:
    from shadow_provider.verdict.traffic import Traffic

DEFAULT_HOURS = 24
_CHOICES = ("warn", "refuse")


class SageMakerShadowPlanOperator(DeploymentOperator):
    """Says how many pairs and hours each gate needs at production's present traffic, and what the deadline can prove.

    It reads only: the endpoint's description and CloudWatch. For a new endpoint there is no traffic, so it says pairs.

    Args:
        policy: what the candidate must prove; see ``SageMakerShadowEvaluateOperator``.
        deadline: replaces the policy's; timedelta or seconds.
        sampling_percentage: share of the requests that the shadow will get.
        promote_infrastructure: see ``SageMakerShadowPromoteOperator``; what cannot be promoted so is refused here,
            before anything was made.
        hours: so many of the last whole hours are looked at.
        out_of_reach: what to do where the deadline comes before a deciding gate or the minimum cover: ``warn`` in the
            log, or ``refuse``: the task fails for good, before anything was made.
        kwargs: see ``DeploymentOperator``.

    Returns:
        ``{"plan", "hours", "out_of_reach", "warnings"}``: one sentence; the hours that a promotion is to be expected
        after, None if that is not known; whether the deadline comes before; what a person should change or know.
    """

    template_fields = tuple(
        sorted(
            {
                *DeploymentOperator.template_fields,
                "policy",
                "deadline",
                "sampling_percentage",
                "out_of_reach",
                "promote_infrastructure",
            }
        )
    )
    template_fields_renderers = {"policy": "json"}  # noqa: RUF012 - Airflow reads it from the class

    def __init__(
        self,
        *,
        policy: Policy | Mapping[str, Any] | str | None = None,
        deadline: timedelta | float | None = None,
        sampling_percentage: float = 100.0,
        promote_infrastructure: str = "production",
        hours: int = DEFAULT_HOURS,
        out_of_reach: str = "warn",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.policy = for_template(policy)
        self.deadline = deadline.total_seconds() if isinstance(deadline, timedelta) else deadline
        self.sampling_percentage = sampling_percentage
        self.promote_infrastructure = promote_infrastructure
        self.hours = hours
        self.out_of_reach = out_of_reach
        if not is_templated(policy) and not is_templated(deadline):
            effective_policy(self.policy, deadline=self.deadline)
        if not is_templated(out_of_reach):
            self._refuses()
        if not is_templated(promote_infrastructure) and not is_templated(sampling_percentage):
            check_tested(infrastructure(promote_infrastructure), self._share())

    def run_step(self, context: Context) -> dict[str, Any]:
        """Read the traffic, and log the plan."""
        from shadow_provider.verdict.planning import plan

        policy = effective_policy(self.policy, deadline=self.deadline)
        check_tested(infrastructure(self.promote_infrastructure), self._share())
        made = plan(policy, self._traffic(policy), sampling_percentage=self._share())
        (self.log.warning if made.warnings else self.log.info)("%s", made.as_text())
        if made.hopeless and self._refuses():
            raise PlanError(
                f"out_of_reach='refuse': {made.in_one_line()} Nothing was made. Wider margins, a later deadline or a "
                "larger mirrored share may help."
            )
        return {
            "plan": made.in_one_line(),
            "hours": made.hours,
            "out_of_reach": made.hopeless,
            "warnings": list(made.warnings),
        }

    def _refuses(self) -> bool:
        choice = none_of_jinja(self.out_of_reach) or _CHOICES[0]
        if choice not in _CHOICES:
            raise PlanError(f"out_of_reach={choice!r}: must be one of {', '.join(_CHOICES)}")
        return bool(choice == "refuse")

    def _share(self) -> float:
        try:
            share = float(self.sampling_percentage)
        except (TypeError, ValueError):
            share = 0.0
        if not 0 < share <= 100:
            raise PlanError(f"sampling_percentage={self.sampling_percentage!r}: must lie above 0 and up to 100")
        return share

    def _traffic(self, policy: Policy) -> Traffic | None:
        from shadow_provider.evidence.traffic import recent_traffic
        from shadow_provider.evidence.window import rounded_down

        state = self.hook.endpoint_state(self.endpoint_name)
        if state is None or not state.production:
            return None
        now = datetime.now(tz=UTC)
        end = rounded_down(now, 3600)
        found = recent_traffic(
            self.hook.cloudwatch,
            endpoint_name=self.endpoint_name,
            variant=state.production[0].name,
            start=end - timedelta(hours=self.hours),
            end=end,
            now=now,
            percentiles=policy.percentiles or ("p50",),
        )
        for note in found.notes:
            self.log.warning("CloudWatch: %s", note)
        return found if found.hours else None
