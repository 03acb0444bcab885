"""Recipes: YAML and key=value in, checked plain values out. The only file that knows pydantic and YAML."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .budgets import DEFAULT_EPSILONS, epsilons
from .errors import UserError, nearest

NormName = Literal["linf", "l2", "l1"]


class Section(BaseModel):
    """A part of a recipe; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", validate_default=True, protected_namespaces=())


class ModelSection(Section):
    """What to load; see `medrobust models ls`."""

    name: str = "default"
    weights: str | None = None
    mean: float | list[float] | None = None
    std: float | list[float] | None = None
    classes: list[str] | None = None
    head: Literal["auto", "softmax", "one_logit", "probabilities", "multi_label"] = "auto"


class DataSection(Section):
    """Which images, and how they are shown to the model."""

    name: str = "phantom"
    image_size: int | None = Field(default=None, ge=1, le=4096)
    color: Literal["rgb", "grey"] | None = None
    fit: Literal["resize", "pad", "crop"] | None = None
    split: Literal["auto", "train", "val", "test", "all"] = "auto"
    limit: int | None = Field(default=None, ge=1)
    classes: list[str] | None = None
    skip_broken: bool = False
    window: tuple[float, float] | None = None
    scale: Literal["source", "image", "set"] | None = None
    splits: str = "auto"
    cap: int | dict[str, int] | None = None
    balance: bool = False
    options: dict[str, Any] = {}


class ThreatSection(Section):
    """Budgets. `epsilons` is a list, or one text as geometric(1e-4, 2e-2, 20), or a mapping from norm to either."""

    norm: NormName | list[NormName] = "linf"
    epsilons: Any = None


class AuditRecipe(Section):
    """Everything that decides the numbers of an audit, and the few things that only decide its speed."""

    model: ModelSection = ModelSection()
    data: DataSection = DataSection()
    attacks: dict[str, dict[str, Any]] = {"fgsm": {}, "bim": {}, "pgd": {}, "cw_linf": {}}
    threat: ThreatSection = ThreatSection()
    protocol: Literal["honest", "paper"] = "honest"
    precision: Literal["fast", "float32"] = "fast"
    batch_size: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"
    memory_limit: float | None = Field(default=None, gt=0)
    seed: int = Field(default=0, ge=0)
    device: str = "auto"
    num_workers: int = Field(default=0, ge=0)

    def grids(self) -> dict[str, list[float]]:
        """Norm -> budgets, ascending."""
        names = [self.threat.norm] if isinstance(self.threat.norm, str) else list(self.threat.norm)
        given = self.threat.epsilons
        by_norm = given if isinstance(given, Mapping) else {}
        for key in by_norm:
            if key not in names:
                raise UserError(f"threat.epsilons.{key}", "not among threat.norm", nearest(str(key), names))
        out: dict[str, list[float]] = {}
        for name in names:
            value = by_norm.get(name) if by_norm else given
            out[name] = epsilons(DEFAULT_EPSILONS[name] if value is None else value, name)
        return out


