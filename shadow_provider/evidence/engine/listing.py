"""Objects in folders of hours, `yyyy/mm/dd/hh/`, as SageMaker writes them: listed with few requests."""

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache

from shadow_provider.evidence.engine.store import ReadableStore, StoredObject
from shadow_provider.evidence.objects import join_key

_FOLDER = "%Y/%m/%d/%H/"
_WIDTH = len("2026/03/01/10/")


def listed_by_hour(
    store: ReadableStore, prefix: str, first: datetime, last: datetime
) -> Iterator[tuple[datetime, StoredObject]]:
    """The objects of the hours from one moment to another, both included, with their hours, in order.

    Keys are listed in their order, which is that of the hours: from the first hour on, a thousand a request, until one
    lies behind the last hour.

    Args:
        store: where they lie.
        prefix: above the years, without a slash at its end.
        first: a moment of the first hour.
        last: a moment of the last hour.
    """
    above = join_key(prefix, "") if prefix else ""
    begin, end = (f"{moment.astimezone(UTC):{_FOLDER}}" for moment in (first, last))
    for each in store.listed(above, after=above + begin):
        folder = each.key[len(above) : len(above) + _WIDTH]
        if folder > end:
            return
        hour = _hour(folder)
        if hour is not None:
            yield hour, each


@lru_cache(maxsize=2)
def _hour(folder: str) -> datetime | None:
    """The hour of a folder; None if it is none."""
    try:
        hour = datetime.strptime(folder, _FOLDER).replace(tzinfo=UTC)
    except ValueError:
        return None
    # A figure may be missing, or be one of another script.
    return hour if f"{hour:{_FOLDER}}" == folder else None
