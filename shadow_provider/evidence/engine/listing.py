"""Objects in folders of hours, `yyyy/mm/dd/hh/`, as SageMaker writes them: listed with few requests."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from shadow_provider.evidence.engine.store import ReadableStore, StoredObject
from shadow_provider.evidence.objects import join_key
from shadow_provider.evidence.window import hours

_DAY = 24


def listed_by_hour(
    store: ReadableStore, prefix: str, first: datetime, last: datetime
) -> Iterator[tuple[datetime, StoredObject]]:
    """The objects of the hours from one moment to another, both included, with their hours, in order.

    A day that is asked for as a whole is listed at once: S3 gives a thousand keys a request, wherever they lie.

    Args:
        store: where they lie.
        prefix: above the years, without a slash at its end.
        first: a moment of the first hour.
        last: a moment of the last hour.
    """
    asked = list(hours(first, last))
    at = 0
    while at < len(asked):
        hour = asked[at]
        if hour.hour == 0 and len(asked) - at >= _DAY:
            folder = join_key(prefix, f"{hour:%Y/%m/%d}")
            for each in store.listed(folder):
                number = _hour_of(each.key[len(folder) :])
                if number is not None:
                    yield hour + timedelta(hours=number), each
            at += _DAY
        else:
            for each in store.listed(join_key(prefix, f"{hour:%Y/%m/%d/%H}")):
                yield hour, each
            at += 1


def _hour_of(rest: str) -> int | None:
    """The hour at the beginning of a key below a day; None if no hour's folder is there."""
    number, slash, _ = rest.partition("/")
    known = slash and len(number) == 2 and number.isascii() and number.isdigit()
    return int(number) if known and int(number) < _DAY else None
