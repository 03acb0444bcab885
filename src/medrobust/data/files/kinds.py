"""What a file is, by its first bytes: its name decides nothing."""

from __future__ import annotations

import gzip
import re
import stat
import zlib
from pathlib import Path

from .pixels import BrokenImageError

HEAD = 1024  # bytes that are looked at
_VR = re.compile(rb"AE|AS|AT|CS|DA|DS|DT|FL|FD|IS|LO|LT|OB|OW|PN|SH|SL|SQ|SS|ST|TM|UI|UL|UN|US|UT")
_POINTER = b"version https://git-lfs"
_WEB_PAGE = re.compile(rb"\s*<(!doctype html|html)", re.IGNORECASE)


def read_head(path: Path) -> bytes:
    """The first bytes of a file. Errors: BrokenImageError when it is missing, a link to nothing, or no plain file."""
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise BrokenImageError("a folder, not a file" if stat.S_ISDIR(mode) else "not a plain file")
        with open(path, "rb") as file:
            return file.read(HEAD)
    except FileNotFoundError as error:
        raise BrokenImageError("a link to a file that is not there" if path.is_symlink() else "no such file") from error
    except OSError as error:
        raise BrokenImageError((error.strerror or str(error)).lower()) from error


def kind_of(path: Path) -> str:
    """ "dicom", "nifti", "npy", "npz", "netpbm", "tiff" or "other", which is for Pillow to decide.

    Errors: BrokenImageError for what is no image and known as something else: an empty file, a Git LFS pointer, a web
    page, an archive.
    """
    head = read_head(path)
    if not head:
        raise BrokenImageError("empty file")
    refuse_pointer(head)
    if _WEB_PAGE.match(head):
        raise BrokenImageError("a web page, not an image: download it again")
    if head[128:132] == b"DICM" or _bare_dicom(head):
        return "dicom"
    if head.startswith(b"\x93NUMPY"):
        return "npy"
    if head.startswith(b"PK\x03\x04"):
        return "npz"
    if head.startswith(b"\x1f\x8b"):
        if _is_nifti(_unpacked(path)):
            return "nifti"
        raise BrokenImageError("a compressed file without a NIfTI volume in it")
    if _is_nifti(head):
        return "nifti"
    if re.match(rb"P[1-6]\s", head):
        return "netpbm"
    if head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return "tiff"
    return "other"


def refuse_pointer(head: bytes) -> None:
    """Errors: BrokenImageError when these are the first bytes of a Git LFS pointer."""
    if head.startswith(_POINTER):
        raise BrokenImageError("a Git LFS pointer, not the file itself: run git lfs pull")


def _bare_dicom(head: bytes) -> bool:
    """A data set without the preamble of PS3.10: it begins with an element of group 2 or 8, and so does the next."""
    for order in ("little", "big"):
        group, element = (int.from_bytes(head[k : k + 2], order) for k in (0, 2))
        if group not in (2, 8) or element > 0x2000:
            continue
        if _VR.match(head, 4):
            return True
        length = int.from_bytes(head[4:8], order)
        after = int.from_bytes(head[8 + length : 10 + length], order)
        if order == "little" and length <= 256 and after == group:
            return True
    return False


def _is_nifti(head: bytes) -> bool:
    return head[344:348] in (b"n+1\0", b"ni1\0") or head[4:8] in (b"n+2\0", b"ni2\0")


def _unpacked(path: Path) -> bytes:
    """The first bytes of what a compressed file holds, or none."""
    try:
        with gzip.open(path) as file:
            return file.read(HEAD)
    except (OSError, EOFError, zlib.error):
        return b""
