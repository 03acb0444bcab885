"""Named sets of attacks, per norm: plain data, title -> parameters as a recipe gives them, and who is in a choice.

standard: the default. One step, which no set should be weaker than at any budget; and a search for the smallest change,
then whole runs of APGD at the largest budget that it left standing.
quick: a first look. full: AutoAttack, minimal-norm and black-box attacks, for a number to publish.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import UserError
from ..numbers import FAMILIES

Members = Mapping[str, Mapping[str, Any]]

# Whole runs inside the largest budget that a search for the smallest change left standing.
BELOW: Mapping[str, Any] = {"name": "apgd", "loss": "margin", "num_steps": 40}
SMALLEST: Mapping[str, Any] = {**BELOW, "scout": {"name": "smallest_t", "num_steps": 40}}
# In l1, where the steps are sparse, runs that come from larger balls win more.
SMALLEST_L1: Mapping[str, Any] = {**SMALLEST, "name": "apgd_larger_first", "num_steps": 55}

SETS: dict[str, dict[str, Members]] = {
    "standard": {
        "linf": {"fgsm": {}, "smallest_apgd": SMALLEST},
        "l2": {"fgsm": {}, "smallest_apgd": SMALLEST},
        "l1": {"fgsm": {}, "smallest_apgd_l1": SMALLEST_L1},
    },
    "quick": {
        "linf": {"fgsm": {}, "smallest_t": {"num_steps": 20}},
        "l2": {"fgsm": {}, "smallest_t": {"num_steps": 20}},
        "l1": {"fgsm": {}, "smallest_t": {"num_steps": 20}},
    },
    "full": {
        "linf": {
            "autoattack": {},
            "smallest": {},
            "smallest_t": {},
            "fmn": {},
            "deepfool": {},
            "square": {},
            "hop_skip_jump": {},
        },
        "l2": {
            "autoattack": {},
            "smallest": {},
            "smallest_t": {},
            "fmn": {},
            "ddn": {},
            "cw_l2": {},
            "square": {},
            "hop_skip_jump": {},
        },
        "l1": {"autoattack": {}, "smallest": {}, "smallest_t": {}, "fmn": {}, "fab": {}, "square": {}},
    },
}


# A family of corruptions has one search, which tries all of it.
for _members in SETS.values():
    _members |= {family: {"worst_corruption": {}} for family in FAMILIES}


@dataclass(frozen=True)
class Chosen:
    """The attacks of a choice.

    Args:
        attacks: title -> parameters.
        norms: title -> the norms in which it runs, for those that came from a set; the others run in all.
        sets: the names of the sets.
    """

    attacks: dict[str, dict[str, Any]]
    norms: dict[str, tuple[str, ...]] = field(default_factory=dict)
    sets: tuple[str, ...] = ()


def choose(given: Members, norms: Iterable[str]) -> Chosen:
    """What a choice of attacks and sets means for these norms: a set stands for its members of each norm.

    An attack that is named beside a set runs as it is named, in every norm, or in those of its parameter `norms`.

    Errors: UserError for parameters of a set, two sets that give an attack other parameters, or norms that are not
        among these.

    Example:
        >>> chosen = choose({"standard": {}, "square": {}}, ["linf", "l1"])
        >>> list(chosen.attacks), chosen.norms["smallest_apgd_l1"], chosen.sets
        (['fgsm', 'smallest_apgd', 'smallest_apgd_l1', 'square'], ('l1',), ('standard',))
    """
    norms, attacks, where, sets = tuple(norms), dict[str, dict[str, Any]](), dict[str, tuple[str, ...]](), []
    for title, parameters in given.items():
        if title not in SETS or parameters.get("name", title) not in SETS:
            attacks[title] = {key: value for key, value in parameters.items() if key != "norms"}
            if "norms" in parameters:
                where[title] = _norms(title, parameters["norms"], norms)
            continue
        if set(parameters) - {"name"}:
            raise UserError(f"attacks.{title}", "a set has no parameters", "name the attack, as attacks.pgd.num_steps")
        sets.append(title)
        for norm in norms:
            for member, own in SETS[title][norm].items():
                if member in given and member not in SETS:
                    continue
                if attacks.setdefault(member, dict(own)) != own:
                    raise UserError("attacks", f"{' and '.join(sets)} both have {member}, with other parameters")
                where[member] = tuple(dict.fromkeys((*where.get(member, ()), norm)))
    return Chosen(attacks, where, tuple(sets))


def _norms(title: str, given: Any, norms: tuple[str, ...]) -> tuple[str, ...]:
    wanted = (given,) if isinstance(given, str) else given
    if not isinstance(wanted, (list, tuple)) or not wanted or any(name not in norms for name in wanted):
        raise UserError(f"attacks.{title}.norms", f"{given!r} is not among threat.norm", f"valid: {', '.join(norms)}")
    return tuple(str(name) for name in wanted)
