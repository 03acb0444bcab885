"""Figures of a paper that are pictures: what each kind shows of an audit."""

from .figure import PICTURES, Pictured, PicturePanel, pictured

__all__ = ["PICTURES", "PicturePanel", "Pictured", "pictured"]
