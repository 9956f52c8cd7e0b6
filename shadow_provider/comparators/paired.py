"""From rows of answers to one figure per pair."""

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


def differing(production: Bools, shadow: Bools, differs: Bools) -> Floats:
    """A binary outcome of two answers that should say the same.

    Args:
        production: whether production's answer could be read.
        shadow: whether the candidate's could.
        differs: what holds where both could.

    Returns:
        1 where they differ or one alone is unreadable, whichever: such a pair must not make up for another. NaN where
        both are unreadable: nothing is known of what they say.
    """
    values = np.where(production & shadow, differs.astype(np.float64), np.nan)
    values[production ^ shadow] = 1.0
    return values


def sided(production: Bools, shadow: Bools, harm: Bools | Floats) -> Floats:
    """A binary outcome that can do harm on either side.

    Args:
        production: whether production's answer could be read.
        shadow: whether the candidate's could.
        harm: what holds where both could.

    Returns:
        `harm` for readable pairs, +1 where the candidate's answer alone is unreadable, -1 where production's is, NaN
        where both are: of such a pair nothing is known.
    """
    values = np.where(production & shadow, harm.astype(np.float64), np.nan)
    values[production & ~shadow] = 1.0
    values[~production & shadow] = -1.0
    return values


def alone(production: Bools, shadow: Bools) -> Floats:
    """+1 where something bad holds for the candidate alone, -1 for production alone, 0 otherwise."""
    return shadow.astype(np.float64) - production.astype(np.float64)


def any_row(rows: Bools, owner: NDArray[np.int64], count: int) -> Bools:
    """Whether it holds in any row of a pair."""
    found = np.zeros(count, dtype=np.bool_)
    found[owner[rows]] = True
    return found


def mean_of_rows(rows: Floats, owner: NDArray[np.int64], count: int) -> Floats:
    """Mean over the rows of a pair; NaN for pairs without rows, and where a row has none.

    The rows of one request are not independent, so a pair counts once however many rows it has.
    """
    sizes = np.bincount(owner, minlength=count)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.bincount(owner, rows, minlength=count) / sizes
