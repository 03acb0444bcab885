"""What starting costs: `medrobust --help` and `import medrobust` load nothing heavy."""

import subprocess
import sys

HEAVY = ("torch", "monai", "lightning_fabric", "matplotlib", "sklearn", "pandas", "pydantic")


def imported(code: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys\nprint(*sys.modules)"], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_import_medrobust_loads_nothing_heavy() -> None:
    loaded = imported("import medrobust")
    assert "medrobust" in loaded
    assert not loaded & set(HEAVY) - {"torch"}


def test_import_of_attacks_costs_torch_and_no_more() -> None:
    assert not imported("import medrobust.attacks, medrobust.measuring, medrobust.auditing") & set(HEAVY) - {"torch"}


def test_help_loads_no_torch() -> None:
    run = "from medrobust.cli import main\ntry:\n    main()\nexcept SystemExit:\n    pass"
    loaded = imported(f"import sys\nsys.argv = ['medrobust', '--help']\n{run}")
    assert "medrobust.cli.main" in loaded
    assert not loaded & set(HEAVY)
