"""`python -m medrobust` is the command."""

from .cli import main

main()
