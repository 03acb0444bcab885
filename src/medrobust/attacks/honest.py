"""Published attacks return their last point; an honest measurement keeps a point that won."""

from __future__ import annotations

from .base import Attack


def honest(attack: Attack) -> Attack:
    """The attack as the protocol `honest` runs it: it returns the first point that reached the goal, not its last.

    Any wrong answer has won: one that aims at a class and lands on another wrong one has made the answer wrong as well.

    Example:
        >>> from medrobust.attacks import pgd, restarts
        >>> type(honest(pgd()).keep).__name__, type(honest(restarts(pgd(), 2)).attacks[1].keep).__name__
        ('FirstReached', 'FirstReached')
    """
    keeping = attack.abilities.keeping
    found: Attack = attack if keeping is None else keeping()
    return found
