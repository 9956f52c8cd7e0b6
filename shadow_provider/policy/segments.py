"""Segments: parts of the traffic that are looked at by themselves.

A segment explores unless it is declared: it is shown and decides nothing. In a declared one every gate on pairs has to
pass as well, for each of its values.
"""

from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from shadow_provider.plan.frozen import Frozen

SegmentName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
OTHER = "(other)"
"""The value of pairs that have none of the values that were asked for."""


class _Segment(Frozen):
    """What all segments have.

    Attributes:
        name: what it is called.
        declared: whether a promotion has to wait for each of its values.
    """

    name: SegmentName
    declared: bool = False


class HourSegment(_Segment):
    """Hours of the day, in UTC.

    Attributes:
        edges: hours at which a part begins, ascending; the last part goes on past midnight to the first edge.
    """

    by: Literal["hour_of_day"] = "hour_of_day"
    edges: Annotated[tuple[Annotated[int, Field(ge=0, le=23)], ...], Field(min_length=2, max_length=24)]

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        _ascend(self.edges)
        return self

    @property
    def values(self) -> tuple[str, ...]:
        """Its parts, such as `08-20` and `20-08`."""
        ends = (*self.edges[1:], self.edges[0])
        return tuple(f"{start:02}-{end:02}" for start, end in zip(self.edges, ends, strict=True))


class SizeSegment(_Segment):
    """Size of the request's payload.

    Attributes:
        edges: bytes at which the next part begins, ascending.
    """

    by: Literal["payload_size"] = "payload_size"
    edges: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1, max_length=20)]

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        _ascend(self.edges)
        return self

    @property
    def values(self) -> tuple[str, ...]:
        """Its parts, such as `<1024` and `>=1024`."""
        between = (f"{low}-{high - 1}" for low, high in pairwise(self.edges))
        return f"<{self.edges[0]}", *between, f">={self.edges[-1]}"


class AttributeSegment(_Segment):
    """What callers send as custom attributes (`X-Amzn-SageMaker-Custom-Attributes: country=de,tier=gold`).

    Attributes:
        key: which attribute.
        values: which of its values are looked at; all others are `(other)`.
    """

    by: Literal["custom_attribute"] = "custom_attribute"
    key: Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^=,;\s]+$")]
    values: Annotated[tuple[Annotated[str, StringConstraints(min_length=1, max_length=100)], ...], Field(
        min_length=1, max_length=20)]  # fmt: skip

    @model_validator(mode="after")
    def _once(self) -> Self:
        if len(set(self.values)) < len(self.values):
            raise ValueError("a value is named twice")
        if OTHER in self.values:
            raise ValueError(f"{OTHER} is what all other values are called")
        return self


Segment = Annotated[HourSegment | SizeSegment | AttributeSegment, Field(discriminator="by")]


def _ascend(edges: tuple[int, ...]) -> None:
    if any(low >= high for low, high in pairwise(edges)):
        raise ValueError("edges must ascend")
