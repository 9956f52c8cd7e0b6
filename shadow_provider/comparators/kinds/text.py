"""Text: does the candidate write the same?

Both texts are normalised first (Unicode NFKC, white space, case as asked). Per row of an answer, with p production's
text and s the candidate's:

* differs: the normalised texts are not equal, or the numbers of rows differ
* chrF distance 1 - chrF(reference p, hypothesis s), between 0 and 1; see `shadow_provider.comparators.chrf`. It is not
  symmetric: recall of production's text weighs more
* length difference 1 - min(len) / max(len) in characters, between 0 and 1
* empty: nothing is left of the text; refuses: it is empty or has one of the given phrases. Harm of the side that does
* embedding distance, if a function is given: 1 - cosine of its vectors, between 0 and 2

A pair's score is the mean over its rows; it differs, is empty or refuses if any row does. An empty text can be read: it
is its own harm.
"""

import unicodedata
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from shadow_provider.comparators.answers import Read, cells, read_answers
from shadow_provider.comparators.chrf import chrf
from shadow_provider.comparators.contract import Comparison
from shadow_provider.comparators.imported import imported
from shadow_provider.comparators.label import UnreadableAnswerError, media_kind
from shadow_provider.comparators.log_histogram import LogHistogram
from shadow_provider.comparators.moments import Moments
from shadow_provider.comparators.outcomes import outcomes_of
from shadow_provider.comparators.paired import Bools, Floats, alone, differing
from shadow_provider.comparators.spec import TextSpec
from shadow_provider.comparators.spec_reading import ComparatorError
from shadow_provider.comparators.summary import PartsSummary, read_pairs, unread_causes
from shadow_provider.comparators.tally import Tally

if TYPE_CHECKING:
    import pyarrow as pa

Texts = tuple[str, ...]
TEXT_KEYS = ("generated_text", "text", "output", "completion", "answer", "summary_text", "translation_text")


@dataclass(frozen=True)
class TextSummary(PartsSummary):
    """Texts over pairs.

    Attributes:
        matches: pairs that are `same`, `differ`, or have `other_rows`.
        empty: pairs with an empty text, by side.
        refusals: pairs with a refusal, by side.
        distance: chrF distances.
        distances: quantiles of them.
        production: characters of an answer.
        shadow: those of the candidate's.
        embedding: distances of embeddings.
    """

    matches: Tally = field(default_factory=Tally)
    empty: Tally = field(default_factory=Tally)
    refusals: Tally = field(default_factory=Tally)
    distance: Moments = field(default_factory=Moments)
    distances: LogHistogram = field(default_factory=LogHistogram)
    production: Moments = field(default_factory=Moments)
    shadow: Moments = field(default_factory=Moments)
    embedding: Moments = field(default_factory=Moments)

    def figures(self) -> dict[str, Any]:
        """Matches, chrF, lengths, refusals."""
        return {
            "matches": dict(self.matches.counts),
            "empty": dict(self.empty.counts),
            "refusals": dict(self.refusals.counts),
            "chrf_distance": self.distance.to_json() | {"quantiles": self.distances.quantiles()},
            "production_characters": self.production.to_json(),
            "candidate_characters": self.shadow.to_json(),
            **({"embedding_distance": self.embedding.to_json()} if self.embedding.count else {}),
        }


