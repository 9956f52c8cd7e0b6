"""Texts and numbers as they stand in a report."""

from datetime import UTC, datetime

from shadow_provider.plan.plain_text import plain

NOTHING = "-"
"""Where there is no figure."""


def short(text: str, longest: int) -> str:
    """As `plain`, for a place in a chart: what is cut is only marked."""
    return plain(text[:longest], longest) if len(text) <= longest else f"{plain(text[: longest - 1], longest)}…"


def count(number: int | None) -> str:
    """A whole number with separators."""
    return NOTHING if number is None else f"{number:,}"


def figure(number: float | None, unit: str = "") -> str:
    """Four significant digits, with a unit behind."""
    if number is None:
        return NOTHING
    shown = f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.4g}"
    return f"{shown} {unit}" if unit else shown


def percent(share: float | None, digits: int = 2) -> str:
    """A share of one."""
    return NOTHING if share is None else f"{share * 100:.{digits}f} %"


def share_of(part: int, whole: int) -> str:
    """A part of a whole."""
    return percent(part / whole if whole else None)


def moment(time: datetime) -> str:
    """A time to the second in UTC."""
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def plural(number: int, one: str, many: str | None = None) -> str:
    """A number with its noun."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
