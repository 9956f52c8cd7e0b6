"""Two judgements of the same evidence, gate by gate: what another policy would have said."""

from shadow_provider.plan.frozen import Frozen
from shadow_provider.verdict.judge import Judgement
from shadow_provider.verdict.looks import GateLook
from shadow_provider.verdict.units import limit, show

_COMPARED = ("state", "estimate", "lower", "upper", "margin", "unit", "measure", "blocking", "critical")


class GateDifference(Frozen):
    """One gate in two judgements.

    Attributes:
        name: the gate's name.
        segment: the part of the traffic; None for all of it.
        before: the gate in the one judgement; None if it has no such gate.
        after: the gate in the other; None if it has no such gate.
    """

    name: str
    segment: str | None = None
    before: GateLook | None
    after: GateLook | None

    @property
    def shown_name(self) -> str:
        """The name, with the segment if it is of one."""
        return f"{self.name} [{self.segment}]" if self.segment else self.name

    @property
    def changed(self) -> tuple[str, ...]:
        """The figures that differ, such as `state` and `margin`; all of them where one side has no such gate."""
        if self.before is None or self.after is None:
            return _COMPARED
        return tuple(field for field in _COMPARED if getattr(self.before, field) != getattr(self.after, field))

    def in_words(self) -> str:
        """One line: state, limit, estimate and bounds, each before and after where they differ."""
        if self.before is None or self.after is None:
            only = self.before or self.after
            assert only is not None, "a difference has a gate on at least one side"
            where = "only before" if self.after is None else "only after"
            return f"{self.shown_name}: {where}: {', '.join(_figures(only).values())}"
        before, after = _figures(self.before), _figures(self.after)
        parts = [
            text if text == after[figure] else f"{text} -> {after[figure]}"
            for figure, text in before.items()
            if figure == "state" or text != after[figure]
        ]
        return f"{self.shown_name}: {', '.join(parts) if self.changed else f'{parts[0]}, unchanged'}"


def differences(old: Judgement, new: Judgement) -> tuple[GateDifference, ...]:
    """Every gate of two judgements: those of the old one in its order, then those that only the new one has.

    A gate is known by its name and segment; both judgements may come from different policies on the same evidence.
    """
    before, after = _by_key(old), _by_key(new)
    return tuple(
        GateDifference(name=key[0], segment=key[1], before=before.get(key), after=after.get(key))
        for key in before | after
    )


def _by_key(judgement: Judgement) -> dict[tuple[str, str | None], GateLook]:
    return {(gate.name, gate.segment): gate for gate in (*judgement.gates, *judgement.segments)}


def _figures(gate: GateLook) -> dict[str, str]:
    """What a person compares, each with its name and unit."""
    return {
        "state": gate.state.value,
        "limit": f"limit {limit(gate.margin, gate.unit)}",
        "estimate": f"estimate {show(gate.estimate, gate.unit)}",
        "bounds": f"bounds {show(gate.lower, gate.unit)} to {show(gate.upper, gate.unit)}",
        "measure": f"judged by {gate.measure}",
        "decides": ("critical, " if gate.critical else "") + ("decides" if gate.blocking else "only reports"),
    }
