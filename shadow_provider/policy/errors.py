"""The error of a policy."""

from shadow_provider.plan.errors import PlanError


class PolicyError(PlanError):
    """A policy that cannot be used; the message is one line that names field, value and rule."""
