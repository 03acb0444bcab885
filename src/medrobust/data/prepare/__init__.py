"""Crops from downloads that are too large to be used as they are."""