class TextComparator:
    """Compares texts.

    Args:
        spec: how.

    Raises:
        ComparatorError: the function for embeddings cannot be had.
    """

    summary_type = TextSummary

    def __init__(self, spec: TextSpec) -> None:
        self.name = spec.name
        self.identity = spec.identity
        self._spec = spec
        self._embed = imported(spec.embed) if spec.embed else None
        self._refusals = tuple(phrase.casefold() for phrase in spec.refusals)
        self.outcomes = outcomes_of(spec)

    def compare(self, production: "pa.RecordBatch", shadow: "pa.RecordBatch") -> Comparison:
        """Compare two batches.

        Raises:
            ComparatorError: the function for embeddings gave no vectors.
        """
        reader = partial(self._read)
        left, right = read_answers(production, reader), read_answers(shadow, reader)
        both = left.readable & right.readable
        figures = np.full((3, len(both)), np.nan)
        known: dict[tuple[int, int], tuple[float, float, float]] = {}
        for pair in np.flatnonzero(both).tolist():
            key = int(left.which[pair]), int(right.which[pair])
            if key not in known:
                known[key] = self._figures(left.distinct[key[0]] or (), right.distinct[key[1]] or ())
            figures[:, pair] = known[key]
        differs, distance, length = figures
        empty = _of_answers(left, _is_empty), _of_answers(right, _is_empty)
        refuses = _of_answers(left, self._refuses), _of_answers(right, self._refuses)
        values = {
            "differs": differing(left.readable, right.readable, differs),
            "empty": _own_harm(left.readable, right.readable, *empty),
            "refuses": _own_harm(left.readable, right.readable, *refuses),
            "chrf_distance": distance,
            "length_difference": length,
        }
        if self._embed is not None:
            values["embedding_distance"] = self._embedded(left, right, both & ~np.isnan(distance))
        other = int((both & np.isnan(distance)).sum())
        kinds = [
            ("same", int((differs == 0).sum())),
            ("differ", int((differs == 1).sum()) - other),
            ("other_rows", other),
        ]
        summary = TextSummary(
            pairs=read_pairs(left.readable, right.readable),
            causes=unread_causes(left.causes, right.causes),
            matches=Tally.of(kinds),
            empty=_by_side(*empty),
            refusals=_by_side(*refuses),
            distance=Moments.of(distance[~np.isnan(distance)]),
            distances=LogHistogram.of(distance),
            production=Moments.of(_lengths(left)),
            shadow=Moments.of(_lengths(right)),
            embedding=Moments.of(values["embedding_distance"][~np.isnan(values["embedding_distance"])])
            if self._embed
            else Moments(),
        )
        return Comparison(values, (left.readable, right.readable), summary)

    def _read(self, text: str, media: str | None) -> Texts:
        if media_kind(media) is None:
            return (self._normal(text),)
        found = cells(text, media, self._spec.selector.column, self._spec.selector.path, TEXT_KEYS)
        if not all(isinstance(value, str) for value in found):
            raise UnreadableAnswerError("no text where one is expected")
        return tuple(self._normal(value) for value in found)

    def _normal(self, text: str) -> str:
        if self._spec.nfkc:
            text = unicodedata.normalize("NFKC", text)
        if self._spec.ignore_case:
            text = text.casefold()
        return " ".join(text.split()) if self._spec.collapse_whitespace else text

    def _figures(self, left: Texts, right: Texts) -> tuple[float, float, float]:
        if left == right:
            return 0.0, 0.0, 0.0
        if len(left) != len(right):
            return 1.0, np.nan, np.nan
        most = self._spec.characters
        rows = [(1 - chrf(p[:most], s[:most]), _length_difference(p, s)) for p, s in zip(left, right, strict=True)]
        return 1.0, sum(row[0] for row in rows) / len(rows), sum(row[1] for row in rows) / len(rows)

    def _refuses(self, texts: Texts) -> bool:
        if _is_empty(texts):
            return True
        return bool(self._refusals) and any(phrase in text.casefold() for text in texts for phrase in self._refusals)

    def _embedded(self, left: Read[Texts], right: Read[Texts], wanted: Bools) -> Floats:
        assert self._embed is not None
        words: dict[str, int] = {}
        pairs = [(left.distinct[p] or (), right.distinct[s] or ()) for p, s in _places(left, right, wanted)]
        for pair in pairs:
            for text in (*pair[0], *pair[1]):
                words.setdefault(text, len(words))
        values = np.full(len(wanted), np.nan)
        if not words:
            return values
        try:
            vectors = np.asarray(self._embed(list(words)), dtype=np.float64)
        except Exception as error:  # A user's function may raise anything.
            raise ComparatorError(f"comparator: {self._spec.embed} failed: {type(error).__name__}: {error}") from error
        if vectors.ndim != 2 or len(vectors) != len(words):
            raise ComparatorError(
                f"comparator: {self._spec.embed} gave an array of shape {vectors.shape} for {len(words)} texts"
            )
        with np.errstate(invalid="ignore", divide="ignore"):
            vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        means = []
        for one, other in pairs:
            a, b = ([words[text] for text in side] for side in (one, other))
            distance = np.clip(1 - (vectors[a] * vectors[b]).sum(axis=1), 0.0, 2.0)
            means.append(float(np.where(np.array(a) == np.array(b), 0.0, distance).mean()))
        values[wanted] = means
        return values


def _places(left: Read[Texts], right: Read[Texts], wanted: Bools) -> list[tuple[int, int]]:
    return list(zip(left.which[wanted].tolist(), right.which[wanted].tolist(), strict=True))


def _is_empty(texts: Texts) -> bool:
    return any(not text.strip() for text in texts)


def _length_difference(p: str, s: str) -> float:
    longest = max(len(p), len(s))
    return 1 - min(len(p), len(s)) / longest if longest else 0.0


def _lengths(read: Read[Texts]) -> Floats:
    sizes = np.array([sum(map(len, texts or ())) for texts in read.distinct], dtype=np.float64)
    return sizes[read.which[read.readable]] if len(sizes) else np.zeros(0)


def _of_answers(read: Read[Texts], test: Any) -> Bools:
    found = np.array([texts is not None and test(texts) for texts in read.distinct], dtype=np.bool_)
    return found[read.which] if len(found) else np.zeros(0, dtype=np.bool_)


def _own_harm(left: Bools, right: Bools, production: Bools, shadow: Bools) -> Floats:
    harm = alone(production | ~left, shadow | ~right)
    harm[~left & ~right] = np.nan
    return harm


def _by_side(production: Bools, shadow: Bools) -> Tally:
    return Tally.of([("production", int(production.sum())), ("candidate", int(shadow.sum()))])