def read_recipe(
    path: Path | str | None, overrides: Sequence[str] = (), options: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The mapping of a YAML file, with the options of the command and then its key=value overrides put in.

    Options (dotted key -> value) are taken as they are, and left out when None; the text of an override is read as
    YAML.

    Errors: UserError for a missing file, broken YAML (with the line), or an override without `=`.
    """
    content: Any = {}
    if path is not None:
        try:
            content = yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {}
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "is not text"
            raise UserError(str(path), f"cannot be read: {reason}") from error
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            line = f", line {mark.line + 1}" if mark else ""
            raise UserError(f"{path}{line}", f"is not YAML: {getattr(error, 'problem', error)}") from error
        if not isinstance(content, dict):
            raise UserError(str(path), "is not a mapping of keys to values")
    for key, value in (options or {}).items():
        if value is not None:
            put_key(content, key.split("."), value)
    for override in overrides:
        key, sign, text = override.partition("=")
        if not sign or not key:
            raise UserError(override, "is not key=value", "write for example batch_size=16")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise UserError(key, f"{text!r} cannot be read", "quote it as YAML") from error
        put_key(content, key.split("."), value)
    return content


def put_key(content: dict[str, Any], path: Sequence[str], value: Any) -> None:
    """Set content[a][b][c]; a list of attack names on the way becomes a mapping."""
    for i, key in enumerate(path[:-1]):
        inner = content.get(key)
        if isinstance(inner, list):
            inner = {str(name): {} for name in inner}
        elif isinstance(inner, str) and key in ("model", "data"):
            inner = {"name": inner}
        elif inner is None:
            inner = {path[i + 1]: {}} if key == "attacks" else {}
        if not isinstance(inner, dict):
            raise UserError(".".join(path), f"{'.'.join(path[: i + 1])} is a value, not a section")
        content[key] = inner
        content = inner
    content[path[-1]] = value


def audit_recipe(content: Mapping[str, Any]) -> AuditRecipe:
    """Check a mapping. Errors: UserError with the path of the key and the nearest valid name."""
    content = dict(content)
    given = content.get("attacks")
    if isinstance(given, str):
        given = [name.strip() for name in given.strip("[]").split(",")]
    if isinstance(given, list):
        content["attacks"] = {str(name): {} for name in given}
    elif isinstance(given, dict):
        content["attacks"] = {name: {} if value is None else value for name, value in given.items()}
    for section in ("model", "data"):
        if isinstance(content.get(section), str):
            content[section] = {"name": content[section]}
    return check(AuditRecipe, content)


def check(kind: type[Any], content: Mapping[str, Any]) -> Any:
    """The recipe `kind` of a mapping, with pydantic's first complaint said in our words."""
    try:
        return kind(**content)
    except ValidationError as error:
        raise _first_complaint(error, lambda path: _keys(kind, path)) from None


def _first_complaint(error: ValidationError, valid: Callable[[Sequence[str]], list[str]]) -> UserError:
    first = error.errors()[0]
    tags = ("list[", "literal[", "constrained", "function-", "tuple[")
    path = [str(part) for part in first["loc"] if not str(part).startswith(tags)]
    path = [part for part in path if part not in ("float", "int", "str")]
    place = ".".join(path) or "recipe"
    if first["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        return UserError(place, "unknown key", nearest(path[-1], valid(path[:-1])))
    message = first["msg"].replace("Input should be", "must be")
    return UserError(place, f"{first['input']!r}: {message}")


def _keys(kind: type[Any], path: Sequence[str]) -> list[str]:
    for part in path:
        field = kind.model_fields.get(part)
        candidates = [field.annotation, *get_args(field.annotation)] if field else []
        nested = [c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)]
        if not nested:
            break
        kind = nested[0]
    return list(kind.model_fields)


def dump(content: Mapping[str, Any]) -> str:
    """YAML of plain values, keys in order."""
    return str(yaml.safe_dump(dict(content), sort_keys=False, allow_unicode=True))


def train_spec(content: Mapping[str, Any]) -> Any:
    """The TrainRecipe of a mapping; in `objective` and `attack` every key but `name` is an option of theirs.

    Errors: UserError with the path of the key and the nearest valid name.
    """
    from dataclasses import fields, is_dataclass

    from pydantic import TypeAdapter

    from .training.recipe import PhaseSpec, TrainRecipe

    content = _with_sections(content, "")
    if isinstance(content.get("validation"), Mapping) and "attack" in content["validation"]:
        content["validation"] = {
            **content["validation"],
            "attack": _with_options(content["validation"]["attack"]),
        }
    if isinstance(content.get("phases"), list):
        content["phases"] = [
            _with_sections(phase, f"phases.{number}.") if isinstance(phase, Mapping) else phase
            for number, phase in enumerate(content["phases"])
        ]
    content = {name: value for name, value in content.items() if value is not None}

    def refuse_unknown(kind: Any) -> None:
        kind.__pydantic_config__ = ConfigDict(extra="forbid")
        for field in fields(kind):
            if is_dataclass(default := _default(field)):
                refuse_unknown(type(default))

    refuse_unknown(TrainRecipe)
    refuse_unknown(PhaseSpec)
    try:
        return TypeAdapter(TrainRecipe).validate_python(content)
    except ValidationError as error:
        raise _first_complaint(error, lambda path: _fields(TrainRecipe, path)) from None


def _with_sections(given: Mapping[str, Any], place: str) -> dict[str, Any]:
    """A recipe or a phase of it, with names written out as sections, and epsilon as a number."""
    from .attacks.build import number

    content = dict(given)
    for section in ("model", "data", "objective", "attack", "optimizer", "schedule"):
        if isinstance(content.get(section), str):
            content[section] = {"name": content[section]}
    for section in ("objective", "attack"):
        content[section] = _with_options(content.get(section))
    if isinstance(content.get("threat"), Mapping) and "epsilon" in content["threat"]:
        epsilon = number(content["threat"]["epsilon"], f"{place}threat.epsilon")
        norm = content["threat"].get("norm", "linf")
        epsilons([epsilon], norm if isinstance(norm, str) else "linf", f"{place}threat.epsilon")
        content["threat"] = {**content["threat"], "epsilon": epsilon}
    return content


def _with_options(given: Any) -> Any:
    if given is None:
        return None
    if isinstance(given, str):
        return {"name": given}
    if not isinstance(given, Mapping) or "options" in given:
        return given
    rest = {key: value for key, value in given.items() if key != "name"}
    return {**({"name": given["name"]} if "name" in given else {}), **({"options": rest} if rest else {})}


def _default(field: Any) -> Any:
    from dataclasses import MISSING

    return field.default_factory() if field.default_factory is not MISSING else field.default


def _fields(kind: Any, path: Sequence[str]) -> list[str]:
    from dataclasses import fields, is_dataclass

    from .training.recipe import PhaseSpec, TrainRecipe

    if kind is TrainRecipe and path and path[0] == "phases":
        kind, path = (PhaseSpec, path[2:]) if len(path) < 3 else (TrainRecipe, path[2:])
    for part in path:
        inner = {field.name: _default(field) for field in fields(kind)}.get(part)
        if not is_dataclass(inner):
            break
        kind = type(inner)
    return [field.name for field in fields(kind)]
