"""Published attacks return their last point; an honest evaluation keeps a point that won."""

from __future__ import annotations

from .base import Attack


def honest(attack: Attack) -> Attack:
    """The attack as protocol `honest` runs it: where it would return its last point, the first that reached the goal.

    Example:
        >>> from medrobust.attacks import pgd, restarts
        >>> type(honest(pgd()).keep).__name__, type(honest(restarts(pgd(), 2)).attacks[1].keep).__name__
        ('FirstReached', 'FirstReached')
    """
    keeping = attack.abilities.keeping
    found: Attack = attack if keeping is None else keeping()
    return found
