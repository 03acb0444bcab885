"""How commands end: one line and an exit code for each kind of failure, and a file that names nobody."""

from __future__ import annotations

import errno
import logging
import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

import medrobust as face
import medrobust.cli.faults as faults
from cli.run import refused, run
from medrobust.errors import UserError
from medrobust.faults import ElsewhereError, cleaned, described

PATIENT = "MUELLER^Hans"
COMMANDS = {
    "audit": ("medrobust.recipes.yaml.read_recipe", ("audit", "--data", f"folder:/data/{PATIENT}")),
    "train": ("medrobust.recipes.yaml.read_recipe", ("train", f"/data/{PATIENT}/recipe.yaml")),
    "report": ("medrobust.report.html.write_report", ("report", f"/data/{PATIENT}")),
    "models": ("medrobust.models.zoo.MODELS", ("models", "ls")),
    "data": ("medrobust.data.commands.check", ("data", "check", f"folder:/data/{PATIENT}")),
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def broken(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Make `data check` raise, from within medrobust."""
    monkeypatch.setattr("medrobust.data.commands.check", iter_raising(error))


class iter_raising:  # noqa: N801
    """Called like a function; raises in the frame of whoever calls, as C code does."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __call__(self, *args: object, **options: object) -> None:
        self.error.__traceback__ = None
        raise self.error


@pytest.mark.parametrize("name", COMMANDS)
def test_an_unexpected_exception_is_one_line_and_a_file(name, capsys, monkeypatch, here) -> None:
    place, words = COMMANDS[name]
    monkeypatch.setattr(place, None)  # calling it, or asking it for its items, is a fault
    code, out, err = run(capsys, *words)
    assert code == 70
    assert out == ""
    assert len(err.splitlines()) == 1
    assert err.startswith("medrobust: this is a fault of medrobust, not of your input: ")
    (file,) = here.glob("medrobust-fault-*.txt")
    assert f"details in {file.name}, please report it" in err
    said = file.read_text()
    assert f"medrobust/cli/{'data' if name == 'data' else 'main'}.py, line " in said
    assert "torch" in said.split("versions: ")[1].splitlines()[0]
    assert f"command: medrobust {words[0]} " in said
    assert "MUELLER" not in said
    assert "/data/" not in said
    assert str(Path(__file__).parents[2]) not in said


def test_debug_raises_wherever_it_stands(capsys, monkeypatch, here) -> None:
    monkeypatch.setattr("medrobust.data.commands.check", None)
    for words in (("--debug", "data", "check", "folder:x"), ("data", "check", "folder:x", "--debug")):
        with pytest.raises(TypeError):
            run(capsys, *words)
    assert not list(here.iterdir())


def test_a_folder_that_cannot_be_written_leaves_the_details_elsewhere(capsys, monkeypatch, here, tmp_path) -> None:
    monkeypatch.setattr("medrobust.data.commands.check", None)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.setattr(faults.tempfile, "gettempdir", lambda: str(elsewhere))
    monkeypatch.chdir("/proc")
    code, _, err = run(capsys, "data", "check", "folder:x")
    assert code == 70
    assert str(elsewhere) in err
    assert len(list(elsewhere.iterdir())) == 1


ENDS = {
    "disk full": (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "x.png"), 2, "x.png: No space left on device. Free"),
    "forbidden": (PermissionError(errno.EACCES, "Permission denied", "x.png"), 2, "x.png: Permission denied. Change"),
    "memory": (MemoryError("Unable to allocate 9 GiB"), 2, "memory does not suffice (MemoryError: Unable to allocate"),
    "memory of torch": (RuntimeError("DefaultCPUAllocator: can't allocate memory"), 2, "memory does not suffice"),
    "Ctrl-C": (KeyboardInterrupt(), 130, "medrobust: stopped.\n"),
}


@pytest.mark.parametrize("kind", ENDS)
def test_what_the_machine_lacks_is_said_as_it_is(kind, capsys, monkeypatch, here) -> None:
    error, wanted, text = ENDS[kind]
    broken(monkeypatch, error)
    code, _, err = run(capsys, "data", "check", "folder:x")
    assert code == wanted
    assert text in err
    assert len(err.splitlines()) == 1
    assert not list(here.iterdir())


def test_an_interrupt_of_what_can_go_on_says_so(capsys, monkeypatch, here) -> None:
    monkeypatch.setattr("medrobust.recipes.yaml.read_recipe", iter_raising(KeyboardInterrupt()))
    code, _, err = run(capsys, "audit")
    assert (code, err) == (130, "medrobust: stopped. The same command goes on where it stopped.\n")


def test_errors_of_a_users_own_code_are_not_called_ours(capsys, here, images, monkeypatch) -> None:
    (here / "my_nets.py").write_text("def net():\n    return {}['weights']\n")
    monkeypatch.syspath_prepend(here)
    line = refused(capsys, "audit", "--model", "my_nets:net", "--data", f"folder:{images}", "data.split=all")
    assert "fault of medrobust" not in line
    assert "weights" in line


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("audit", "--nosuch"), "No such option: --nosuch"),
        (("nosuch",), "No such command 'nosuch'"),
        (("train",), "See 'medrobust train --help'"),
        (("data", "split", "x", "y", "--folds", "many"), "'--folds'"),
        (("audit", "--threads", "-3"), "--threads: -3 is negative"),
        (("audit", "--workers", "-3", "--launcher", "processes"), "--workers: -3 is negative"),
        (("audit", "--launcher", "proceses"), "Did you mean 'processes'?"),
        (("audit", "--address", "ray://x"), "Add --launcher ray"),
    ],
)
def test_words_that_are_no_command_line_are_one_line(words, text, capsys, here) -> None:
    code, out, err = run(capsys, *words)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert err.startswith("medrobust: ")
    assert text in err


