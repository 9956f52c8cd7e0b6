"""Whether the evidence can be trusted: what was mirrored, what found its partner, what became of every line."""

from functools import partial

from shadow_provider.report.charts.mirror import shares_by_hour
from shadow_provider.report.document import Chart, Part, Section, Sentence, Table, table
from shadow_provider.report.limits import Limits
from shadow_provider.report.text import count, figure, percent, plural, share_of
from shadow_provider.verdict.mirror import ALPHA
from shadow_provider.verdict.mirror_blocks import HourOfMirror
from shadow_provider.verdict.record import DecisionRecord

WORST_HOURS = 12


def section(record: DecisionRecord, limits: Limits) -> Section:
    """Faults, shares, hours, sizes, fates."""
    mirror = record.judgement.mirror
    parts: list[Part] = [Sentence(f"Fault: {fault}", warning=True) for fault in mirror.faults[: limits.charts]]
    parts += [Sentence(f"Not all captures may be there yet: {doubt}") for doubt in mirror.doubts[: limits.charts]]
    if not mirror.faults:
        known = "No fault was found." if mirror.measured else "Nothing could be measured yet."
        parts.append(Sentence(known))
    parts.append(_shares(record))
    if len(mirror.hours) > 1:
        parts.append(_chart(record, limits))
    if mirror.hours:
        parts.append(_hours(mirror.hours))
    if record.evidence.mirror.sizes:
        parts.append(_sizes(record))
    parts += _fates(record)
    return Section(
        "mirror",
        "Can the evidence be trusted?",
        "A candidate can only be judged if the shadow got what production got, and if both answers to a request were "
        f"captured. A sound mirror is called broken with a probability of at most {ALPHA:g} for each kind of test.",
        tuple(parts),
    )


def _shares(record: DecisionRecord) -> Table:
    mirror, evidence = record.judgement.mirror, record.evidence
    rows = (
        ("requests mirrored", percent(mirror.observed_share), f"{percent(mirror.configured_share)} configured"),
        (
            "captures that found their partner",
            percent(mirror.join_rate),
            f"at least {percent(record.policy.minimum_join_rate)}",
        ),
        ("requests captured", percent(evidence.mirror.captured_share), "as configured"),
        (
            "evidence against the configured share (log)",
            figure(mirror.share_evidence),
            "broken from 6.9 on",
        ),
    )
    paired_by = (evidence.captures.paired_by or "nothing yet").replace("_", " ")
    return table(
        f"The mirror in figures, counted by {mirror.measured_by}; paired by {paired_by}",
        ("figure", "observed", "expected"),
        rows,
        numeric=(1,),
    )


def _chart(record: DecisionRecord, limits: Limits) -> Chart:
    mirror = record.judgement.mirror
    start = record.evidence.blocks.start
    hours = [(hour.start - start).total_seconds() / 3600 for hour in mirror.hours]
    mirrored = [hour.mirrored / hour.requests if hour.requests else None for hour in mirror.hours]
    joined = [hour.joined / hour.joinable if hour.joinable else None for hour in mirror.hours]
    least = (percent(min((each for each in series if each is not None), default=None)) for series in (mirrored, joined))
    described = "In the worst hour {} of the requests were mirrored and {} of the captures found their partner.".format(
        *least
    )
    return Chart(
        "The mirror by hour",
        f"Two lines over {plural(len(hours), 'hour')}. {described}",
        partial(shares_by_hour, "mirror", hours, mirrored, joined, mirror.configured_share, limits.points),
    )


def _hours(hours: tuple[HourOfMirror, ...]) -> Table:
    def badness(hour: HourOfMirror) -> tuple[float, float]:
        joined = hour.joined / hour.joinable if hour.joinable else 1.0
        return joined, hour.mirrored / hour.requests if hour.requests else 1.0

    chosen = sorted(sorted(hours, key=badness)[:WORST_HOURS], key=lambda hour: hour.start)
    caption = "By hour" if len(hours) <= WORST_HOURS else f"The {WORST_HOURS} worst of {len(hours):,} hours"
    rows = (
        (
            f"{hour.start:%Y-%m-%d %H:%M}",
            count(hour.requests),
            count(hour.mirrored),
            share_of(hour.mirrored, hour.requests),
            count(hour.joinable),
            count(hour.joined),
            share_of(hour.joined, hour.joinable),
        )
        for hour in chosen
    )
    headings = ("hour (UTC)", "requests", "mirrored", "share", "captures to join", "joined", "join rate")
    return table(caption, headings, rows, numeric=range(1, 7))


def _sizes(record: DecisionRecord) -> Table:
    sizes = record.evidence.mirror.sizes
    rows = (
        (
            f"from {each.at_least:,} bytes",
            count(each.production),
            count(each.shadow),
            count(each.paired),
            share_of(each.paired, min(each.production, each.shadow)),
        )
        for each in sizes
    )
    headings = ("size of the request", "captured of production", "captured of the shadow", "paired", "join rate")
    return table("By size of the request", headings, rows, numeric=range(1, 5))


def _fates(record: DecisionRecord) -> list[Part]:
    captures = record.evidence.captures
    sides = {"production": captures.production, "shadow": captures.shadow}
    fates = sorted({fate for census in sides.values() for fate in census.fates})
    rows = [
        (fate.replace("_", " "), *(count(census.fates.get(fate, 0)) for census in sides.values())) for fate in fates
    ]
    rows.append(("all lines", *(count(census.lines) for census in sides.values())))
    rows.append(("objects read", *(count(census.objects) for census in sides.values())))
    made: list[Part] = [
        table("What became of every captured line", ("fate", *sides), rows, numeric=(1, 2)),
    ]
    places = [
        (fate.replace("_", " "), side, place)
        for side, census in sides.items()
        for fate, found in sorted(census.examples.items())
        for place in found
    ]
    if places:
        made.append(table("Where such lines stand, by example", ("fate", "side", "object and line"), places, code=(2,)))
    if captures.strict_lines:
        made.append(Sentence(f"{plural(captures.strict_lines, 'line')} had to be read one by one."))
    return made
