"""chrF: how alike two texts are, by their character n-grams (Popović, WMT 2015)."""

from collections import Counter

ORDER = 6
BETA = 2


def chrf(reference: str, hypothesis: str) -> float:
    """The character n-gram F-score, between 0 and 1.

    White space is left out. For n from 1 to 6, precision and recall are the shared n-grams (with their counts) by those
    of the hypothesis and of the reference; each is averaged over the orders that both texts have, and
    chrF = (1 + b²) P R / (b² P + R) with b = 2. This is sacrebleu's chrF2 of one sentence, by 100. Of two texts without
    characters it is 1, of one such text 0.
    """
    one, other = "".join(reference.split()), "".join(hypothesis.split())
    if one == other:
        return 1.0
    orders = min(ORDER, len(one), len(other))
    if not orders:
        return 0.0
    precision = recall = 0.0
    for size in range(1, orders + 1):
        shared = (_grams(one, size) & _grams(other, size)).total()
        precision += shared / (len(other) - size + 1)
        recall += shared / (len(one) - size + 1)
    precision, recall = precision / orders, recall / orders
    if not precision + recall:
        return 0.0
    return (1 + BETA**2) * precision * recall / (BETA**2 * precision + recall)


def _grams(text: str, size: int) -> Counter[str]:
    return Counter(text[at : at + size] for at in range(len(text) - size + 1))
