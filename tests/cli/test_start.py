"""What starting costs: `medrobust --help` and `import medrobust` load nothing heavy, an audit what it uses."""

import subprocess
import sys
from pathlib import Path

HEAVY = ("torch", "monai", "lightning_fabric", "matplotlib", "sklearn", "pandas", "pydantic")
# What is there for other models, other files and other commands than an audit of pictures by a network of our own.
UNUSED = {
    # sympy is not here: PyTorch imports it for a tensor of another class, as the bounds of a certificate are.
    *("torchvision", "timm", "monai", "onnx", "onnx2torch", "onnxruntime", "torch._dynamo", "torch._inductor"),
    *("scipy", "sklearn", "pandas", "matplotlib", "pyarrow.dataset", "pyarrow.compute", "networkx"),
    *("pydicom", "nibabel", "tifffile", "openpyxl", "medmnist", "rich", "lightning_fabric", "pytorch_lightning"),
    *("medrobust.training", "medrobust.objectives", "medrobust.testing"),
}


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


def test_an_audit_imports_nothing_it_does_not_use(images: Path, tmp_path: Path) -> None:
    words = ["audit", "--data", f"folder:{images}", "--out", str(tmp_path / "run")]
    words += [
        "attacks=[fgsm,pgd]",
        "threat.epsilons=[1/255,4/255]",
        "data.split=all",
        "data.image_size=32",
        "device=cpu",
    ]
    run = f"import sys\nsys.argv = ['medrobust', *{words}]\nfrom medrobust.cli import main\n"
    loaded = imported(f"{run}try:\n    main()\nexcept SystemExit as end:\n    assert not end.code")
    assert (tmp_path / "run" / "report.html").is_file()
    assert "pyarrow.parquet" in loaded
    assert not loaded & UNUSED - imported("import torch")
