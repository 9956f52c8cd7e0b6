"""Production's recent traffic from CloudWatch, for a plan: read before there is any shadow."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from shadow_provider.evidence.block_measures import ERRORS, FAILED, INVOCATIONS, SAMPLES, needed_samples
from shadow_provider.evidence.clients import CloudWatchClient
from shadow_provider.evidence.metric_reader import MetricReader, Points, Series, Span
from shadow_provider.evidence.window import kept_for, kept_since, rounded_down, rounded_up
from shadow_provider.verdict.traffic import BLOCK_LENGTHS, HourOfTraffic, Traffic, traffic

_HOUR = 3600


def recent_traffic(
    cloudwatch: CloudWatchClient,
    *,
    endpoint_name: str,
    variant: str,
    start: datetime,
    end: datetime,
    now: datetime,
    percentiles: Sequence[str] = ("p50", "p90", "p99"),
) -> Traffic:
    """Traffic of a variant in the whole hours between two times, in one call for a week and the default percentiles.

    A block counts for a percentile under the same rule as in an evaluation (`needed_samples`).

    Args:
        cloudwatch: a boto3 client.
        endpoint_name: the endpoint.
        variant: its production variant.
        start: rounded up to an hour.
        end: rounded down to an hour.
        now: by which CloudWatch's retention is reckoned: block lengths that it no longer has from the start on are
            left out, with a note.
        percentiles: of ModelLatency.

    Raises:
        ValueError: what is no percentile.
    """
    enough = {percentile: needed_samples(percentile) for percentile in percentiles}
    first, last = rounded_up(start, _HOUR), rounded_down(end, _HOUR)
    if last <= first:
        return traffic(first, first, (), {}, (f"no whole hour between {start:%F %H:%M} and {end:%F %H:%M}",))
    spans = {seconds: Span(first, last, seconds) for seconds in BLOCK_LENGTHS if first >= kept_since(seconds, now)}
    hourly = Span(first, last, _HOUR)
    counts = [Series(variant, *what) for what in (INVOCATIONS, *(ERRORS[kind] for kind in FAILED))]
    samples = Series(variant, *SAMPLES)
    latency = {percentile: Series(variant, "ModelLatency", percentile) for percentile in percentiles}
    wanted: dict[Span, list[Series]] = {span: [samples, *latency.values()] for span in spans.values()}
    wanted[hourly] = [*counts, *wanted.get(hourly, ())]
    reader = MetricReader(cloudwatch, endpoint_name)
    answers = reader.read(wanted)
    figures = {
        percentile: {
            seconds: _of_full_blocks(answers[span, series], answers[span, samples], enough[percentile], span)
            for seconds, span in spans.items()
        }
        for percentile, series in latency.items()
    }
    hours = _hours(*(answers[hourly, series] for series in counts))
    return traffic(first, last, hours, figures, (*reader.notes, *_too_old(spans)))


def _hours(invocations: Points | None, *errors: Points | None) -> list[HourOfTraffic]:
    found = []
    for start, count in sorted((invocations or {}).items()):
        kinds = [(each or {}).get(start) for each in errors]
        known = [kind for kind in kinds if kind is not None]
        failed = round(sum(known)) if len(known) == len(kinds) else None
        found.append(HourOfTraffic(start, round(count), failed))
    return found


def _of_full_blocks(
    latency: Points | None, samples: Points | None, enough: int, span: Span
) -> tuple[float | None, ...]:
    count = (span.end - span.start) // timedelta(seconds=span.period)
    starts = [span.start + timedelta(seconds=span.period * number) for number in range(count)]
    sizes, figures = samples or {}, latency or {}
    return tuple(figures.get(start) if sizes.get(start, 0) >= enough else None for start in starts)


def _too_old(spans: dict[int, Span]) -> list[str]:
    return [
        f"latency in blocks of {seconds} s is not known from the start: CloudWatch keeps such periods "
        f"{kept_for(seconds) / timedelta(days=1):g} days"
        for seconds in BLOCK_LENGTHS
        if seconds not in spans
    ]
