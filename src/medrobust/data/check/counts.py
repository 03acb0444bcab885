"""How many images, of what kind, and how unequal the classes are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from ...findings import Finding
from ..images.image_set import ImageSet
from .facts import ImageFacts
from .shortcuts import MIN_PER_CLASS


def counts(images: ImageSet, facts: Sequence[ImageFacts]) -> Finding:
    """How many images, of what size and depth."""
    labels = Counter(images.classes[sample.label] for sample in images.samples)
    splits = Counter(sample.split for sample in images.samples if sample.split)
    shapes = Counter("x".join(map(str, fact.shape)) for fact in facts)
    colors, bits = Counter(fact.color for fact in facts), Counter(fact.bits for fact in facts)
    numbers = {
        "num_images": len(images),
        "num_groups": len(set(images.groups)),
        "classes": dict(labels),
        "splits": dict(splits),
        "sizes": dict(shapes.most_common(20)),
        "num_sizes": len(shapes),
        "colors": dict(colors),
        "bits": {str(depth): count for depth, count in bits.items()},
    }
    evidence = f"{len(images)} images in {len(set(images.groups))} groups; {_listed(labels)}"
    evidence += f"; {_listed(splits)}" if splits else ""
    evidence += f"; {_listed(Counter(dict(shapes.most_common(3))))}{' ...' if len(shapes) > 3 else ''}"
    mixed = [what for what, found in (("color modes", colors), ("bit depths", bits)) if len(found) > 1]
    evidence += f"; {_listed(colors)}; bits {', '.join(map(str, sorted(bits)))}"
    advice = f"Make sure that the {' and '.join(mixed)} do not follow the label." if mixed else ""
    return Finding("data-counts", "warn" if mixed else "pass", "Counts, sizes, bit depths", evidence, advice, numbers)


def corrupt(images: ImageSet, broken: Mapping[str, str]) -> Finding:
    """Files that cannot be decoded."""
    everything = dict(images.broken) | dict(broken)
    title, numbers = "Corrupt files", {"broken": everything}
    if not everything:
        return Finding("data-corrupt", "pass", title, f"all {len(images)} files decode", numbers=numbers)
    name, reason = next(iter(everything.items()))
    evidence = f"{len(everything)} cannot be read, the first is {name} ({reason})"
    return Finding("data-corrupt", "fail", title, evidence, "Repair or remove them.", numbers)


def balance(images: ImageSet) -> Finding:
    """How unequal the classes are."""
    found = Counter(images.classes[sample.label] for sample in images.samples)
    most, least = max(found.values()), min(found.get(name, 0) for name in images.classes)
    numbers = {"classes": dict(found), "ratio": most / max(least, 1)}
    evidence = f"{_listed(found)}; the largest is {most / max(least, 1):.1f} times the smallest"
    advice = ""
    if most > 10 * least:
        advice = "Report balanced accuracy and AUROC; balance while training (data.balance=true)."
    elif least < MIN_PER_CLASS:
        advice = f"A class has fewer than {MIN_PER_CLASS} images: expect wide intervals."
    return Finding("data-class-balance", "warn" if advice else "pass", "Class balance", evidence, advice, numbers)


def _listed(found: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(found.items(), key=lambda item: (-item[1], item[0])))
