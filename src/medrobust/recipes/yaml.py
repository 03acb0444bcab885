"""YAML and key=value in, recipes out. The only file that knows pydantic and YAML."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

import yaml
from pydantic import ConfigDict, TypeAdapter, ValidationError

from ..errors import UserError, nearest
from ..numbers import parse_budgets, parse_number
from .audit import AuditRecipe
from .study import StudyRecipe
from .train import TrainRecipe

Recipe = TypeVar("Recipe", AuditRecipe, TrainRecipe, StudyRecipe)
# Sections that one word may stand for: `model: default` is `model: {name: default}`.
NAMED = ("model", "data", "objective", "attack", "optimizer", "schedule")
# Of a date or a number that cannot be, and of brackets without an end, too.
UNREADABLE = (yaml.YAMLError, ValueError, RecursionError)
MOST_VALUES = 1_000_000  # of a recipe, each alias counted as all that it stands for
_ADAPTERS: dict[type[Any], TypeAdapter[Any]] = {}
DEFAULT_MODEL = {AuditRecipe: "default", TrainRecipe: "zoo:cbr_tiny"}


def read_recipe(
    path: Path | str | None, overrides: Sequence[str] = (), options: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The mapping of a YAML file, with the options of the command and then its key=value overrides put in.

    Options (dotted key -> value) are taken as they are, and left out when None; the text of an override is read as
    YAML.

    Errors: UserError for a missing file, broken YAML (with the line), or an override without `=`.
    """
    content = {} if path is None else _read(Path(path))
    for key, value in (options or {}).items():
        if value is not None:
            put_key(content, key.split("."), value)
    for override in overrides:
        key, sign, text = override.partition("=")
        if not sign or not key:
            raise UserError(override, "is not key=value", "write for example batch_size=16")
        try:
            value = _loaded(text)
        except UNREADABLE as error:
            raise UserError(key, f"{text!r} cannot be read", "quote it as YAML") from error
        put_key(content, key.split("."), value)
    return content


