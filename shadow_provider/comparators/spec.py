"""How answers are compared, as a person writes it: one frozen model a kind, checked when it is written.

Nothing here reads data or imports Arrow, so that a policy may hold it.
"""

import math
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

import jmespath
from jmespath.exceptions import JMESPathError
from pydantic import (
    AfterValidator,
    Field,
    StringConstraints,
    TypeAdapter,
    model_validator,
)

from shadow_provider.comparators.spec_reading import Spec, read_spec
from shadow_provider.plan.frozen import Frozen


def _compiles(path: str) -> str:
    try:
        jmespath.compile(path)
    except (JMESPathError, RecursionError) as error:
        raise ValueError(f"no JMESPath: {' '.join(str(error).split())[:120]}") from error
    return path


Path = Annotated[str, Field(min_length=1, max_length=500), AfterValidator(_compiles)]
Column = Annotated[int, Field(ge=0)]
DottedPath = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$")]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
Tolerance = Annotated[float, Field(ge=0)]


class Selector(Frozen):
    """Where a value stands in an answer; each row of an answer has one.

    Attributes:
        column: column of a CSV answer, counted from 0.
        path: JMESPath into a JSON answer, or into each line of JSON Lines. A list that it yields has one row an
            element. Without it, the common shapes are tried.
    """

    column: Column = 0
    path: Path | None = None


class VectorSelector(Frozen):
    """Where a row of values stands in an answer: an embedding, the probabilities of classes, a ranking.

    Attributes:
        first_column: first column of a CSV answer that belongs to it.
        last_column: last such column; without it, all that follow.
        path: JMESPath to a list (one row) or to a list of lists (many).
    """

    first_column: Column = 0
    last_column: Column | None = None
    path: Path | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.last_column is not None and self.last_column < self.first_column:
            raise ValueError("last_column stands before first_column")
        return self


class LabelSpec(Spec):
    """Class labels. See `shadow_provider.comparators.kinds.label`.

    Attributes:
        selector: where the label stands.
        score: where the model's score of its answer stands, if the shift of scores is wanted.
        score_least: the smallest score that is possible.
        score_most: the largest.
        ignore_case: whether "Cat" is "cat".
    """

    kind: Literal["label"] = "label"
    name: Name = "label"
    selector: Selector = Selector()
    score: Selector | None = None
    score_least: float = 0.0
    score_most: float = 1.0
    ignore_case: bool = False

    @model_validator(mode="after")
    def _bounds(self) -> Self:
        if self.score_most <= self.score_least:
            raise ValueError("score_most must be above score_least")
        return self


class NumberSpec(Spec):
    """Numbers. See `shadow_provider.comparators.kinds.number`.

    Attributes:
        selector: where the number stands.
        absolute_tolerance: a difference that does not matter, in the answer's unit.
        relative_tolerance: the same as a part of the larger of the two.
        most_difference: differences beyond it count as it; without it the absolute difference has no bound and can be
            no gate.
    """

    kind: Literal["number"] = "number"
    name: Name = "number"
    selector: Selector = Selector()
    absolute_tolerance: Tolerance = 0.0
    relative_tolerance: Annotated[float, Field(ge=0, lt=2)] = 0.0
    most_difference: Annotated[float, Field(gt=0)] | None = None


class ProbabilitiesSpec(Spec):
    """Probabilities of classes. See `shadow_provider.comparators.kinds.probabilities`.

    Attributes:
        selector: where they stand. A JSON object gives the probability by class name. A row of one number p is
            (1 - p, p).
        sum_tolerance: how far from one their sum may be.
    """

    kind: Literal["probabilities"] = "probabilities"
    name: Name = "probabilities"
    selector: VectorSelector = VectorSelector()
    sum_tolerance: Annotated[float, Field(ge=0, lt=0.5)] = 1e-3


class RankingSpec(Spec):
    """Ranked items, best first. See `shadow_provider.comparators.kinds.ranking`.

    Attributes:
        selector: where the items stand.
        k: how many at the top are looked at for the overlap.
        p: persistence of the rank-biased overlap: weight of depth d is p^(d-1).
        depth: items beyond it are not looked at.
    """

    kind: Literal["ranking"] = "ranking"
    name: Name = "ranking"
    selector: VectorSelector = VectorSelector()
    k: Annotated[int, Field(ge=1, le=1000)] = 10
    p: Annotated[float, Field(gt=0, lt=1)] = 0.9
    depth: Annotated[int, Field(ge=1, le=10_000)] = 1000


class TextSpec(Spec):
    """Text. See `shadow_provider.comparators.kinds.text`.

    Attributes:
        selector: where the text stands; a whole answer of another media type than CSV or JSON is one text.
        nfkc: bring Unicode into the normal form NFKC first.
        ignore_case: compare casefolded.
        collapse_whitespace: any white space is one blank, none at the ends.
        refusals: phrases that make an answer a refusal, wherever they stand in it; case does not matter.
        characters: chrF looks at so many characters of each text.
        embed: dotted path of a function that takes a list of texts and gives one vector for each.
    """

    kind: Literal["text"] = "text"
    name: Name = "text"
    selector: Selector = Selector()
    nfkc: bool = True
    ignore_case: bool = False
    collapse_whitespace: bool = True
    refusals: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    characters: Annotated[int, Field(ge=10, le=100_000)] = 2000
    embed: DottedPath | None = None


