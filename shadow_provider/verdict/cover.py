"""The minimum cover: how much of the traffic must have been seen before a promotion. Counts only."""

from datetime import UTC

from shadow_provider.policy.policy import Policy
from shadow_provider.verdict.evidence import Evidence
from shadow_provider.verdict.measures import Frozen


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
    """What the policy asks for, and what there is; a block counts for time if it has pairs."""
    paired = evidence.mirror.paired
    hours = sum(count > 0 for count in paired) * evidence.blocks.seconds / 3600
    starts = evidence.blocks.starts()
    of_day = {start.astimezone(UTC).hour for start, count in zip(starts, paired, strict=True) if count}
    return (
        Cover(what="pairs", have=evidence.pairs, needed=policy.minimum_pairs),
        Cover(what="hours with pairs", have=float(f"{hours:.6g}"), needed=policy.minimum_hours),
        Cover(what="hours of the day", have=len(of_day), needed=float(f"{policy.minimum_day_share * 24:.6g}")),
    )
