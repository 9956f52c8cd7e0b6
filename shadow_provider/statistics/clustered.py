"""The mean difference of pairs that come several to a user or session: one look, described without a gate.

Pairs of the same cluster resemble each other, so clusters count, not pairs. The mean over all pairs is a ratio of two
sums over clusters: what the differences add up to, and how many pairs there are. Its variance is that of a ratio, by
the delta method (Deng, Knoblich and Lu 2018, KDD, "Applying the delta method in metric analytics"), which here is the
same as the sandwich of Liang and Zeger (1986), Biometrika 73, for a regression on a constant.

At every look the same sums may be asked as `BlockMean(pairs, totals)`, with one entry for each cluster that is
complete, in the order in which they were completed. Where the clusters' pairs are near each other in time, blocks of
time see the clusters by themselves: `ScoreBlocks` divides by their size.
"""

import math

import numpy as np
import numpy.typing as npt

from shadow_provider.statistics.proportion import Interval, check_alpha


def cluster_totals(
    differences: npt.NDArray[np.float64], clusters: npt.NDArray[np.generic]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """What the differences of each cluster add up to, and how many pairs it has; clusters in the order of their names.

    Args:
        differences: Candidate less production, one for each pair.
        clusters: The user or session of each pair, whatever identifies it.

    Raises:
        ValueError: As many differences as cluster names are needed.
    """
    if len(differences) != len(clusters):
        raise ValueError(f"{len(differences)} differences cannot belong to {len(clusters)} cluster names")
    _, numbers, pairs = np.unique(clusters, return_inverse=True, return_counts=True)
    totals = np.bincount(numbers, weights=differences, minlength=len(pairs))
    return totals.astype(np.float64), pairs.astype(np.float64)


def cluster_bounds(totals: npt.NDArray[np.float64], pairs: npt.NDArray[np.float64], alpha: float) -> Interval:
    """Bounds of the mean difference of a pair, each with error probability alpha, in the unit of the differences.

    d ± t sqrt(G / (G - 1) sum (S_g - d n_g)²) / N, with d the sum of all S_g over that of all n_g = N, G clusters and
    Student's t with G - 1 degrees of freedom. Assumes independent clusters, and enough of them: some 40, none of which
    dominates. Infinite below two clusters.

    Args:
        totals: S_g, what the differences of each cluster add up to.
        pairs: n_g, its pairs.
        alpha: Of each bound.

    Raises:
        ValueError: alpha is outside of (0, 0.5), or a cluster without pairs.
    """
    from scipy.special import stdtrit

    check_alpha(alpha)
    if (pairs <= 0).any():
        raise ValueError("each cluster must have a pair at least")
    clusters = len(totals)
    if clusters < 2:
        return -math.inf, math.inf
    number = float(pairs.sum())
    mean = float(totals.sum()) / number
    residuals = totals - mean * pairs
    error = math.sqrt(clusters / (clusters - 1) * float(residuals @ residuals)) / number
    reach = -float(stdtrit(clusters - 1, alpha)) * error
    return mean - reach, mean + reach
