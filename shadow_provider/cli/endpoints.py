"""What a live endpoint says of itself: its variants, where it captures, and since when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


class UnclearEndpointError(ValueError):
    """What is needed cannot be read off the endpoint; the message names the option to give."""


@dataclass(frozen=True)
class LiveEndpoint:
    """An endpoint with its active config.

    Attributes:
        name: the endpoint.
        config: DescribeEndpointConfig of what it runs; empty where nobody asked.
    """

    name: str
    config: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def described(cls, sagemaker: Any, name: str) -> LiveEndpoint:
        """Ask SageMaker."""
        active = sagemaker.describe_endpoint(EndpointName=name)["EndpointConfigName"]
        return cls(name, sagemaker.describe_endpoint_config(EndpointConfigName=active))

    def production(self, given: str | None, option: str = "--production-variant") -> Mapping[str, Any]:
        """The production variant, by its name if there are several; `option` is how a person names it."""
        return self._variant("ProductionVariants", given, option)

    def shadow(self, given: str | None) -> Mapping[str, Any]:
        """The shadow variant, by its name if there are several."""
        return self._variant("ShadowProductionVariants", given, "--shadow-variant")

    @property
    def since(self) -> datetime | None:
        """When the config was made."""
        moment: datetime | None = self.config.get("CreationTime")
        return moment

    @property
    def capture(self) -> Mapping[str, Any]:
        """Its DataCaptureConfig; empty if it captures nothing."""
        found: Mapping[str, Any] = self.config.get("DataCaptureConfig") or {}
        return found

    def _variant(self, kind: str, given: str | None, option: str) -> Mapping[str, Any]:
        variants: Sequence[Mapping[str, Any]] = self.config.get(kind) or ()
        if given is not None:
            # A variant of the past has captures too.
            return next((each for each in variants if each["VariantName"] == given), {"VariantName": given})
        if len(variants) == 1:
            return variants[0]
        what = "shadow variant" if kind == "ShadowProductionVariants" else "production variant"
        if not variants:
            raise UnclearEndpointError(f"endpoint {self.name} has no {what}; name the one of the captures by {option}")
        names = ", ".join(each["VariantName"] for each in variants)
        raise UnclearEndpointError(f"endpoint {self.name} has more than one {what} ({names}); choose one by {option}")