def read_list(path: Path | str) -> Any:
    """The content of a YAML file that is no recipe. Errors: UserError for a missing file or broken YAML."""
    try:
        return _loaded(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(str(path), f"cannot be read: {error}") from error
    except UNREADABLE as error:
        raise UserError(str(path), "is not YAML that can be read") from error


def _loaded(text: str) -> Any:
    """The content of a YAML text. Aliases that stand for more than a recipe can hold are refused, as YAMLError."""
    content = yaml.safe_load(text)
    if _size(content, {}) > MOST_VALUES:
        raise yaml.YAMLError(f"its aliases stand for more than {MOST_VALUES:,} values, or for themselves")
    return content


def _size(node: Any, known: dict[int, float]) -> float:
    """Values of a tree whose parts may be shared; infinite where a part holds itself."""
    if not isinstance(node, (dict, list)):
        return 1
    if id(node) not in known:
        known[id(node)] = math.inf  # until it is known
        parts = [*node, *node.values()] if isinstance(node, dict) else node
        known[id(node)] = 1 + sum(_size(part, known) for part in parts)
    return known[id(node)]


def _read(path: Path) -> dict[str, Any]:
    try:
        content: Any = _loaded(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError) as error:  # the latter is a ValueError too
        reason = getattr(error, "strerror", None) or "is not text"
        raise UserError(str(path), f"cannot be read: {reason}") from error
    except UNREADABLE as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        deep = "nested too deeply" if isinstance(error, RecursionError) else error
        raise UserError(f"{path}{line}", f"is not YAML: {getattr(error, 'problem', deep)}") from error
    if not isinstance(content, dict):
        raise UserError(str(path), "is not a mapping of keys to values")
    return content


def put_key(content: dict[str, Any], path: Sequence[str], value: Any) -> None:
    """Set content[a][b][c]; a list of attack names on the way becomes a mapping."""
    for i, key in enumerate(path[:-1]):
        inner = content.get(key)
        if isinstance(inner, list):
            inner = {str(name): {} for name in inner}
        elif isinstance(inner, str) and key in NAMED:
            inner = {"name": inner}
        elif inner is None:
            inner = {path[i + 1]: {}} if key == "attacks" else {}
        if not isinstance(inner, dict):
            raise UserError(".".join(path), f"{'.'.join(path[: i + 1])} is a value, not a section")
        content[key] = inner
        content = inner
    content[path[-1]] = value


def audit_recipe(content: Mapping[str, Any]) -> AuditRecipe:
    """The AuditRecipe of a mapping. Errors: UserError with the path of the key and the nearest valid name."""
    content = dict(content)
    given = content.get("attacks")
    if isinstance(given, str):
        given = [name.strip() for name in given.strip("[]").split(",")]
    if isinstance(given, list):
        content["attacks"] = {str(name): {} for name in given}
    elif isinstance(given, dict):
        content["attacks"] = {name: {} if value is None else value for name, value in given.items()}
    for key in ("certify", "explain"):
        if isinstance(content.get(key), bool):
            content[key] = "on" if content[key] else "off"  # words that YAML takes for truth values
    faults = content.get("corruptions")
    if faults is False or faults == "off":
        content["corruptions"] = []
    elif isinstance(faults, str):
        content["corruptions"] = [name.strip() for name in faults.strip("[]").split(",")]
    recipe = _checked(AuditRecipe, _sections(content))
    recipe.threat.grids()
    return recipe


def train_recipe(content: Mapping[str, Any]) -> TrainRecipe:
    """The TrainRecipe of a mapping; in `objective` and `attack` every key but `name` is an option of theirs.

    Errors: UserError with the path of the key and the nearest valid name.
    """
    content = _sections(_with_budget(content, ""))
    validation = content.get("validation")
    if isinstance(validation, Mapping) and "attack" in validation:
        content["validation"] = {**validation, "attack": _with_options(validation["attack"])}
    phases = content.get("phases")
    if isinstance(phases, list):
        content["phases"] = [
            _sections(_with_budget(phase, f"phases.{number}.")) if isinstance(phase, Mapping) else phase
            for number, phase in enumerate(phases)
        ]
    return _checked(TrainRecipe, content)


def study_recipe(content: Mapping[str, Any]) -> StudyRecipe:
    """The StudyRecipe of a mapping; names of values may be written as numbers, and a value that changes nothing empty.

    Errors: UserError with the path of the key and the nearest valid name.
    """
    return _checked(StudyRecipe, _with_axes({key: value for key, value in content.items() if value is not None}))


def _with_axes(content: dict[str, Any]) -> dict[str, Any]:
    for key in ("axes", "protocols"):
        if isinstance(given := content.get(key), Mapping):
            content[key] = _named({key: _named(value) for key, value in given.items()} if key == "axes" else given)
    if isinstance(profiles := content.get("profiles"), Mapping):
        content["profiles"] = {
            name: _with_axes(dict(value)) if isinstance(value, Mapping) else {} if value is None else value
            for name, value in profiles.items()
        }
    return content


def _named(given: Any) -> Any:
    """Keys as text, and nothing as what changes nothing."""
    if not isinstance(given, Mapping):
        return given
    return {str(key): {} if value is None else value for key, value in given.items()}


def from_plain(kind: type[Recipe], content: Mapping[str, Any]) -> Recipe:
    """The recipe that `recipes.plain.as_dict` gave as plain data. Errors: UserError for what is none."""
    return _valid(kind, dict(content))


def dump(recipe: AuditRecipe | TrainRecipe) -> str:
    """YAML of a recipe, keys in order."""
    return str(yaml.safe_dump(_plain(dataclasses.asdict(recipe)), sort_keys=False, allow_unicode=True))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def _sections(content: Mapping[str, Any]) -> dict[str, Any]:
    """Names written out as sections, the options of objective and attack gathered, empty values left out."""
    found: dict[str, Any] = {}
    for key, value in content.items():
        found[key] = {"name": value} if key in NAMED and isinstance(value, str) else value
    for key in ("objective", "attack"):
        found[key] = _with_options(found.get(key))
    return {key: value for key, value in found.items() if value is not None}


def _with_options(given: Any) -> Any:
    if isinstance(given, str):
        return {"name": given}
    if not isinstance(given, Mapping) or "options" in given:
        return given
    rest = {key: value for key, value in given.items() if key != "name"}
    return {**({"name": given["name"]} if "name" in given else {}), **({"options": rest} if rest else {})}


def _with_budget(content: Mapping[str, Any], place: str) -> Mapping[str, Any]:
    """threat.epsilon as a number, refused here, where its place in the recipe is known."""
    threat = content.get("threat")
    if not isinstance(threat, Mapping) or "epsilon" not in threat:
        return content
    epsilon = parse_number(threat["epsilon"], f"{place}threat.epsilon")
    norm = threat.get("norm", "linf")
    parse_budgets([epsilon], norm if isinstance(norm, str) else "linf", f"{place}threat.epsilon")
    return {**content, "threat": {**threat, "epsilon": epsilon}}


def _checked(kind: type[Recipe], content: dict[str, Any]) -> Recipe:
    """The recipe of a mapping, with pydantic's first complaint said in our words."""
    _refuse_foreign(kind, content)
    model = content.get("model")
    if isinstance(model, Mapping) and "name" not in model:
        content = {**content, "model": {"name": DEFAULT_MODEL[kind], **model}}
    return _valid(kind, content)


def _valid(kind: type[Recipe], content: dict[str, Any]) -> Recipe:
    try:
        found: Recipe = _adapter(kind).validate_python(content)
    except ValidationError as error:
        raise _first_complaint(error, kind) from None
    return found


def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    """Made once: a study resolves a recipe for each of its places."""
    if kind not in _ADAPTERS:
        for part in _dataclasses(kind):
            part.__pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)
        _ADAPTERS[kind] = TypeAdapter(kind)
    return _ADAPTERS[kind]


