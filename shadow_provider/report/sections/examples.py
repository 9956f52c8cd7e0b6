"""The pairs that differ most, as far as the policy lets them be seen."""

from shadow_provider.report.document import Part, Section, Sentence, Table, table
from shadow_provider.report.limits import Limits
from shadow_provider.report.text import NOTHING, count, figure, moment
from shadow_provider.verdict.evidence import Example
from shadow_provider.verdict.record import DecisionRecord


def section(record: DecisionRecord, limits: Limits) -> Section:
    """Where they stand; the answers too if they were kept."""
    examples = record.evidence.examples
    policy = record.policy.examples
    parts: list[Part] = []
    if not examples:
        parts.append(Sentence("None were kept: no two answers differed, or the policy keeps none."))
    else:
        parts.append(_places(examples))
        if any(each.production is not None or each.shadow is not None for each in examples):
            parts.append(_answers(examples))
    if policy.show == "places":
        rule = (
            "The policy shows no payload (examples.show is places): each row says where the two answers stand, for who "
            "may read the captures."
        )
    else:
        rule = (
            f"The policy shows answers (examples.show is answers), cut to {policy.longest} characters. Masks: "
            f"{len(policy.mask)}; what one matches is shown as ***."
        )
    return Section("examples", "Worst disagreements", rule, tuple(parts))


def _places(examples: tuple[Example, ...]) -> Table:
    rows = (
        (
            str(number),
            each.outcome.replace("_", " "),
            figure(each.value),
            moment(each.time),
            each.production_place,
            each.shadow_place,
            count(each.input_bytes),
            count(each.production_characters),
            count(each.shadow_characters),
        )
        for number, each in enumerate(examples, start=1)
    )
    headings = (
        "no.", "differ in", "by", "time", "production's line", "the shadow's line", "request, bytes",
        "production, characters", "candidate, characters",
    )  # fmt: skip
    return table("Where they stand", headings, rows, numeric=(2, 6, 7, 8), code=(4, 5))


def _answers(examples: tuple[Example, ...]) -> Table:
    rows = (
        (str(number), *(NOTHING if answer is None else answer for answer in (each.production, each.shadow)))
        for number, each in enumerate(examples, start=1)
    )
    return table("What they say", ("no.", "production", "candidate"), rows, code=(1, 2), payload=True)
