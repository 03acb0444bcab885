"""Why each check matters, in plain words, and where that is written: for the report and audit.json."""

from __future__ import annotations

import dataclasses

from ...findings import Finding

# Finding id -> why it matters, and the reference; "" where it is arithmetic.
REASONS: dict[str, tuple[str, str]] = {
    "active-test": (
        "An attack that misses a weakness which is known to be there says nothing about those that are not known.",
        "Zimmermann et al. 2022, arXiv:2206.13991",
    ),
    "closed-form": ("Where the best change is known, an attack that stays short of it measures a smaller budget.", ""),
    "unbounded": (
        "If every pixel may become anything, every answer can be changed: what stands then shows a stuck attack.",
        "Athalye et al. 2018, arXiv:1802.00420",
    ),
    "convergence": (
        "Images that fall to a longer search were never robust; the number was too high.",
        "Carlini et al. 2019, arXiv:1902.06705",
    ),
    "black-box": (
        "Blind search cannot be better than search with gradients, unless the gradients mislead.",
        "Athalye et al. 2018, arXiv:1802.00420",
    ),
    "steps-help": (
        "Many small steps can do all that one large step does; if they do less, they are misled.",
        "Wong et al. 2020, arXiv:2001.03994",
    ),
    "monotone": (
        "What a small change can do, a larger allowance can do too: accuracy that rises again is the attack's failure.",
        "Carlini et al. 2019, arXiv:1902.06705",
    ),
    "last-point": (
        "A search walks through successes and out again; one who attacks would stop at the first.",
        "Pintor et al. 2022, arXiv:2106.09947",
    ),
    "inside-budget": ("A change above its budget would make the classifier look weaker than it is.", ""),
    "gradients": (
        "Most attacks follow a slope; where there is none they stand still, and the classifier looks robust.",
        "Carlini et al. 2019, arXiv:1902.06705",
    ),
    "differences": (
        "Attacks trust the slope: one that belongs to another function leads them nowhere.",
        "Athalye et al. 2018, arXiv:1802.00420",
    ),
    "inner-loop": (
        "A classifier that optimizes while it answers works against the search, which usual attacks are not made for.",
        "Croce et al. 2021, arXiv:2010.09670",
    ),
    "precision": ("Answers that rounding decides flip by themselves, without any attack.", ""),
    "input-range": ("A budget is a share of the range of a pixel: in another range it is another budget.", ""),
    "saturation": (
        "Probabilities of exactly 0 or 1 leave many attacks without a slope.",
        "Carlini & Wagner 2017, arXiv:1608.04644",
    ),
    "head": (
        "Scores that are computed back from rounded probabilities hide how near the classifier is to another answer.",
        "Carlini & Wagner 2017, arXiv:1608.04644",
    ),
    "own-input": ("A network that overwrites its image would change what the attack works on.", ""),
    "finite": ("An answer that is no number is no answer: such points count for nothing and may hide successes.", ""),
    "class-order": (
        "Outputs in another order than their names turn right answers into wrong ones, before any attack.",
        "Hanley & McNeil 1982, doi:10.1148/radiology.143.1.7063747",
    ),
    "normalization": ("A classifier that sees other numbers than in training is another classifier.", ""),
    "trained-on": (
        "Images that a model has learned from, or that chose its weights, say little of new patients.",
        "Kapoor & Narayanan 2023, doi:10.1016/j.patter.2023.100804",
    ),
    "sources": ("Where two sources say different things of one fact, one of them is wrong.", ""),
    "deterministic": (
        "If the answer changes from one look to the next, a single slope says little and a success may be luck.",
        "Athalye et al. 2018, arXiv:1802.00420",
    ),
    "batch-independent": (
        "A patient's answer must not depend on who else is in the batch.",
        "Ioffe & Szegedy 2015, arXiv:1502.03167",
    ),
    "answers-something": (
        "A constant answer cannot be changed by any attack, and helps nobody.",
        "Carlini et al. 2019, arXiv:1902.06705",
    ),
    "reach": (
        "Steps that end before the edge of the budget test a smaller one than is written.",
        "Croce & Hein 2020, arXiv:2003.01690",
    ),
    "largest-budget": (
        "A curve that does not come down says either that the budgets are small or that the attack is weak.",
        "Carlini et al. 2019, arXiv:1902.06705",
    ),
    "grey-level": ("A change below half a stored unit is gone when the image is saved.", "arXiv:1608.04644"),
    "enough-images": (
        "With few images chance alone moves the number by more than most models differ.",
        "Wilson 1927, doi:10.1080/01621459.1927.10502953",
    ),
    "broken-files": ("Files that are left out may be the difficult ones.", ""),
    "data-counts": ("What the numbers are about.", ""),
    "data-exact-duplicates": (
        "A picture that counts twice, or stands on both sides of a split, makes numbers look surer.",
        "",
    ),
    "data-near-duplicates": ("Nearly the same picture on both sides of a split is nearly a training image.", ""),
    "data-label-conflicts": ("Of two labels for one picture one is wrong, and so is one of the answers to it.", ""),
    "data-groups-known": (
        "Images of one patient are alike: counted as if they were not, intervals are too narrow.",
        "",
    ),
    "data-group-leakage": (
        "A patient on both sides of a split is recognized instead of diagnosed.",
        "Kapoor & Narayanan 2023, doi:10.1016/j.patter.2023.100804",
    ),
    "data-class-balance": ("Where one class is rare, accuracy says little about it.", ""),
    "data-shortcuts": (
        "If file size or brightness tells the label, so may the classifier, and it will fail elsewhere.",
        "Zech et al. 2018, doi:10.1371/journal.pmed.1002683",
    ),
    "data-dicom-identifiers": ("Names in headers travel with every copy of the images.", ""),
}


def with_reason(finding: Finding) -> Finding:
    """The finding with why it matters, where it does not say so itself.

    Example:
        >>> with_reason(Finding("reach", "pass", "Can it?", "it can")).reference
        'Croce & Hein 2020, arXiv:2003.01690'
    """
    if finding.why or finding.id not in REASONS:
        return finding
    why, reference = REASONS[finding.id]
    return dataclasses.replace(finding, why=why, reference=finding.reference or reference)