def _refuse_foreign(kind: type[Any], content: Mapping[str, Any]) -> None:
    for key, instead in kind.FOREIGN.items():
        section, _, name = key.partition(".")
        if isinstance(given := content.get(section), Mapping) and name in given:
            raise UserError(key, f"has no meaning in {kind.WHAT}", instead)


def _first_complaint(error: ValidationError, kind: type[Any]) -> UserError:
    first = error.errors()[0]
    tags = ("list[", "literal[", "constrained", "function-", "tuple[", "dict[")
    path = [str(part) for part in first["loc"] if not str(part).startswith(tags)]
    path = [part for part in path if part not in ("float", "int", "str", "bool")]
    place = ".".join(path) or "recipe"
    if first["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        return UserError(place, "unknown key", nearest(path[-1], _keys(kind, path[:-1])))
    message = first["msg"].replace("Input should be", "must be")
    return UserError(place, f"{first['input']!r}: {message}")


def _nested(hint: Any) -> Iterator[type[Any]]:
    """The dataclasses in a type: ModelSpec of `ModelSpec | None`, PhaseSpec of `tuple[PhaseSpec, ...]`."""
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        yield hint
    for inner in get_args(hint):
        yield from _nested(inner)


def _dataclasses(kind: type[Any]) -> Iterator[Any]:
    yield kind
    for field in dataclasses.fields(kind):
        for inner in _nested(get_type_hints(kind)[field.name]):
            yield from _dataclasses(inner)


def _keys(kind: type[Any], path: Sequence[str]) -> list[str]:
    """The keys that are valid at a place of a recipe; the place may hold positions of lists."""
    for part in path:
        inner = next(_nested(get_type_hints(kind).get(part)), None) if not part.isdecimal() else kind
        if inner is None:
            break
        kind = inner
    return [field.name for field in dataclasses.fields(kind)]
