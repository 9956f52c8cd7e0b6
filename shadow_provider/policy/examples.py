"""Which payload a record and its report may show."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from shadow_provider.plan.frozen import Frozen

HIDDEN = "***"


def _compiles(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"no regular expression: {error}") from error
    return pattern


class Examples(Frozen):
    """The worst disagreements that are kept, and how much of them. By default no payload leaves the captures.

    Attributes:
        count: how many.
        show: `places` keeps where they stand (object and line), when, and how long the answers are; `answers` keeps the
            answers too, masked and cut.
        mask: regular expressions; what they match in an answer, or in a label, becomes `***`.
        longest: characters of an answer that are kept.
    """

    count: Annotated[int, Field(ge=0, le=50)] = 10
    show: Literal["places", "answers"] = "places"
    mask: tuple[Annotated[str, Field(min_length=1, max_length=500), AfterValidator(_compiles)], ...] = ()
    longest: Annotated[int, Field(ge=10, le=2000)] = 200

    def shown(self, answer: str | None) -> str | None:
        """As much of an answer as may be shown; None if nothing."""
        if answer is None or self.show == "places":
            return None
        # A mask must see what it would be cut from, but not megabytes of it. What stands at the cut may be half of what
        # a mask would have matched, so it is not shown.
        text = self.masked(answer[: 20 * self.longest])
        if self.mask and len(answer) > 20 * self.longest:
            text = f"{text[: -self.longest]}…"
        return text if len(text) <= self.longest else text[: self.longest - 1] + "…"

    def masked(self, text: str) -> str:
        """A text with everything hidden that a mask matches."""
        for pattern in self.mask:
            text = re.sub(pattern, HIDDEN, text)
        return text
