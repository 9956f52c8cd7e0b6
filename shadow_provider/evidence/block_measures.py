"""From CloudWatch's figures by block to the measures that gates are judged by, with a cause for each block left out."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from shadow_provider.evidence.block_figures import SIDES, Column, Figures, Side
from shadow_provider.statistics.percentiles import needed_samples
from shadow_provider.verdict.measures import RateMeasure, RatioMeasure

INVOCATIONS = ("Invocations", "Sum")
ERRORS = {
    "4xx": ("Invocation4XXErrors", "Sum"),
    "5xx": ("Invocation5XXErrors", "Sum"),
    "model": ("InvocationModelErrors", "Sum"),
}
SAMPLES = ("ModelLatency", "SampleCount")
EXPIRED = "a period that CloudWatch still keeps"
UNANSWERED = "a complete answer from CloudWatch"
FAILED = ("4xx", "5xx")


def columns_of(percentiles: Sequence[str]) -> tuple[Column, ...]:
    """All columns that measures with these percentiles of latency need."""
    wanted = [INVOCATIONS, *ERRORS.values(), SAMPLES, *(("ModelLatency", each) for each in dict.fromkeys(percentiles))]
    return tuple(Column(side, *what) for side in SIDES for what in wanted)


@dataclass(frozen=True)
class BlockMeasures:
    """What the figures give.

    Attributes:
        measures: `invocation_errors`, and `model_latency_<percentile>` for each.
        gaps: blocks left out of a measure, by what they are without, in words: the rate needs a period that CloudWatch
            still keeps, its complete answer, and a count of errors where there are invocations; a ratio needs a figure
            where there are samples enough.
        thin_blocks: by percentile, blocks with some latency but too few samples of a variant.
        notes: what a person should know of how errors were counted.
    """

    measures: dict[str, RateMeasure | RatioMeasure]
    gaps: dict[str, int]
    thin_blocks: dict[str, int]
    notes: tuple[str, ...]


def block_measures(figures: Figures, percentiles: Sequence[str], count: int) -> BlockMeasures:
    """The measures of all blocks.

    Args:
        figures: of these blocks, with all columns of `columns_of(percentiles)`.
        percentiles: those that a measure is wanted of.
        count: how many blocks.
    """
    gaps: Counter[str] = Counter()
    rate, notes = _rate(figures, count, gaps)
    measures: dict[str, RateMeasure | RatioMeasure] = {"invocation_errors": rate}
    thin = {}
    for percentile in dict.fromkeys(percentiles):
        measures[f"model_latency_{percentile}"], thin[percentile] = _ratio(figures, percentile, count, gaps)
    return BlockMeasures(measures, dict(gaps), thin, notes)


def _rate(figures: Figures, count: int, gaps: "Counter[str]") -> tuple[RateMeasure, tuple[str, ...]]:
    counted = {side: _Counted(side) for side in SIDES}
    needed = [Column(side, *what) for side in SIDES for what in (INVOCATIONS, *(ERRORS[kind] for kind in FAILED))]
    for block in range(count):
        both = {side: _counts(figures, side, block) for side in SIDES}
        cause = _cause(figures, needed, block, both)
        if cause is not None:
            gaps[cause] += 1
        for side in SIDES:
            invocations, errors = both[side]
            counted[side].add(*((0, 0) if cause is not None else (invocations, errors or 0)))
    production, shadow = counted["production"], counted["shadow"]
    rate = RateMeasure(
        events=tuple(shadow.errors),
        trials=tuple(shadow.invocations),
        reference_events=tuple(production.errors),
        reference_trials=tuple(production.invocations),
    )
    return rate, tuple(note for side in SIDES for note in counted[side].notes())


def _cause(
    figures: Figures, needed: Sequence[Column], block: int, counts: dict[Side, tuple[int, int | None]]
) -> str | None:
    """Why no rate can be made of a block; None if one can."""
    if block in figures.expired:
        return EXPIRED
    if not figures.answered(needed, block):
        return UNANSWERED
    for side, (invocations, errors) in counts.items():
        if invocations and errors is None:
            return f"a count of the errors of {side}"
    return None


def _counts(figures: Figures, side: Side, block: int) -> tuple[int, int | None]:
    """Invocations of a block, none if there is no figure, and failed ones; None if one of the two kinds is missing.

    SageMaker puts a 0 for a request that did not fail, so a kind that has no figure is not known to be 0.
    """
    invocations = figures.columns[Column(side, *INVOCATIONS)][block]
    kinds = [figures.columns[Column(side, *ERRORS[kind])][block] for kind in FAILED]
    known = [kind for kind in kinds if kind is not None]
    complete = len(known) == len(kinds) or not invocations
    return round(invocations or 0), round(sum(known)) if complete else None


class _Counted:
    """Invocations and errors of one variant, block by block, where no block may have more errors than invocations.

    A request may be counted in one block and its failure in the next. Errors beyond a block's invocations count in the
    first later block that has room for them. So none is lost, and a block's figures never change because of what comes
    after it.
    """

    def __init__(self, side: Side) -> None:
        self.invocations: list[int] = []
        self.errors: list[int] = []
        self._side = side
        self._waiting = 0
        self._late = 0

    def add(self, invocations: int, errors: int) -> None:
        self._late += max(0, errors - invocations)
        self._waiting += errors
        counted = min(self._waiting, invocations)
        self._waiting -= counted
        self.invocations.append(invocations)
        self.errors.append(counted)

    def notes(self) -> list[str]:
        if not self._late:
            return []
        rest = f"; {self._waiting} of them wait for one" if self._waiting else ""
        return [f"{self._side}: {self._late} errors beyond the invocations of their block count in a later one{rest}"]


def _ratio(figures: Figures, percentile: str, count: int, gaps: "Counter[str]") -> tuple[RatioMeasure, int]:
    enough = needed_samples(percentile)
    samples = [Column(side, *SAMPLES) for side in SIDES]
    latency = [Column(side, "ModelLatency", percentile) for side in SIDES]
    found: list[tuple[float, float] | tuple[None, None]] = []
    thin = 0
    for block in range(count):
        sizes = [figures.columns[column][block] or 0 for column in samples]
        production, shadow = (figures.columns[column][block] for column in latency)
        ratio: tuple[float, float] | tuple[None, None] = (None, None)
        if figures.answered([*samples, *latency], block):
            if min(sizes) < enough:
                thin += max(sizes) > 0
            elif production and shadow:
                ratio = (production, shadow)
            else:
                gaps[f"a figure of {percentile} latency"] += 1
        found.append(ratio)
    measure = RatioMeasure(candidate=tuple(each[1] for each in found), reference=tuple(each[0] for each in found))
    return measure, thin
