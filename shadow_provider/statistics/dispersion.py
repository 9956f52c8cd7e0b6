"""How many events of a rate really count as one, because they come together."""

import numpy as np
import numpy.typing as npt

from shadow_provider.statistics.long_run import long_run_variance


def dispersion(residuals: npt.NDArray[np.float64], expected_variance: float) -> float:
    """Variance of counts over that of independent events; at least one.

    For events in clusters of size s it is about E[s²] / E[s]. Dividing counts by it leaves as many as there are
    clusters: the usual correction of overdispersed counts (McCullagh and Nelder 1989, Generalized Linear Models,
    section 4.5), here with the long-run variance, so that clusters longer than a block count as one too.

    Args:
        residuals: Counts of each block of time less what is expected in it, oldest first.
        expected_variance: Of all blocks together, if events were independent.
    """
    if len(residuals) < 2 or expected_variance <= 0:
        return 1.0
    return max(1.0, long_run_variance(residuals).variance * len(residuals) / expected_variance)
