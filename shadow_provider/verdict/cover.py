"""The minimum cover: how much of the traffic must have been seen before a promotion. Counts only."""

from datetime import timedelta
from itertools import pairwise

from shadow_provider.plan.frozen import Frozen
from shadow_provider.policy.policy import Policy
from shadow_provider.verdict.evidence import Evidence

_LONGEST_PAUSE = timedelta(hours=1)


class Cover(Frozen):
    """One demand on the evidence.

    Attributes:
        what: pairs, hours or hours of the day.
        have: what there is.
        needed: what the policy asks for.
    """

    what: str
    have: float
    needed: float

    @property
    def reached(self) -> bool:
        """Whether there is enough."""
        return self.have >= self.needed

    def in_words(self) -> str:
        """Half a sentence."""
        return f"{self.have:,.6g} of {self.needed:,.6g} {self.what}"


def cover_of(policy: Policy, evidence: Evidence) -> tuple[Cover, ...]:
    """What the policy asks for, and what there is.

    Time counts from each block with pairs to the next, but a pause of more than an hour as that one block: few requests
    are no less an hour of traffic than many.
    """
    paired = evidence.mirror.paired
    starts = evidence.blocks.starts()
    filled = [start for start, count in zip(starts, paired, strict=True) if count]
    length = timedelta(seconds=evidence.blocks.seconds)
    steps = (after - before for before, after in pairwise(filled))
    covered = sum((step if step <= _LONGEST_PAUSE else length for step in steps), length if filled else timedelta())
    hours = covered / timedelta(hours=1)
    of_day = {start.hour for start in filled}
    return (
        Cover(what="pairs", have=evidence.pairs, needed=policy.minimum_pairs),
        Cover(what="hours with pairs", have=float(f"{hours:.6g}"), needed=policy.minimum_hours),
        Cover(what="hours of the day", have=len(of_day), needed=float(f"{policy.minimum_day_share * 24:.6g}")),
    )
