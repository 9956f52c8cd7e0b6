"""The last word: the endpoint is as the verdict says, or the run fails."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow.sdk import Asset, AssetAlias, Context

from shadow_provider.hooks.model_registry import record_verdict
from shadow_provider.operators.base import DeploymentOperator, is_templated
from shadow_provider.operators.promote import PROMOTE
from shadow_provider.plan.arguments import is_true, none_of_jinja
from shadow_provider.plan.errors import EndpointFailedError, PlanError
from shadow_provider.plan.model_package import Approvals, Decided, PackageName

PROMOTIONS = AssetAlias("sagemaker-shadow-promotions")
"""Every promotion that is told by an asset event goes through this alias, so a DAG may also wait for any of them."""


class SageMakerShadowConcludeOperator(DeploymentOperator):
    """Verifies that the endpoint is where the verdict wants it, tells whoever should know, and returns what happened.

    Nothing is told before AWS shows that the verdict was carried out: the model registry gets the approval status, and
    an asset event is emitted if, and only if, the candidate was promoted.

    Args:
        decision: the evaluate operator's result.
        baseline_config_name: the baseline config, as the endpoint config operator returned it.
        fail_unless_promoted: fail the run too when the verdict is not ``PROMOTE``, although the rollback was clean.
        model_package: the candidate's version in the model registry (name or ARN), None if it is none.
        update_model_package: write the verdict to it: PROMOTE approves, REJECT rejects, anything else leaves the status
            as it is; reason and record's URI go into its description and metadata. A mapping says otherwise, by
            verdict: ``{"inconclusive": "Rejected"}``. False leaves the registry alone.
        asset: an ``Asset``, or its URI, that gets an event on promotion, with verdict, endpoint, model, record and
            deployment in its ``extra``; None for no event.
        kwargs: see ``DeploymentOperator``.

    Returns:
        ``{"verdict", "reason", "endpoint_config_before", "endpoint_config_after", "active_model_before",
        "active_model_after", "record_uri", "report_uri", "model_package"}``; the last is what became of the package.
    """

    template_fields = tuple(
        sorted(
            {
                *DeploymentOperator.template_fields,
                "decision",
                "baseline_config_name",
                "fail_unless_promoted",
                "model_package",
                "update_model_package",
                "asset_name",
                "asset_uri",
            }
        )
    )

    def __init__(
        self,
        *,
        decision: Any,
        baseline_config_name: str,
        fail_unless_promoted: bool | str = False,
        model_package: str | None = None,
        update_model_package: bool | str | Mapping[str, Any] = True,
        asset: Asset | str | None = None,
        **kwargs: Any,
    ) -> None:
        if asset is not None:
            # An asset as outlet would get an event whenever this task succeeds; an alias gets one only when told.
            kwargs = {"outlets": [PROMOTIONS], **kwargs}
        super().__init__(**kwargs)
        self.decision = decision
        self.baseline_config_name = baseline_config_name
        self.fail_unless_promoted = fail_unless_promoted
        self.model_package = model_package
        self.update_model_package = update_model_package
        self.asset_name = asset.name if isinstance(asset, Asset) else asset
        self.asset_uri = asset.uri if isinstance(asset, Asset) else asset
        PackageName.parse_partly("", {"model_package": model_package}, is_templated)
        if isinstance(update_model_package, Mapping):
            Approvals.parse_partly("update_model_package", update_model_package, is_templated)

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
            "report_uri": self.decision.get("report_uri"),
            "model_package": self._tell_registry(),
        }
        self.log.info("%s: %s", verdict, summary)
        if verdict != PROMOTE and is_true(self.fail_unless_promoted):
            raise EndpointFailedError(
                f"The candidate was not promoted ({verdict}: {summary['reason']}) and was rolled back cleanly; "
                "fail_unless_promoted asks for a failed run."
            )
        if verdict == PROMOTE:
            self._announce(context, summary)
        return summary

    def _tell_registry(self) -> dict[str, Any] | None:
        package = PackageName.parse("", {"model_package": self.model_package}).model_package
        update = self.update_model_package
        if package is None or not (isinstance(update, Mapping) or is_true(update)):
            return None
        decided = Decided(
            verdict=self.decision["verdict"],
            reason=self.decision.get("reason") or "",
            record_uri=self.decision.get("record_uri") or "",
            deployment_id=self.deployment_id,
        )
        approvals = Approvals.parse("update_model_package", update if isinstance(update, Mapping) else {})
        return record_verdict(self.hook, package, decided, approvals)

    def _announce(self, context: Context, summary: Mapping[str, Any]) -> None:
        uri = none_of_jinja(self.asset_uri)
        if uri is None:
            return
        extra = {
            "verdict": summary["verdict"],
            "endpoint": self.endpoint_name,
            "model": summary["active_model_after"],
            "record_uri": summary["record_uri"],
            "report_uri": summary["report_uri"],
            "deployment_id": self.deployment_id,
        }
        context["outlet_events"][PROMOTIONS].add(Asset(name=none_of_jinja(self.asset_name), uri=uri), extra=extra)
        self.log.info("Asset %s is told of the promotion", uri)

    def _model_of(self, config_name: str) -> str | None:
        config = self.hook.endpoint_config(config_name)
        return config["ProductionVariants"][0].get("ModelName") if config else None