def medrobust(
    *words: str | Path, environment: Mapping[str, str] = MappingProxyType({}), **options: object
) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "medrobust", *map(str, words)]
    environment = os.environ | {"PYTHONPATH": str(Path(face.__file__).parents[1])} | environment
    return subprocess.run(command, timeout=120, check=False, env=environment, **options)  # type: ignore[call-overload, no-any-return]


def test_a_reader_that_goes_away_ends_it_quietly(here) -> None:
    read, write = os.pipe()
    os.close(read)
    done = medrobust("models", "ls", stdout=write, stderr=subprocess.PIPE)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, b"")


def test_names_that_a_terminal_cannot_show_are_escaped(images, here) -> None:
    os.rename(images / "benign" / "0.png", images / "benign" / "\u65e5\u672c\nB.png")
    (images / "malignant" / "\u65e5\u672c\nB.png").write_bytes((images / "benign" / "1.png").read_bytes())
    for encoding in ("latin-1", "utf-8"):
        environment = {"PYTHONIOENCODING": encoding}
        done = medrobust("data", "check", f"folder:{images}", capture_output=True, environment=environment)
        assert done.returncode == 0, done.stderr
        name = "\\u65e5\\u672c" if encoding == "latin-1" else "\u65e5\u672c"
        assert f"malignant/{name}" in done.stdout.decode(encoding)


def test_a_damaged_file_with_lines_in_its_name_is_one_line(images, here) -> None:
    (images / "benign" / "a\nb\x1b[2J.png").write_bytes(b"")
    done = medrobust("data", "check", f"folder:{images}", capture_output=True)
    assert done.returncode in (0, 2)
    assert b"\x1b" not in done.stdout + done.stderr


def test_a_refusal_is_one_line_of_signs_that_can_be_seen() -> None:
    error = UserError("a\nb\x1b[2J.png", "is \u202ebad\x00", "pip install pandas")
    assert str(error) == "a b\\x1b[2J.png: is \\u202ebad\\x00. pip install pandas"
    assert str(UserError("x", "is wrong", "data.color=grey fits")) == "x: is wrong. data.color=grey fits"
    assert str(UserError("x", "is wrong", "use another")) == "x: is wrong. Use another"
    assert len(str(UserError("n" * 100_000, "is wrong"))) < 2000
    assert str(UserError("l\udce9sion.png", "is broken")).encode() == b"l\\udce9sion.png: is broken."


def test_messages_lose_names_dates_and_cells() -> None:
    text = "no row for 'Eva Maier' (born 1961-02-03, id 20240101) in C:\\scans\\MAIER.dcm, Maier.png; shapes 3x4 and 10"
    said = cleaned(text, frozenset({"shapes"}))
    for secret in ("Eva", "aier", "1961", "20240101", "scans", "MAIER"):
        assert secret not in said
    assert "no row for <text " in said
    assert said.endswith("shapes 3x4 and 10")


def raised(fail: Callable[[], object]) -> BaseException:
    with pytest.raises(Exception) as caught:  # noqa: PT011
        fail()
    return caught.value


def test_what_happened_in_another_process_is_told() -> None:
    error = ElsewhereError("KeyError: 'x'", "  medrobust/training/fit.py, line 1, in fit")
    assert str(error) == "KeyError: 'x'"
    assert "medrobust/training/fit.py, line 1, in fit" in described(error)


def test_values_stay_out_of_the_details() -> None:
    said = described(raised(lambda: int("PATIENT_NAME")))
    assert "PATIENT_NAME" not in said
    assert "invalid literal for" in said


@pytest.mark.filterwarnings("default")
def test_warnings_of_ours_are_a_line_and_those_of_others_are_not_shown(capsys, here, monkeypatch) -> None:
    def warn(*args: object, **options: object) -> None:
        place = str(Path(faults.__file__).with_name("x.py"))
        warnings.warn_explicit("the patients\nstraddle", UserWarning, place, 1)
        warnings.warn_explicit("Corrupt EXIF data", UserWarning, "PIL/x.py", 1)
        logging.getLogger("nibabel.global").error("data code 0")
        raise UserError("x", "is wrong")

    monkeypatch.setattr("medrobust.data.commands.check", warn)
    code, _, err = run(capsys, "data", "check", "folder:x")
    assert (code, err) == (2, "warning: the patients straddle\nmedrobust: x: is wrong.\n")


UNREADABLE = {
    "seed: 2020-13-45": "month must be in 1..12",
    "seed: " + "[" * 5000: "nested too deeply",
    "seed: " + "9" * 5000: "is not YAML",
    "memory_limit: .inf": "memory_limit",
    "optimizer: {lr: .nan}": "optimizer.lr",
    "clip_norm: .inf": "clip_norm",
}


@pytest.mark.parametrize("text", UNREADABLE, ids=lambda text: text[:20])
def test_recipes_of_numbers_that_cannot_be(text: str, capsys, here) -> None:
    (here / "recipe.yaml").write_text(text)
    audit = "limit" in text
    words = ("audit", "--recipe", "recipe.yaml") if audit else ("train", "recipe.yaml")
    assert UNREADABLE[text] in refused(capsys, *words, "--out", here / "out")
    assert not (here / "out").exists()
