"""Several sets as one, `busi:A+busis:B`."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Sequence

from ...errors import UserError
from ..files.pixels import Pixels
from ..images.card import DatasetCard
from ..images.image_set import ImageSet
from ..images.sample import Sample
from ..images.store import Decode


def split_spec(spec: str, names: Iterable[str]) -> list[str]:
    """The parts of a spec; a plus inside a path stays.

    Example:
        >>> split_spec("busi:a+b/c+busis:d", ["busi", "busis"])
        ['busi:a+b/c', 'busis:d']
    """
    return re.split(rf"\+(?=(?:{'|'.join(map(re.escape, names))})(?::|$))", spec)


@dataclasses.dataclass(frozen=True)
class CombinedDecode:
    """Decodes a sample of a combined set with the decoder of its part."""

    parts: tuple[tuple[str, Decode], ...]

    def __call__(self, sample: Sample) -> Pixels:
        prefix, _, image_id = sample.image_id.partition("/")
        return dict(self.parts)[prefix](dataclasses.replace(sample, image_id=image_id))


def combine(sets: Sequence[ImageSet]) -> ImageSet:
    """One set whose classes are joined by name; ids and groups start with the name of their part.

    The metadata column "source" tells the part. Parts of the same name get "-2", "-3".

    Errors: UserError when two parts share no class, for then the source gives the label away.
    """
    classes = list(dict.fromkeys(name for images in sets for name in images.classes))
    prefixes: list[str] = []
    samples: list[Sample] = []
    for images in sets:
        if not set(images.classes) & set(sets[0].classes):
            problem = f"{sets[0].name} ({', '.join(sets[0].classes)}) and {images.name} ({', '.join(images.classes)})"
            raise UserError("data.name", f"{problem} share no class", "rename classes with data.classes=new=old")
        count = sum(prefix.partition("-")[0] == images.name for prefix in prefixes)
        prefix = images.name if count == 0 else f"{images.name}-{count + 1}"
        prefixes.append(prefix)
        samples += [
            dataclasses.replace(
                sample,
                image_id=f"{prefix}/{sample.image_id}",
                group_id=f"{prefix}/{sample.group_id}",
                label=classes.index(images.classes[sample.label]),
                metadata=sample.metadata | {"source": prefix},
            )
            for sample in images.samples
        ]
    parts = tuple((prefix, images.decode) for prefix, images in zip(prefixes, sets, strict=True))
    name = "+".join(prefixes)
    positive = {images.card.positive_class for images in sets}
    card = DatasetCard(
        name=name,
        title="; ".join(images.card.title for images in sets),
        paper="; ".join(dict.fromkeys(images.card.paper for images in sets if images.card.paper)),
        license="; ".join(dict.fromkeys(images.card.license for images in sets if images.card.license)),
        classes=tuple(classes),
        positive_class=positive.pop() if len(positive) == 1 else None,
        group="; ".join(f"{images.name}: {images.card.group or 'none'}" for images in sets),
    )
    return ImageSet(name, classes, samples, card=card, decode=CombinedDecode(parts))
