"""What Airflow's provider registry reads. Imported by every Airflow process: keep it free of imports."""

from __future__ import annotations

from typing import Any

_INTEGRATION = "Amazon SageMaker shadow deployment"


def get_provider_info() -> dict[str, Any]:
    """Describe this provider in the form of Airflow's ``provider_info.schema.json``.

    Returns:
        The provider's name, description and the modules that hold its hooks, operators, sensors and triggers.
    """
    return {
        "package-name": "airflow-provider-sagemaker-shadow",
        "name": "Amazon SageMaker shadow deployment",
        "description": (
            "Takes a new SageMaker model to production safely: shadow variant, paired evidence, a statistical "
            "verdict, verified promotion or rollback."
        ),
        "integrations": [
            {
                "integration-name": _INTEGRATION,
                "external-doc-url": "https://docs.aws.amazon.com/sagemaker/latest/dg/model-shadow-deployment.html",
                "tags": ["aws"],
            }
        ],
        "hooks": [
            {"integration-name": _INTEGRATION, "python-modules": ["shadow_provider.hooks.sagemaker_shadow"]},
        ],
        "operators": [
            {
                "integration-name": _INTEGRATION,
                "python-modules": [
                    "shadow_provider.operators.plan",
                    "shadow_provider.operators.lease",
                    "shadow_provider.operators.model",
                    "shadow_provider.operators.endpoint_config",
                    "shadow_provider.operators.endpoint",
                    "shadow_provider.operators.autoscaling",
                    "shadow_provider.operators.evaluate",
                    "shadow_provider.operators.promote",
                    "shadow_provider.operators.watch",
                    "shadow_provider.operators.rollback",
                    "shadow_provider.operators.cleanup",
                    "shadow_provider.operators.conclude",
                    "shadow_provider.operators.orphans",
                ],
            }
        ],
        "sensors": [
            {
                "integration-name": _INTEGRATION,
                "python-modules": ["shadow_provider.sensors.endpoint", "shadow_provider.sensors.evidence"],
            }
        ],
        "triggers": [
            {
                "integration-name": _INTEGRATION,
                "python-modules": [
                    "shadow_provider.triggers.lease",
                    "shadow_provider.triggers.endpoint",
                    "shadow_provider.triggers.evidence",
                    "shadow_provider.triggers.moment",
                ],
            }
        ],
        "extra-links": [
            "shadow_provider.links.sagemaker.SageMakerShadowEndpointLink",
            "shadow_provider.links.report.SageMakerShadowReportLink",
        ],
    }
