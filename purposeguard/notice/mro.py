"""The method resolution order of classes with many bases, as sources have that may serve many purposes."""

from __future__ import annotations

import heapq
from collections import Counter
from itertools import chain


def linearize(cls: type) -> list[type]:
    """Return the method resolution order of a class (C3), in time linear in the sizes of its bases.

    Raises:
        TypeError: the bases have no consistent order.
    """
    # Reversed: the next class of a sequence is its last.
    sequences = [[*base.__mro__][::-1] for base in cls.__bases__] + [[*cls.__bases__][::-1]]
    behind = Counter(chain.from_iterable(sequence[:-1] for sequence in sequences))
    """Class → the number of sequences that hold it behind their next class. It must wait until none does."""
    first: dict[type, list[int]] = {}
    """Class → the sequences of which it is the next."""
    for index, sequence in enumerate(sequences):
        first.setdefault(sequence[-1], []).append(index)
    ready = [*range(len(sequences))]  # A heap: the first sequence whose next class need not wait goes on.
    order: list[type] = [cls]
    while ready:
        index = heapq.heappop(ready)
        if not sequences[index] or behind[sequences[index][-1]]:
            continue  # Exhausted, or resumed when its next class need not wait any more.
        chosen = sequences[index][-1]
        order.append(chosen)
        for moved in first.pop(chosen):
            sequences[moved].pop()
            if sequences[moved]:
                following = sequences[moved][-1]
                behind[following] -= 1
                first.setdefault(following, []).append(moved)
                for waiting in first[following] if not behind[following] else ():
                    heapq.heappush(ready, waiting)
    if first:
        raise TypeError(f"the bases of {cls.__name__} have no consistent order")
    return order