class EmbeddingSpec(Spec):
    """Embeddings. See `shadow_provider.comparators.kinds.embedding`.

    Attributes:
        selector: where the vector stands.
    """

    kind: Literal["embedding"] = "embedding"
    name: Name = "embedding"
    selector: VectorSelector = VectorSelector()


_STEP = re.compile(r"\*\*|(?:\*|[^.\[\]*]+)?(?:\[\])*")


def path_steps(pattern: str) -> tuple[str, ...]:
    """`a.*.b[]` as ("a", "*", "b", "[]"): a key, any key, the elements of a list; `**` is any number of steps.

    Raises:
        ValueError: it is no such pattern.
    """
    steps: list[str] = []
    for part in pattern.split("."):
        if not part or not _STEP.fullmatch(part):
            raise ValueError(
                "no path pattern; write keys with dots between, * for any key, [] for elements, ** for any"
            )
        key = part.rstrip("[]")
        steps += [key] if key else []
        steps += ["[]"] * ((len(part) - len(key)) // 2)
    return tuple(steps)


def _is_pattern(pattern: str) -> str:
    path_steps(pattern)
    return pattern


class FieldRule(Frozen):
    """What differences do not matter at some paths. The first rule that fits a path holds.

    Attributes:
        path: keys with dots between; `*` any key, `[]` the elements of a list, `**` any number of steps.
        ignore: whatever stands there and below.
        absolute_tolerance: for numbers, as in a number comparator.
        relative_tolerance: for numbers.
        any_order: the elements of this list may come in any order.
        ignore_case: for strings.
        optional: a value that is missing or null there is a difference, but no violation of the schema.
    """

    path: Annotated[str, Field(min_length=1), AfterValidator(_is_pattern)]
    ignore: bool = False
    absolute_tolerance: Tolerance = 0.0
    relative_tolerance: Annotated[float, Field(ge=0, lt=2)] = 0.0
    any_order: bool = False
    ignore_case: bool = False
    optional: bool = False


class JsonSpec(Spec):
    """JSON, path by path. See `shadow_provider.comparators.kinds.json_tree`.

    Attributes:
        path: JMESPath to the part that is compared; without it, the whole answer.
        rules: differences that do not matter.
    """

    kind: Literal["json"] = "json"
    name: Name = "json"
    path: Path | None = None
    rules: tuple[FieldRule, ...] = ()


class DeclaredOutcome(Frozen):
    """An outcome of a user's own comparator; see `shadow_provider.comparators.contract.Outcome`."""

    name: Name
    kind: Literal["binary", "score"]
    least: float | None = None
    most: float | None = None

    @model_validator(mode="after")
    def _bounds(self) -> Self:
        if self.kind == "binary" and (self.least, self.most) != (None, None):
            raise ValueError("a binary outcome has no bounds of its own")
        if self.least is not None and self.most is not None and self.most <= self.least:
            raise ValueError("most must be above least")
        return self

    @property
    def bounds(self) -> tuple[float, float]:
        """Least and most, infinite where they are not given."""
        if self.kind == "binary":
            return -1.0, 1.0
        return (-math.inf if self.least is None else self.least), (math.inf if self.most is None else self.most)


class OwnSpec(Spec):
    """A user's own function. See `shadow_provider.comparators.kinds.own`.

    Attributes:
        function: dotted path, such as `my_package.compare.cents`.
        outcomes: what it gives, by name.
    """

    kind: Literal["own"] = "own"
    name: Name = "own"
    function: DottedPath
    outcomes: Annotated[tuple[DeclaredOutcome, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _names_once(self) -> Self:
        if len({outcome.name for outcome in self.outcomes}) < len(self.outcomes):
            raise ValueError("two outcomes have the same name")
        return self


_SPECS: tuple[type[Spec], ...] = (
    LabelSpec, NumberSpec, ProbabilitiesSpec, RankingSpec, TextSpec, EmbeddingSpec, JsonSpec, OwnSpec,
)  # fmt: skip
ComparatorSpec = Annotated[
    LabelSpec | NumberSpec | ProbabilitiesSpec | RankingSpec | TextSpec | EmbeddingSpec | JsonSpec | OwnSpec,
    Field(discriminator="kind"),
]
"""Any comparator, told by its `kind`."""

KINDS: dict[str, type[Spec]] = {str(spec.model_fields["kind"].default): spec for spec in _SPECS}
_ADAPTER: TypeAdapter[Any] = TypeAdapter(ComparatorSpec)


def comparator_spec(value: "ComparatorSpec | Mapping[str, Any] | str") -> "ComparatorSpec":
    """Make a comparator of what a person gave: a model, a mapping, or its JSON text.

    Raises:
        ComparatorError: it is no usable comparator; one line names the field, the value and the rule.
    """
    read: ComparatorSpec = read_spec(value, KINDS, _ADAPTER, "comparator")
    return read
