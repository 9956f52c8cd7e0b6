"""The model registry: a version's approval follows the verdict."""

from __future__ import annotations

import logging
from typing import Any

from botocore.exceptions import ClientError

from shadow_provider.hooks import aws_errors
from shadow_provider.hooks.sagemaker_shadow import SageMakerShadowHook
from shadow_provider.plan.errors import ModelPackageError
from shadow_provider.plan.model_package import Approvals, Decided, last_changed_by, update_request
from shadow_provider.plan.plain_text import plain

log = logging.getLogger(__name__)


def record_verdict(
    hook: SageMakerShadowHook, model_package: str, decided: Decided, approvals: Approvals
) -> dict[str, Any]:
    """Write a verdict to a model package, unless it stands there already.

    Args:
        hook: the verbs of AWS.
        model_package: name, name/version or ARN.
        decided: what was decided.
        approvals: which status the verdict gives.

    Returns:
        ``{"arn", "approval_before", "approval", "changed", "last_changed_by"}``; the last is who had changed it before.

    Raises:
        ModelPackageBusyError: it is still being made.
        ModelPackageError: it is gone, or cannot take it.
    """
    try:
        before = hook.retrying(lambda: hook.sagemaker.describe_model_package(ModelPackageName=model_package))
    except ClientError as error:
        if not aws_errors.is_no_model_package(error):
            raise
        raise ModelPackageError(
            f"model_package={plain(model_package)!r}: it is gone, so the verdict {decided.verdict} is not written to "
            "it. The endpoint is as the verdict wants it; give update_model_package=False to leave the registry alone."
        ) from error
    request = update_request(before, decided, approvals)
    if request is not None:
        hook.retrying(lambda: hook.sagemaker.update_model_package(**request))
    approval = (request or {}).get("ModelApprovalStatus", before.get("ModelApprovalStatus"))
    who = last_changed_by(before)
    log.info(
        "Model package %s: %s (was %s, last changed by %s)",
        before["ModelPackageArn"],
        approval,
        before.get("ModelApprovalStatus"),
        who or "somebody whom AWS does not name",
    )
    return {
        "arn": before["ModelPackageArn"],
        "approval_before": before.get("ModelApprovalStatus"),
        "approval": approval,
        "changed": request is not None,
        "last_changed_by": who,
    }
