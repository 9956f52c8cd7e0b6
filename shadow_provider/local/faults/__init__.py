"""Faults on demand: what can be told to go wrong, and where it is asked whether it does."""

from shadow_provider.local.faults.models import (
    FAULT,
    AlarmFault,
    ApiFault,
    CaptureFault,
    EndpointFault,
    Fault,
    FaultState,
    MetricsFault,
    VariantFault,
)

__all__ = [
    "FAULT",
    "AlarmFault",
    "ApiFault",
    "CaptureFault",
    "EndpointFault",
    "Fault",
    "FaultState",
    "MetricsFault",
    "VariantFault",
]
