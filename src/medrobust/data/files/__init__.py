"""Bytes to pixels: every format that is read, and nothing about sets."""
