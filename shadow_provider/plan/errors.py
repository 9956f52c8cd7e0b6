"""The errors of this project: a small tree, so that a caller can tell what is final from what may pass."""

from __future__ import annotations


class ShadowError(Exception):
    """Base of everything this project raises on purpose. Final, unless it is a ``MayPassError``."""


class MayPassError(ShadowError):
    """Base of errors that may be gone at the next try."""


class PlanError(ShadowError, ValueError):
    """An argument breaks a rule: the message names the argument, its value and the rule."""


class WrongAccountError(PlanError):
    """The connection leads to another AWS account or region than the deployment is meant for."""


class ForeignResourceError(ShadowError):
    """A resource with a name of ours exists, but it is not ours or has other content."""


class EndpointChangedError(ShadowError):
    """The endpoint is not on a config that this deployment expects: somebody else changed it."""


class EndpointFailedError(ShadowError):
    """A change of the endpoint ended otherwise than asked: rolled back, Failed, OutOfService."""


class EndpointBusyError(MayPassError):
    """The endpoint is in the middle of a change that is not ours."""


class EndpointTimeoutError(MayPassError):
    """The deadline passed while the endpoint was still changing. The change itself may still be under way."""


class AwsUnavailableError(MayPassError):
    """AWS could not be asked, or would not answer yet, also when the call was repeated."""


class AutoscalingNotRestoredError(MayPassError):
    """Application Auto Scaling does not show what it was asked to restore."""


class WaitCancelledError(ShadowError):
    """The task was killed while it waited, and its arguments say that it is not to be tried again then."""


class ModelPackageError(ShadowError):
    """A model package is gone, or in a state in which the verdict cannot be written to it."""


class ModelPackageBusyError(MayPassError):
    """A model package is still being made."""


class ProductionHarmedError(ShadowError):
    """Production itself is surely worse since the shadow was added than its guard allows."""


class LeaseHeldError(ShadowError):
    """Another deployment holds the endpoint, or the endpoint does not allow to take it over."""


class LeaseLostError(ShadowError):
    """This deployment held the endpoint, and another one holds it now: nothing more may be changed."""


class LeaseContestedError(MayPassError):
    """Another deployment is claiming the endpoint at this moment; a little later it is clear who has it."""
