"""Which deployment of an endpoint answers a request: one, or two while traffic shifts between them."""

from __future__ import annotations

import random
from collections.abc import Mapping

from shadow_provider.local.serving.deployment import Deployment
from shadow_provider.local.serving.variant import Variant


class Traffic:
    """The routing of one endpoint's requests.

    Args:
        rng: Decides which of two deployments answers.
    """

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._first: Deployment | None = None
        self._second: Deployment | None = None
        self._shares: Mapping[str, float] = {}

    @property
    def serving(self) -> bool:
        """Whether anything answers."""
        return self._first is not None

    @property
    def shares(self) -> Mapping[str, float]:
        """The second deployment's share of each production variant's requests; empty while there is one only."""
        return self._shares

    def only(self, deployment: Deployment | None) -> None:
        """All requests go to one deployment, or to none."""
        self._first, self._second, self._shares = deployment, None, {}

    def split(self, first: Deployment, second: Deployment, shares: Mapping[str, float]) -> None:
        """The second deployment gets these shares of the requests to each production variant.

        Both have the same production variants.
        """
        self._first, self._second, self._shares = first, second, dict(shares)

    def route(self, target: str | None) -> tuple[Deployment, Variant | None] | None:
        """Chooses who answers a request.

        Args:
            target: TargetVariant.

        Returns:
            The deployment, and its variant if there is one of that name; None if nothing serves.
        """
        first, second = self._first, self._second
        if first is None:
            return None
        if second is None:
            return first, first.choose(target)
        # Once all requests have moved on, the weights have too.
        moved = all(share >= 1 for share in self._shares.values())
        chooser = second if moved else first
        variant = chooser.choose(target)
        if variant is None:
            return chooser, None
        # Shares are those of production variants; a shadow that is asked for itself goes with the weights.
        to_second = self._rng.random() < self._shares.get(variant.name, float(moved))
        for deployment in (second, first) if to_second else (first, second):
            found = deployment.choose(variant.name)
            # A fleet that is down gets nothing while the other one is up.
            if found is not None and found.fleet.healthy_count:
                return deployment, found
        return chooser, variant
