"""The active test: do the attacks find a weakness that was planted for them?"""

from .run import active_test

__all__ = ["active_test"]
