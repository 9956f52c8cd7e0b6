"""A local AWS for SageMaker shadow deployments: one endpoint_url, real model processes, mirroring, captures, metrics.

Importing this package is light: the server, moto and botocore are loaded when they are used.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shadow_provider.local.launcher import LocalAWS
    from shadow_provider.local.packing import model_archive
    from shadow_provider.local.server import serve
    from shadow_provider.local.settings import LocalAddress, LocalSettings

__all__ = ["LocalAWS", "LocalAddress", "LocalSettings", "model_archive", "serve"]

_HOMES = {
    "LocalAWS": "shadow_provider.local.launcher",
    "LocalAddress": "shadow_provider.local.settings",
    "LocalSettings": "shadow_provider.local.settings",
    "model_archive": "shadow_provider.local.packing",
    "serve": "shadow_provider.local.server",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
