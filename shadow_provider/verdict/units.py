"""How a gate's numbers are meant, and how they are shown to a person."""

from enum import StrEnum


class Unit(StrEnum):
    """How a gate's numbers are meant; all but scores are fractions."""

    RATE_DIFFERENCE = "rate difference"
    SHARE = "share"
    RELATIVE_CHANGE = "relative change"
    SCORE = "score"


def show(value: float | None, unit: Unit) -> str:
    """A gate's number with its unit: percentage points for a difference of rates, percent for shares and changes."""
    if value is None:
        return "-"
    if unit is Unit.RATE_DIFFERENCE:
        return f"{value * 100:+.3f} pp"
    if unit is Unit.SCORE:
        return f"{value:+.4g}"
    return f"{value * 100:.2f} %" if unit is Unit.SHARE else f"{value * 100:+.1f} %"


def limit(margin: float, unit: Unit) -> str:
    """The margin as a rule: what the number must stay under, or over."""
    return f"{'>' if unit is Unit.SHARE else '<'} {show(margin, unit)}"
