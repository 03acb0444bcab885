"""Which images of a set are used, and in which split."""
