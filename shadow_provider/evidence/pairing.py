"""Two variants' captures become pairs, by inferenceId. Only what callers sent as InferenceId can be joined on."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from shadow_provider.comparators.label import Labels
from shadow_provider.evidence.captures import SideCaptures
from shadow_provider.verdict.evidence import CaptureCensus, SideCensus

EDGE = timedelta(seconds=5)
"""Left off at both ends of the time that both sides cover, where it is counted who is missing: times are whole seconds,
the shadow answers a little later than production, and the newest objects of the two sides end at different moments."""

Span = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class Pair:
    """Both answers to one request; None is an answer that is missing or cannot be read."""

    production: Labels | None
    shadow: Labels | None


@dataclass(frozen=True, slots=True)
class Pairing:
    """The pairs by inferenceId, and what is left over.

    All pairs are used. Who is missing is only counted in the overlap's inside, so `requests` to `joined` are of it.

    Attributes:
        pairs: same id and same input on both sides.
        census: what became of every line.
        overlap: first and last time that both sides' captures cover; None if they share none.
        requests: production's ids, mirrored or not.
        mirrored: those of them that the shadow has too.
        joinable: ids on the smaller side.
        joined: those of them that make a pair.
        production_tail: production's ids after the shadow's last capture.
        shadow_tail: the shadow's ids after production's last capture.
    """

    pairs: dict[str, Pair]
    census: CaptureCensus
    overlap: Span | None
    requests: int
    mirrored: int
    joinable: int
    joined: int
    production_tail: int
    shadow_tail: int


def pair_up(production: SideCaptures, shadow: SideCaptures) -> Pairing:
    """Pair by inferenceId and give every record its fate; the fates are counted into both sides.

    A record without a partner is `unpaired` within the time that both sides cover, else `outside_overlap`: production
    is older than the shadow, and the sides' newest objects do not arrive together. An id that stands for different
    inputs on the two sides is `input_mismatch` and no pair.
    """
    overlap = _overlap(production, shadow)
    inside = _inside(production, shadow, overlap)
    pairs: dict[str, Pair] = {}
    mirrored = joined = 0
    for inference_id, capture in production.by_id.items():
        partner = shadow.by_id.get(inference_id)
        if partner is None:
            continue
        counts = inside is not None and inside[0] <= capture.time <= inside[1]
        mirrored += counts
        if capture.input_digest != partner.input_digest:
            production.fates.count("input_mismatch", capture.place)
            shadow.fates.count("input_mismatch", partner.place)
            continue
        joined += counts
        production.fates.count("paired")
        shadow.fates.count("paired")
        pairs[inference_id] = Pair(capture.labels, partner.labels)
    production_alone = _count_alone(production, shadow, inside)
    shadow_alone = _count_alone(shadow, production, inside)
    return Pairing(
        pairs=pairs,
        census=CaptureCensus(production=_census(production), shadow=_census(shadow)),
        overlap=overlap,
        requests=mirrored + production_alone,
        mirrored=mirrored,
        joinable=mirrored + min(production_alone, shadow_alone),
        joined=joined,
        production_tail=_tail(production, shadow),
        shadow_tail=_tail(shadow, production),
    )


def _overlap(production: SideCaptures, shadow: SideCaptures) -> Span | None:
    if production.first is None or production.last is None or shadow.first is None or shadow.last is None:
        return None
    start, end = max(production.first, shadow.first), min(production.last, shadow.last)
    return (start, end) if start <= end else None


def _inside(production: SideCaptures, shadow: SideCaptures, overlap: Span | None) -> Span | None:
    """The span in which a partner must be there; None if there is no such time."""
    if overlap is not None:
        return overlap[0] + EDGE, overlap[1] - EDGE
    if production.last is None or shadow.last is None:
        # One side has nothing at all. There is no edge to mind: everything on the other side is missing its partner.
        alone = shadow if production.last is None else production
        return None if alone.first is None or alone.last is None else (alone.first, alone.last)
    return None


def _count_alone(side: SideCaptures, other: SideCaptures, inside: Span | None) -> int:
    """Give the records without a partner their fate; how many of them should have had one."""
    alone = 0
    for inference_id, capture in side.by_id.items():
        if inference_id in other.by_id:
            continue
        missed = inside is not None and inside[0] <= capture.time <= inside[1]
        side.fates.count("unpaired" if missed else "outside_overlap", capture.place if missed else None)
        alone += missed
    return alone


def _tail(side: SideCaptures, other: SideCaptures) -> int:
    last = other.last
    return 0 if last is None else sum(capture.time > last for capture in side.by_id.values())


def _census(side: SideCaptures) -> SideCensus:
    return SideCensus(
        objects=len(side.etags),
        lines=side.lines,
        fates=side.fates.counts(),
        examples=side.fates.examples(),
        first=side.first,
        last=side.last,
    )
