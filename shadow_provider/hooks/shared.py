"""One hook, and so one boto3 client, for all waits of a process that use the same connection and region.

A boto3 client costs about 20 MB and 50 ms. A triggerer waits for hundreds of deployments at once: they share.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from typing import Any

from shadow_provider.hooks.sagemaker_shadow import SageMakerShadowHook

# After this the connection is read again, so that rotated credentials are seen.
_LIFETIME_SECONDS = 600.0

_lock = threading.Lock()
_hooks: dict[str, tuple[float, SageMakerShadowHook]] = {}


def shared_hook(
    *,
    aws_conn_id: str | None,
    region_name: str | None,
    verify: bool | str | None,
    botocore_config: Mapping[str, Any] | None,
) -> SageMakerShadowHook:
    """Return the process's hook for these arguments; thread-safe. The caller must be on a worker thread: it may block.

    Raises:
        PlanError: there is no connection of that id.
    """
    key = _key(aws_conn_id, region_name, verify, botocore_config)
    with _lock:
        expires, hook = _hooks.get(key, (0.0, None))
        if hook is None or time.monotonic() > expires:
            hook = SageMakerShadowHook(
                aws_conn_id=aws_conn_id,
                region_name=region_name,
                verify=verify,
                config=dict(botocore_config) if botocore_config else None,
            )
            # Build the clients here, under the lock: on first use by many threads at once each would build its own.
            _ = hook.sagemaker, hook.cloudwatch, hook.s3
            _hooks[key] = (time.monotonic() + _LIFETIME_SECONDS, hook)
        return hook


def forget_shared_hook(
    *,
    aws_conn_id: str | None,
    region_name: str | None,
    verify: bool | str | None,
    botocore_config: Mapping[str, Any] | None,
) -> None:
    """Have the connection read again by whoever asks next: its session has expired before its time here was over."""
    with _lock:
        _hooks.pop(_key(aws_conn_id, region_name, verify, botocore_config), None)


def _key(*arguments: Any) -> str:
    return json.dumps(arguments, sort_keys=True, default=str)
