"""What all parts of a policy share."""

from pydantic import BaseModel, ConfigDict

from shadow_provider.plan.errors import PlanError


class PolicyError(PlanError):
    """A policy that cannot be used; the message is one line that names field, value and rule."""


class Frozen(BaseModel):
    """Immutable, and strict about names: an unknown field is an error, never a silent no-op."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
