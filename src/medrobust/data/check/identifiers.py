"""Patient identifiers that are left in DICOM headers; only tags and counts are reported, never their values."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ...findings import Finding, Severity
from ..files.dicom import is_dicom
from ..images.image_set import ImageSet

# PS3.15 annex E lists what must go; these are the ones that name a person or lead to one
NAMES = ("PatientName", "OtherPatientNames", "PatientBirthName", "PatientMotherBirthName")
PERSON = (*NAMES, "PatientBirthDate", "PatientAddress", "PatientTelephoneNumbers", "OtherPatientIDs")
TRACE = (
    "PatientID", "AccessionNumber", "InstitutionName", "InstitutionAddress", "ReferringPhysicianName",
    "PerformingPhysicianName", "OperatorsName", "StudyDate", "PatientComments",
)  # fmt: skip
_EMPTY = re.compile(r"^[\W_]*$|anon|remov|de-?ident|unknown|none|^0+$|^x+$", re.IGNORECASE)
_NO_DATE = ("00010101", "19000101", "19700101", "20000101")


def identifiers(paths: Iterable[Path]) -> tuple[int, Counter[str], Counter[str], int]:
    """How many DICOM files there are, how many have each person tag and each tracing tag, how many burned-in text.

    A name counts when it has the form LAST^FIRST or two words, for a code in its place is what removal leaves. Tracing
    tags count where the header does not say PatientIdentityRemoved = YES, burned-in text where it says so.
    """
    person: Counter[str] = Counter()
    trace: Counter[str] = Counter()
    count = burned = 0
    for path in paths:
        header = _header(path)
        if header is None:
            continue
        count += 1
        person.update(tag for tag in PERSON if _names_a_person(tag, str(header.get(tag) or "")))
        if str(header.get("PatientIdentityRemoved") or "").upper() != "YES":
            trace.update(tag for tag in TRACE if not _EMPTY.search(str(header.get(tag) or "")))
        burned += str(header.get("BurnedInAnnotation") or "").upper() == "YES"
    return count, person, trace, burned


def _names_a_person(tag: str, value: str) -> bool:
    if _EMPTY.search(value):
        return False
    if tag in NAMES:
        return bool(re.search(r"[^\W\d_]{2,}[\^ ,]+[^\W\d_]{2,}", value))
    return not (tag == "PatientBirthDate" and value in _NO_DATE)


def _header(path: Path) -> Any:
    try:
        if not is_dicom(path):
            return None
        from pydicom import dcmread

        tags = [*PERSON, *TRACE, "PatientIdentityRemoved", "BurnedInAnnotation"]
        return dcmread(path, stop_before_pixels=True, specific_tags=tags)
    except Exception:  # a damaged file is a finding of its own
        return None


def dicom_identifiers(images: ImageSet) -> Finding:
    """Names, birth dates and other traces of patients in DICOM headers."""
    name, title = "data-dicom-identifiers", "Patient identifiers in DICOM headers"
    paths: list[Path] = list(dict.fromkeys(sample.path for sample in images.samples if sample.path is not None))
    count, person, trace, burned = identifiers(paths)
    if count == 0:
        advice = "Look for names in file names, and in the pictures themselves, before the images leave the hospital."
        return Finding(name, "not_run", title, "no DICOM files", advice)
    numbers = {"num_files": count, "person": dict(person), "trace": dict(trace), "burned_in": burned}
    parts = [f"{tag} in {number} of {count} files" for tag, number in (person + trace).most_common()]
    parts += [f"burned-in annotation in {burned}"] if burned else []
    severity: Severity = "fail" if person else "warn" if trace or burned else "pass"
    advice = "De-identify by DICOM PS3.15 before the images leave the hospital." if parts else ""
    evidence = "; ".join(parts) or f"none in {count} files"
    return Finding(name, severity, title, evidence, advice, numbers)
