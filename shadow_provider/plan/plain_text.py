"""Foreign words as they may be shown.

Tags, names, FailureReasons and error messages come from others. A line break in them could forge a line of a log, an
escape sequence could repaint a terminal, a bidi character could turn a name round.
"""

UNPRINTABLE = "\N{REPLACEMENT CHARACTER}"
LONGEST = 2000
"""Characters of AWS's own words that are shown: a FailureReason has at most 1,024, an error message a few hundred."""


def plain(text: str, longest: int = LONGEST) -> str:
    """One line that every reader shows alike: no control, format or bidi characters, and of a long text the beginning.

    What is cut is said, with the length of the whole.
    """
    head = "".join(
        character if character.isprintable() else " " if character.isspace() else UNPRINTABLE
        for character in text[:longest]
    )
    return head if len(text) <= longest else f"{head}… ({len(text):,} characters)"
