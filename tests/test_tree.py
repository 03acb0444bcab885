"""The shape of the source tree: no cycles, no ghosts, small files, and imports that cost what they must."""

from __future__ import annotations

import ast
import importlib
import pydoc
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import medrobust

SOURCE = Path(medrobust.__file__).parent
PROJECT = SOURCE.parents[1]


def module_name(path: Path) -> str:
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES: dict[str, Path] = {module_name(path): path for path in sorted(SOURCE.rglob("*.py"))}
PACKAGES = {name for name, path in MODULES.items() if path.name == "__init__.py"}


def at_run_time(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes, those inside functions too, but for what only a type checker sees."""
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            continue
        yield child
        yield from at_run_time(child)


def imported(name: str, source: str) -> set[str]:
    """The modules of MODULES that a module names in its imports."""
    package = name if name in PACKAGES else name.rpartition(".")[0]
    found: set[str] = set()
    for node in at_run_time(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            inner = {f"{base}.{alias.name}" for alias in node.names}
            found |= {one for one in inner if one in MODULES} or {base}
            if node.module and not inner <= MODULES.keys():
                found.add(base)
    return (found & MODULES.keys()) - {name}


def cycle(graph: dict[str, set[str]]) -> list[str]:
    """A way from a module back to itself; empty where there is none."""
    done: set[str] = set()
    for start in graph:
        way: list[str] = []
        stack: list[tuple[str, Iterator[str]]] = [] if start in done else [(start, iter(sorted(graph[start])))]
        way = [start] if stack else []
        while stack:
            following = next(stack[-1][1], None)
            if following is None:
                done.add(stack.pop()[0])
                way.pop()
            elif following in way:
                return [*way[way.index(following) :], following]
            elif following not in done:
                stack.append((following, iter(sorted(graph[following]))))
                way.append(following)
    return []


def test_cycles_are_found() -> None:
    assert cycle({"a": {"b"}, "b": {"c"}, "c": set()}) == []
    assert cycle({"a": {"b", "c"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert cycle({"a": {"a"}}) == ["a", "a"]


def test_imports_are_seen_wherever_they_stand() -> None:
    source = (
        "from ..norms import L2\nfrom . import build\ndef f():\n    from ..data.open import DATASETS\n"
        "if TYPE_CHECKING:\n    from ..report import write_report\nimport medrobust.files as f\n"
    )
    assert imported("medrobust.attacks.pgd", source) == {
        "medrobust.norms",
        "medrobust.attacks.build",
        "medrobust.data.open",
        "medrobust.files",
    }
    assert imported("medrobust.attacks", "from .pgd import pgd\nfrom ..engine import keep") == {
        "medrobust.attacks.pgd",
        "medrobust.engine.keep",
    }


def test_no_module_imports_itself_by_a_detour() -> None:
    graph = {name: imported(name, path.read_text()) for name, path in MODULES.items()}
    assert sum(map(len, graph.values())) > len(MODULES)
    found = cycle(graph)
    assert not found, " -> ".join(found)


def allowed_in_init(node: ast.stmt) -> bool:
    """A docstring, an import, or names for names."""
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    if isinstance(node, ast.Assign):
        values = [node.value] if isinstance(node.value, ast.Name) else getattr(node.value, "elts", [])
        names = all(isinstance(one, (ast.Name, ast.Constant)) for one in values)
        return bool(values) and names
    return isinstance(node, (ast.Import, ast.ImportFrom))


@pytest.mark.parametrize("name", sorted(PACKAGES - {"medrobust"}))
def test_packages_only_hand_names_on(name: str) -> None:
    body = ast.parse(MODULES[name].read_text()).body
    wrong = [node.lineno for node in body if not allowed_in_init(node)]
    assert not wrong, f"{MODULES[name]}: line {wrong[0]} does something" if wrong else ""
    assert ast.get_docstring(ast.parse(MODULES[name].read_text())), f"{name} says nothing about itself"


def contracts() -> list[dict[str, Any]]:
    tomllib = pytest.importorskip("tomllib")
    return tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]


def layers() -> dict[str, list[str]]:
    """Container -> the full names of its layers."""
    found = {}
    for contract in contracts():
        for container in contract.get("containers", ()):
            words = [word for layer in contract["layers"] for word in layer.replace("|", " ").replace(":", " ").split()]
            found[container] = [f"{container}.{word}" for word in words]
    return found


def test_no_layer_is_a_ghost() -> None:
    for container, names in layers().items():
        assert len(names) > 5, container
        assert not [name for name in names if name not in MODULES]
    for contract in contracts():
        assert not [name for name in contract.get("source_modules", ()) if name not in MODULES]


def test_every_module_is_on_a_floor() -> None:
    for container, names in layers().items():
        inside = [name for name in MODULES if name.startswith(f"{container}.")]
        bare = [name for name in inside if not any(f"{name}.".startswith(f"{layer}.") for layer in names)]
        # A package whose modules are on floors of their own has nothing to say itself.
        bare = [name for name in bare if not any(layer.startswith(f"{name}.") for layer in names)]
        assert not bare, f"no layer of pyproject.toml names {bare[0]}" if bare else ""


def test_files_are_small() -> None:
    lengths = {path: len(path.read_text().splitlines()) for path in MODULES.values()}
    tests = {path: len(path.read_text().splitlines()) for path in (PROJECT / "tests").rglob("*.py")}
    long = {path.name: length for path, length in (lengths | tests).items() if length > 300}
    assert not long, long
    assert statistics.median(lengths.values()) <= 110


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def loaded(*modules: str) -> set[str]:
    """What is loaded after importing these modules in a process of its own."""
    return set(python(f"import {', '.join(modules)}\nimport sys\nprint(*sys.modules)").split())


def test_import_is_cheap_and_loads_no_torch() -> None:
    code = "import time, sys\nbegan = time.process_time()\nimport medrobust\nprint(time.process_time() - began)\n"
    runs = [python(code + "print('torch' in sys.modules)").split() for _ in range(3)]
    assert {run[1] for run in runs} == {"False"}
    # A tenth of a second, and room for a machine that does other things.
    assert min(float(run[0]) for run in runs) < 0.3


def modules_of(package: str) -> list[str]:
    return [name for name in MODULES if name == package or name.startswith(f"{package}.")]


def test_records_load_no_torch() -> None:
    names = modules_of("medrobust.records")
    assert len(names) > 8
    assert "torch" not in loaded(*names)


def test_measuring_knows_nothing_of_reports() -> None:
    found = loaded(*modules_of("medrobust.measuring"))
    assert "torch" in found
    assert not [name for name in found if name.startswith(("medrobust.report", "medrobust.auditing", "jinja2"))]


def test_help_of_the_command_loads_no_torch() -> None:
    run = "import sys\nsys.argv = ['medrobust', '--help']\nfrom medrobust.cli import main\n"
    said = python(f"{run}try:\n    main()\nexcept SystemExit:\n    print('torch' in sys.modules)")
    assert "audit" in said
    assert said.split()[-1] == "False"


@pytest.mark.parametrize("name", medrobust.__all__)
def test_every_public_name_resolves(name: str) -> None:
    assert getattr(medrobust, name) is not None
    assert name in dir(medrobust)


def test_public_names_are_sorted_documented_and_in_help() -> None:
    assert sorted(medrobust.__all__) == sorted(set(medrobust.__all__))
    text = pydoc.plain(pydoc.render_doc(medrobust))
    words = set(text.replace("(", " ").replace(",", " ").replace("=", " ").split())
    # help() writes the version under a heading of its own.
    missing = [name for name in medrobust.__all__ if name not in words and name != "__version__"]
    assert medrobust.__version__ in words
    assert not missing
    for name in medrobust.__all__:
        assert name == "__version__" or getattr(medrobust, name).__doc__, f"{name} says nothing about itself"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'medrobust' has no attribute 'atacks'"):
        medrobust.atacks  # noqa: B018


@pytest.mark.parametrize("name", sorted(PACKAGES - {"medrobust"}))
def test_names_of_packages_resolve(name: str) -> None:
    module = importlib.import_module(name)
    for public in getattr(module, "__all__", ()):
        assert hasattr(module, public), f"{name}.{public}"
