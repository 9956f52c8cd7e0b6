"""Deterministic, legal names for everything that a deployment makes.

SageMaker's names have at most 63 characters out of letters, digits and hyphens, with a letter or digit at both ends
(``EndpointConfigName``: ``[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}``). Airflow's run ids
(``manual__2026-01-01T00:00:00+00:00``) are not legal names, so the deployment enters a name as a digest.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

MAX_NAME_LENGTH = 63
NAME_PATTERN = r"^[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}$"

CONFIG_ROLES = ("baseline", "shadow", "promoted")
MODEL_ROLES = ("candidate", "incumbent")

_DIGEST_LENGTH = 10
_NOT_LEGAL = re.compile(r"[^a-zA-Z0-9]+")


@dataclass(frozen=True)
class DeploymentNames:
    """The names of one deployment's models and endpoint configs.

    Attributes:
        candidate_model: model behind the shadow variant.
        incumbent_model: model behind production; used only where the deployment makes the endpoint itself.
        baseline_config: production alone, the way back; used only where the deployment makes the endpoint itself.
        shadow_config: baseline plus the shadow variant.
        promoted_config: baseline with the candidate's model.
        alarms: what the names of all alarms that guard the promotion begin with.
    """

    candidate_model: str
    incumbent_model: str
    baseline_config: str
    shadow_config: str
    promoted_config: str
    alarms: str

    @property
    def configs(self) -> tuple[str, str, str]:
        """Every endpoint config that this deployment may have made."""
        return self.baseline_config, self.shadow_config, self.promoted_config

    @property
    def models(self) -> tuple[str, str]:
        """Every model that this deployment may have made."""
        return self.candidate_model, self.incumbent_model


def digest(*parts: str) -> str:
    """Return a short hexadecimal digest that no joining of the parts can confuse."""
    joined = "\0".join(parts).encode()
    return hashlib.sha256(joined).hexdigest()[:_DIGEST_LENGTH]


def resource_name(endpoint_name: str, deployment_id: str, role: str) -> str:
    """Name one resource of a deployment.

    Args:
        endpoint_name: the endpoint, whose beginning stays readable in the name.
        deployment_id: any text that tells this deployment from others, for example an Airflow run id.
        role: what the resource is for, in letters (``shadow``, ``candidate``, …).

    Returns:
        At most 63 legal characters; the same arguments always give the same name.
    """
    tail = f"-{role}-{digest(endpoint_name, deployment_id)}"
    head = _NOT_LEGAL.sub("-", endpoint_name).strip("-")[: MAX_NAME_LENGTH - len(tail)].rstrip("-")
    return f"{head}{tail}" if head else tail.lstrip("-")


def is_made_name(name: str, role: str) -> bool:
    """Whether a name is one that ``resource_name`` may have made. Tags say whether it did."""
    return re.search(rf"(^|-){role}-[0-9a-f]{{{_DIGEST_LENGTH}}}$", name) is not None


def deployment_names(endpoint_name: str, deployment_id: str) -> DeploymentNames:
    """Return the names of everything that the deployment ``deployment_id`` makes for ``endpoint_name``."""
    return DeploymentNames(
        candidate_model=resource_name(endpoint_name, deployment_id, "candidate"),
        incumbent_model=resource_name(endpoint_name, deployment_id, "incumbent"),
        baseline_config=resource_name(endpoint_name, deployment_id, "baseline"),
        shadow_config=resource_name(endpoint_name, deployment_id, "shadow"),
        promoted_config=resource_name(endpoint_name, deployment_id, "promoted"),
        alarms=resource_name(endpoint_name, deployment_id, "guard") + "-",
    )
