"""What Airflow stores of a deferral: its own serialisation, which moved between the supported versions."""

from __future__ import annotations

from typing import Any

try:
    from airflow.sdk.serde import deserialize, serialize
except ImportError:  # before Airflow 3.3
    from airflow.serialization.serialized_objects import BaseSerialization

    def serialized(value: Any) -> Any:
        """As it is stored."""
        return BaseSerialization.serialize(value)

    def deserialized(value: Any) -> Any:
        """As it was before it was stored."""
        return BaseSerialization.deserialize(value) if isinstance(value, dict) and "__var" in value else value or {}

else:

    def serialized(value: Any) -> Any:
        """As it is stored."""
        return serialize(value)

    def deserialized(value: Any) -> Any:
        """As it was before it was stored."""
        return deserialize(value) or {}
