"""Synthetic images of three modalities, for demonstrations and tests."""
