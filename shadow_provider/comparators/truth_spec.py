"""How answers are held against the truth, as a person writes it."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, TypeAdapter, model_validator

from shadow_provider.comparators.spec import Name, Selector, VectorSelector
from shadow_provider.comparators.spec_reading import Spec, read_spec

Clip = Annotated[float, Field(gt=0, lt=0.01)]


class _TruthSpec(Spec):
    """What all have.

    Attributes:
        truth: where the true value stands in the ground truth, which is read as an answer is.
    """

    truth: Selector = Selector()


class ClassTruthSpec(_TruthSpec):
    """Predicted classes against true ones.

    Attributes:
        selector: where the predicted label stands.
        ignore_case: whether "Cat" is "cat".
    """

    kind: Literal["class"] = "class"
    name: Name = "class"
    selector: Selector = Selector()
    ignore_case: bool = False


class ScoreTruthSpec(_TruthSpec):
    """The probability of one class against whether it was that class.

    Attributes:
        selector: where the probability stands.
        positive: the true label that the probability is of; all others are negative.
        clip: probabilities are kept so far from 0 and 1 for the log loss, which is at most -ln(clip).
    """

    kind: Literal["score"] = "score"
    name: Name = "score"
    selector: Selector = Selector()
    positive: Annotated[str, Field(min_length=1)] = "1"
    clip: Clip = 1e-6


class ProbabilitiesTruthSpec(_TruthSpec):
    """Probabilities of classes against true classes.

    Attributes:
        selector: where they stand. A JSON object gives the probability by class name.
        classes: the names of the classes in a list's order; without them the true label is the place, from 0.
        sum_tolerance: how far from one their sum may be.
        clip: probabilities are at least this for the log loss, which is at most -ln(clip).
    """

    kind: Literal["probabilities"] = "probabilities"
    name: Name = "probabilities"
    selector: VectorSelector = VectorSelector()
    classes: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    sum_tolerance: Annotated[float, Field(ge=0, lt=0.5)] = 1e-3
    clip: Clip = 1e-6

    @model_validator(mode="after")
    def _classes_once(self) -> Self:
        if len(set(self.classes)) < len(self.classes):
            raise ValueError("a class is named twice")
        return self


class NumberTruthSpec(_TruthSpec):
    """Predicted numbers against true ones.

    Attributes:
        selector: where the predicted number stands.
        most_error: absolute errors beyond it count as it; without it errors have no bound, and their difference is a
            description.
    """

    kind: Literal["number"] = "number"
    name: Name = "number"
    selector: Selector = Selector()
    most_error: Annotated[float, Field(gt=0, le=1e100)] | None = None


class RankingTruthSpec(_TruthSpec):
    """Rankings against relevant items.

    The truth is a JSON object of relevance by item, or the relevant items as a list or as a row of a CSV.

    Attributes:
        selector: where the items stand.
        k: how many at the top count.
    """

    kind: Literal["ranking"] = "ranking"
    name: Name = "ranking"
    selector: VectorSelector = VectorSelector()
    k: Annotated[int, Field(ge=1, le=1000)] = 10


TruthSpec = Annotated[
    ClassTruthSpec | ScoreTruthSpec | ProbabilitiesTruthSpec | NumberTruthSpec | RankingTruthSpec,
    Field(discriminator="kind"),
]
"""Any comparison with the truth, told by its `kind`."""

TRUTH_KINDS: dict[str, type[Spec]] = {
    "class": ClassTruthSpec,
    "score": ScoreTruthSpec,
    "probabilities": ProbabilitiesTruthSpec,
    "number": NumberTruthSpec,
    "ranking": RankingTruthSpec,
}
_ADAPTER: TypeAdapter[Any] = TypeAdapter(TruthSpec)


def truth_spec(value: Any) -> TruthSpec:
    """Make a comparison with the truth of what a person gave: a model, a mapping, or its JSON text.

    Raises:
        ComparatorError: it is no usable one; one line names the field, the value and the rule.
    """
    read: TruthSpec = read_spec(value, TRUTH_KINDS, _ADAPTER, "truth")
    return read
