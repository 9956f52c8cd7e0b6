"""The last word: the endpoint is as the verdict says, or the run fails."""

from __future__ import annotations

from typing import Any

from airflow.sdk import Context

from shadow_provider.operators.base import DeploymentOperator
from shadow_provider.operators.promote import PROMOTE
from shadow_provider.plan.arguments import none_of_jinja
from shadow_provider.plan.errors import EndpointFailedError, PlanError


class SageMakerShadowConcludeOperator(DeploymentOperator):
    """Verifies that the endpoint is where the verdict wants it, and returns what happened.

    Args:
        decision: the evaluate operator's result.
        baseline_config_name: the baseline config, as the endpoint config operator returned it.
        fail_unless_promoted: fail the run too when the verdict is not ``PROMOTE``, although the rollback was clean.
        kwargs: see ``DeploymentOperator``.

    Returns:
        ``{"verdict", "reason", "endpoint_config_before", "endpoint_config_after", "active_model_before",
        "active_model_after", "record_uri"}``.
    """

    template_fields = tuple(
        sorted({*DeploymentOperator.template_fields, "decision", "baseline_config_name", "fail_unless_promoted"})
    )

    def __init__(
        self,
        *,
        decision: Any,
        baseline_config_name: str,
        fail_unless_promoted: bool | str = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.decision = decision
        self.baseline_config_name = baseline_config_name
        self.fail_unless_promoted = fail_unless_promoted

    def run_step(self, context: Context) -> dict[str, Any]:
        """Compare the verdict with what AWS shows."""
        if not isinstance(self.decision, dict) or "verdict" not in self.decision:
            raise PlanError(f"decision={self.decision!r}: must be the result of SageMakerShadowEvaluateOperator")
        verdict = self.decision["verdict"]
        promoted_name = self.deployment.names.promoted_config
        wanted = promoted_name if verdict == PROMOTE else self.baseline_config_name
        state = self.hook.endpoint_state(self.endpoint_name)
        if state is None or not state.serves(wanted):
            raise EndpointFailedError(
                f"The verdict is {verdict}, so endpoint {self.endpoint_name} should serve {wanted}; it is "
                f"{state.summary() if state else 'gone'}."
            )
        summary = {
            "verdict": verdict,
            "reason": self.decision.get("reason"),
            "endpoint_config_before": self.baseline_config_name,
            "endpoint_config_after": state.active_config,
            "active_model_before": self._model_of(self.baseline_config_name),
            "active_model_after": self._model_of(wanted),
            "record_uri": self.decision.get("record_uri"),
        }
        self.log.info("%s: %s", verdict, summary)
        if verdict != PROMOTE and _is_true(self.fail_unless_promoted):
            raise EndpointFailedError(
                f"The candidate was not promoted ({verdict}: {summary['reason']}) and was rolled back cleanly; "
                "fail_unless_promoted asks for a failed run."
            )
        return summary

    def _model_of(self, config_name: str) -> str | None:
        config = self.hook.endpoint_config(config_name)
        return config["ProductionVariants"][0].get("ModelName") if config else None


def _is_true(value: Any) -> bool:
    """Read a switch that a template may have turned into text."""
    value = none_of_jinja(value)
    return value.strip().lower() in {"true", "1", "yes"} if isinstance(value, str) else bool(value)
