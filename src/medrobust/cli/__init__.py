"""The command line: one user of the library. Everything heavy is imported by the command that needs it."""

from .main import main

__all__ = ["main"]
