"""Classifiers and set-ups that are broken, and the checks that must say so."""

from __future__ import annotations

import torch
from torch import nn

from medrobust.attacks import fgsm, pgd
from medrobust.models.classifier import Classifier

from .broken import (
    Broken,
    Constant,
    Keyed,
    Purifying,
    Rounded,
    Silent,
    Tiring,
    Unseen,
    Winners,
    audit_of,
    back,
    color_images,
    first_alone,
    images,
    in_batches,
    jpeg,
    marked,
    mostly_detached,
    of,
    on_l2,
    random_like,
    relabeled,
    replace_epsilon,
    same,
    small_numbers,
    stairs,
    twice,
    with_activations,
    with_attack,
)
from .case import REFUSED, Case, Made
from .nets import Around, phantom, trained

DEFECTS: list[Case] = [
    Case(
        "rounded activations",
        "layers round, gradients are zero",
        lambda: Made(with_activations(Rounded), images()),
        ("gradients", "active-test"),
    ),
    Case("jpeg inside", "a JPEG file on the way, no gradient", of(jpeg), (REFUSED,)),
    Case(
        "jpeg with a straight-through gradient",
        "the gradient of another function",
        of(back(same, jpeg)),
        ("differences",),
    ),
    Case("stairs", "steps of brightness with a misleading slope", of(stairs), ("differences",)),
    Case(
        "k-winner activations",
        "discontinuous everywhere",
        lambda: Made(with_activations(Winners), images()),
        ("differences",),
    ),
    Case(
        "gradient upside down",
        "the backward pass has the wrong sign",
        of(back(torch.neg)),
        ("differences", "active-test"),
    ),
    Case("gradient of noise", "the backward pass is random", of(back(random_like)), ("differences", "active-test")),
    Case("gradient of few pixels", "99 of 100 pixels are cut off", of(mostly_detached), ("black-box",)),
    Case("no gradient at all", "the network is detached", of(torch.detach), (REFUSED,)),
    Case(
        "zero gradient",
        "detached, with a zero that is attached",
        of(lambda x: x.detach() + 0 * x),
        ("gradients", "active-test"),
    ),
    Case("temperature", "logits times 100,000", of(behind=lambda z: 1e5 * z), ("saturation",)),
    Case("offset", "logits plus ten million", of(behind=lambda z: z + 1e7), ("precision",)),
    Case("probabilities as logits", "a softmax that cannot be seen", of(behind=Unseen.apply), ("head",)),
    Case(
        "noise at test time",
        "gaussian noise on every image",
        of(lambda x: x + 0.1 * torch.randn_like(x)),
        ("deterministic",),
    ),
    Case(
        "dropout at test time",
        "dropout whatever the mode",
        of(behind=None, before=lambda x: nn.functional.dropout(x, 0.2, training=True)),
        ("deterministic",),
    ),
    Case(
        "noise keyed by the image",
        "a random defense that repeats itself",
        lambda: Made(Keyed(), images()),
        ("differences", "active-test"),
    ),
    Case(
        "statistics of the batch",
        "batch normalization in training mode",
        lambda: Made(in_batches(), images()),
        ("batch-independent",),
    ),
    Case("state", "answers depend on how often it was asked", lambda: Made(Tiring(), images()), ("deterministic",)),
    Case("purification", "a gradient step inside the answer", lambda: Made(Purifying(), images()), ("inner-loop",)),
    Case("silence", "NaN beside the images", lambda: Made(Silent(), images()), ("finite",)),
    Case(
        "double normalization",
        "a network that takes pixels is given normalized ones",
        lambda: Made(
            Classifier(trained(), mean=[0.3], std=[0.15], classes=phantom("test").classes, channels=1),
            images(120),
            epsilons=(1 / 255,),
        ),
        ("normalization",),
    ),
    Case(
        "blue for red",
        "channels in the other order",
        lambda: Made(Around(trained("color"), lambda x: x.flip(1)), color_images()),
        ("normalization",),
    ),
    Case(
        "range of bytes",
        "the network wants 0 to 255",
        lambda: Made(Around(trained(), lambda x: x / 255), images(120), epsilons=(1 / 255,)),
        ("normalization",),
    ),
    Case(
        "a corner of the range",
        "pixels fill a fiftieth of the declared range",
        lambda: small_numbers(1 / 50),
        ("input-range",),
    ),
    Case("swapped classes", "outputs in the other order", of(behind=lambda z: z.flip(1)), ("class-order",)),
    Case("constant answer", "one class for every image", lambda: Made(Constant(), images()), ("answers-something",)),
    Case(
        "one class in the data",
        "no image of the other class",
        lambda: Made(trained(), relabeled(lambda y: 0)),
        ("answers-something",),
    ),
    Case("label leak", "a frame gives the class away", marked, ("data-shortcuts",)),
    Case("images twice", "duplicates with other labels", twice, ("data-exact-duplicates", "data-label-conflicts")),
    Case(
        "trained on the test",
        "images of the training part",
        audit_of("data.split=train", "data.limit=60", "attacks=quick", "threat.epsilons=1/255"),
        ("trained-on",),
    ),
    Case(
        "chosen on the test",
        "images that chose the epoch",
        audit_of("data.split=val", "data.limit=60", "attacks=quick", "threat.epsilons=1/255"),
        ("trained-on",),
    ),
    Case("few images", "twelve of them", lambda: Made(trained(), images(12)), ("enough-images",)),
    Case(
        "half of the way",
        "ten steps of a twentieth of the budget",
        with_attack(pgd=pgd(num_steps=10, relative_step_size=0.05, random_start=False)),
        ("reach", "closed-form", "active-test"),
    ),
    Case(
        "steps ten times too small",
        "twenty of an eightieth",
        with_attack(pgd=pgd(num_steps=20, relative_step_size=1 / 80, random_start=False)),
        ("reach", "closed-form", "active-test", "convergence"),
    ),
    Case(
        "one step alone",
        "FGSM where the network is curved",
        lambda: Made(trained("adversarial"), images(), {"fgsm": fgsm()}, (8 / 255, 24 / 255)),
        ("convergence",),
    ),
    Case(
        "projection onto another ball",
        "l2 where linf was asked",
        with_attack(own=Broken(on_l2)),
        ("closed-form", "active-test", "convergence"),
    ),
    Case(
        "budget divided twice",
        "epsilon in another unit",
        with_attack(own=Broken(lambda d, t: d, lambda t: replace_epsilon(t, 1 / 255))),
        ("closed-form", "active-test"),
    ),
    Case(
        "first image only",
        "the rest of the batch is left as it is",
        with_attack(own=Broken(first_alone)),
        ("closed-form", "active-test"),
    ),
    Case(
        "the other way",
        "a sign in the attack",
        with_attack(own=Broken(lambda d, t: -d)),
        ("closed-form", "active-test"),
    ),
    Case(
        "last point of a paper",
        "published counting",
        lambda: Made(trained(), images(), {"pgd": pgd()}, protocol="paper"),
        ("last-point",),
    ),
    Case(
        "budgets below float32",
        "a change that no pixel holds",
        lambda: Made(trained(), images(), epsilons=(1e-8, 1 / 255)),
        ("precision",),
    ),
]
