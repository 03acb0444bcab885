"""Checks of what an attack sees of the classifier: gradients, saturation, the head, its input."""

from __future__ import annotations

from ...attacks.base import Attack
from ...findings import Finding
from ...models.heads import INVERTED
from ...records.records import Records
from ..context import Context

HALF = 0.5  # share of images whose probabilities may be exactly 1


def _on_gradients(attacks: dict[str, Attack]) -> list[str]:
    return [title for title, attack in attacks.items() if attack.abilities.needs == "gradients"]


def gradients(records: Records, context: Context) -> Finding:
    """Attacks that follow a gradient need one: where it is zero everywhere they stand still, and nothing is measured.

    Shattered gradients are in Athalye et al. 2018 (arXiv:1802.00420); zero ones in Carlini et al. 2019
    (arXiv:1902.06705).
    """
    title = "Does the classifier give gradients that an attack can follow?"
    facts, needing = context.look.facts, _on_gradients(dict(context.plan.attacks))
    if not needing:
        return Finding("gradients", "pass", title, "no attack of this run needs one")
    if facts.gradient != "yes":
        evidence = f"it gives none {facts.gradient_error}".strip()
        return Finding("gradients", "fail", title, evidence, "Use attacks=[square] or attacks=[hop_skip_jump].")
    evidence = (
        f"of the images looked at, {facts.zero_margin:.0%} have a gradient of zero in every pixel and "
        f"{facts.bad_gradient:.0%} one that is not finite"
    )
    bad = max(facts.zero_margin, facts.bad_gradient)
    if bad == 0:
        return Finding("gradients", "pass", title, evidence)
    advice = (
        f"{', '.join(needing)} cannot move such an image: what they leave standing is no robustness. Something in the "
        "network rounds or cuts off; attack it with square or hop_skip_jump, or the network before that layer."
    )
    return Finding("gradients", "fail" if bad >= HALF else "warn", title, evidence, advice)


def saturation(records: Records, context: Context) -> Finding:
    """Probabilities that are exactly 1 leave the cross-entropy without a slope.

    Such gradients vanish by rounding alone (Carlini & Wagner 2017, arXiv:1608.04644); the margin of the logits keeps
    its own.
    """
    title = "Are the probabilities away from exactly 0 and 1?"
    facts = context.look.facts
    evidence = f"{facts.saturated:.0%} of the images have a probability of exactly 1 in float32"
    evidence += f"; the largest margin of two logits is {facts.largest_margin:.3g}"
    stuck = facts.gradient == "yes" and facts.zero_cross_entropy > facts.zero_margin
    if stuck:
        evidence += "; the cross-entropy of some has no slope"
    if not stuck and facts.saturated < HALF:
        return Finding("saturation", "pass", title, evidence)
    advice = (
        "Use attacks on the margin of the logits: cw_linf, smallest, apgd_dlr. Those on the cross-entropy stand still."
    )
    return Finding("saturation", "warn", title, evidence, advice)


def head(records: Records, context: Context) -> Finding:
    """Logits are the network's own: computed back from probabilities, they end where those round to 0 or 1."""
    title = "Are the logits those of the network itself?"
    facts = context.look.facts
    evidence = f"the network returns {facts.kind.replace('_', '-')} from {facts.low:.3g} to {facts.high:.3g}"
    if not facts.inverted:
        return Finding("head", "pass", title, evidence)
    advice = "Let the network return its logits, or add attacks that need no gradient: square, hop_skip_jump."
    return Finding("head", "warn", title, f"{evidence}: {INVERTED}", advice)


def own_input(records: Records, context: Context) -> Finding:
    """A network may write into what it is given: it gets a copy, so that the image under attack stays as it is."""
    title = "Does the image stay as it is when the network looks at it?"
    if context.look.facts.writes_input:
        return Finding("own-input", "pass", title, "the network writes into its input, which is a copy of its own")
    return Finding("own-input", "pass", title, "the network does not write into its input")
