"""Do two trees of the source give bit-equal records and weights? `python scripts/same_numbers.py OLD [NEW]`.

Three recipes on the bundled images: the default audit; linf and l2 with apgd, fab, smallest and square; a training run.
A tree is a checkout (`git worktree add FOLDER COMMIT`); NEW is this one by default. Results stay in OLD/runs/same and
NEW/runs/same, so that a tree is run once. Exit code 1 when a column of an attack, or a weight, differs.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
from safetensors.numpy import load_file

HERE = Path(__file__).resolve().parent.parent
SOME = ("data.limit=60", "device=cpu", "batch_size=32")
RECIPES: dict[str, tuple[str, ...]] = {
    "default": ("audit", "device=cpu", "batch_size=32"),
    "many": (
        "audit",
        *SOME,
        "attacks=[apgd,fab,smallest,square]",
        "attacks.apgd.num_steps=20",
        "attacks.fab.num_steps=20",
        "attacks.square.num_queries=200",
        "threat.norm=[linf,l2]",
        "threat.epsilons.linf=[1/255,2/255,4/255]",
        "threat.epsilons.l2=[0.1,0.3,1]",
    ),
    "train": ("train", "RECIPE", "device=cpu"),
}
TRAINED = """
data: {name: phantom, image_size: 32, limit: 200}
model: {name: "zoo:cbr_tiny(width=4)"}
objective: {name: trades, beta: 3}
threat: {epsilon: 2/255}
average: {kind: ema}
epochs: 2
"""


def run(tree: Path, name: str) -> Path:
    """The folder of a recipe's run in a tree, made now or before."""
    out = tree / "runs" / "same" / name
    if (out / "report.html").exists() or (out / "card.json").exists():
        return out
    recipe = tree / "runs" / "same.yaml"
    recipe.parent.mkdir(exist_ok=True)
    recipe.write_text(TRAINED)
    words = [str(recipe) if word == "RECIPE" else word for word in RECIPES[name]]
    code = "import sys; from medrobust.cli import main; sys.argv[0] = 'medrobust'; main()"
    environment = os.environ | {"PYTHONPATH": str(tree / "src"), "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", code, *words, "--out", str(out)], cwd=tree, env=environment, check=True)
    return out


def differences(old: Path, new: Path) -> dict[str, list[str]]:
    """Attack (or weights file) -> the columns that differ, none when they are bit-equal."""
    if (old / "records.parquet").exists():
        tables = [pq.read_table(folder / "records.parquet") for folder in (old, new)]
        found: dict[str, list[str]] = {}
        for attack in tables[0]["attack"].unique().to_pylist():
            a, b = (table.filter(pc.equal(table["attack"], attack)) for table in tables)
            shared = [name for name in a.column_names if name in b.column_names]
            found[attack] = [name for name in shared if not a[name].combine_chunks().equals(b[name].combine_chunks())]
        return found
    weights = [load_file(folder / "model.safetensors") for folder in (old, new)]
    return {"weights": [k for k in weights[0] if weights[0][k].tobytes() != weights[1][k].tobytes()]}


def main(old: Path, new: Path) -> int:
    bad = 0
    for name in RECIPES:
        for part, columns in differences(run(old, name), run(new, name)).items():
            bad += bool(columns)
            print(f"{name:8} {part:10} {'equal' if not columns else 'differs in ' + ', '.join(columns)}", flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve() if len(sys.argv) > 2 else HERE))
