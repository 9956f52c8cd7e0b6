"""The base of what is written down and read again: policies, specifications, evidence, records."""

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """Immutable; strict about names, so an unknown field is an error; never NaN or infinite, so it survives JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
