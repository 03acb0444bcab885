"""Kinds of cases: each spoils a copy of valid files and gives the words of the command that is to cope with it."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fuzzing import spoil, valid

Words = list[str]
KEYS = [
    "attacks", "attacks.pgd.num_steps", "batch_size", "data.classes", "data.color", "data.fit", "data.image_size",
    "data.limit", "data.options.group", "data.splits", "data.window", "device", "memory_limit", "model.head",
    "model.mean", "num_workers", "precision", "protocol", "seed", "threat.epsilons",
]  # fmt: skip
QUICK = ["attacks=[fgsm]", "threat.epsilons=[4/255]", "data.split=all", "device=cpu"]


class Given(NamedTuple):
    """Random numbers, the folder of valid files, and the folder of the case, which is also the working directory."""

    rng: random.Random
    seeds: Path
    here: Path

    def copy(self, name: str, to: str = "") -> Path:
        """A valid file or folder, to be spoiled."""
        source, target = self.seeds / name, self.here / (to or name)
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copy(source, target)
        return target

    def use(self, data: str, *more: str, commands: str = "ccaat") -> Words:
        """Words of a command that reads this data: check, audit or train."""
        which = self.rng.choice(commands)
        if which == "c":
            return ["data", "check", data]
        if which == "a":
            if not (self.here / "model").exists():
                self.copy("model")
            return ["audit", "--model", "model", "--data", data, "--out", "out", *QUICK, *more]
        recipe = valid.write_yaml(self.here / "train.yaml", {**valid.TRAIN_RECIPE, "data": {"name": data, "seed": 1}})
        return ["train", recipe.name, "--out", "out", *more]


def _images(suffix: str) -> Callable[[Given], Words]:
    def case(given: Given) -> Words:
        folder = given.copy(f"images{suffix}", "images")
        for path in given.rng.sample(sorted(folder.rglob(f"*{suffix}")), given.rng.choice((1, 1, 3))):
            path.write_bytes(spoil.bytes_of(given.rng, path.read_bytes()))
        more = ["--skip-broken"] if given.rng.random() < 0.2 else []
        words = given.use("folder:images")
        return words + (more if words[0] == "audit" else [])

    return case


def names(given: Given) -> Words:
    """Files and classes with names that a terminal, a page or a table could take for something else."""
    folder = given.copy("images.png", "images")
    for path in given.rng.sample(sorted(folder.rglob("*.png")), 3):
        os.rename(path, path.parent / given.rng.choice(spoil.NAMES))
    if given.rng.random() < 0.4:
        name = given.rng.choice(spoil.NAMES).removesuffix(".png")
        os.rename(folder / "benign", folder / (name if name.strip(".") else "=+"))
    return given.use("folder:images", commands="caat")


def specials(given: Given) -> Words:
    """Links out of the folder, loops, pipes and devices in place of files."""
    folder = given.copy("images.png", "images")
    where = given.rng.choice(("benign/0.png", "malignant/3.png", "benign/all", "more", "benign/new.png"))
    spoil.special(folder / where, given.rng)
    return given.use("folder:images")


def bombs(given: Given) -> Words:
    """Files that are far larger when unpacked."""
    folder = given.copy("images.png", "images")
    kind = given.rng.choice(("png", "npz", "gz", "set", "yaml"))
    if kind == "yaml":
        given.copy("model")
        (given.here / "recipe.yaml").write_text(spoil.alias_bomb(given.rng))
        return ["audit", "--recipe", "recipe.yaml", "--out", "out"]
    if kind == "set":
        spoil.npz_bomb(given.here / "set.npz", given.rng.choice((1, 6)))
        return given.use("medmnist:set.npz")
    name = {"png": "0.png", "npz": "9.npz", "gz": "9.nii.gz"}[kind]
    {"png": spoil.picture_bomb, "npz": spoil.npz_bomb, "gz": spoil.gzip_bomb}[kind](folder / "benign" / name)
    return given.use("folder:images")


def npz_files(given: Given) -> Words:
    path = given.copy("set.npz")
    if given.rng.random() < 0.7:
        with np.load(path) as arrays:
            np.savez(path, **spoil.arrays_of(given.rng, dict(arrays)))
    else:
        path.write_bytes(spoil.bytes_of(given.rng, path.read_bytes()))
    return given.use("medmnist:set.npz")


def tables(given: Given) -> Words:
    folder = given.copy("table")
    path = folder / "table.csv"
    text = path.read_text()
    path.write_bytes(
        spoil.text_of(given.rng, text) if given.rng.random() < 0.8 else spoil.bytes_of(given.rng, text.encode())
    )
    return given.use("csv:table/table.csv")


def splits(given: Given) -> Words:
    folder = given.copy("splits")
    path = folder / "splits.csv"
    path.write_bytes(spoil.text_of(given.rng, path.read_text()))
    words = given.use("folder:splits/images", "data.splits=splits/splits.csv")
    return [*words, "--splits", "splits/splits.csv"] if words[0] == "data" else words


def recipes(given: Given) -> Words:
    given.copy("images.png", "images")
    given.copy("model")
    kind = given.rng.choice(("audit", "train"))
    content = valid.AUDIT_RECIPE if kind == "audit" else valid.TRAIN_RECIPE
    path = given.here / "recipe.yaml"
    if given.rng.random() < 0.6:
        path.write_bytes(spoil.json_of(given.rng, json.dumps(content, indent=1).encode()))
    else:
        path.write_bytes(spoil.text_of(given.rng, json.dumps(content, indent=1), ":"))
    return [kind, *(["--recipe"] if kind == "audit" else []), "recipe.yaml", "--out", "out"]


def overrides(given: Given) -> Words:
    """Keys and values on the command line."""
    given.copy("images.png", "images")
    given.copy("model")
    word = (
        f"{given.rng.choice(KEYS)}={given.rng.choice(spoil.NASTY)}".encode("utf-8", "replace")
        .decode()
        .replace("\x00", "")
    )
    return ["audit", "--model", "model", "--data", "folder:images", "--out", "out", *QUICK, word]


def weights(given: Given) -> Words:
    given.copy("images.png", "images")
    name = given.rng.choice(("net.safetensors", "net.pt", "lit.ckpt"))
    path = given.copy(f"weights/{name}", name)
    path.write_bytes(spoil.bytes_of(given.rng, path.read_bytes()))
    model = ["--model", valid.NETWORK, "--weights", name]
    return ["audit", *model, "--data", "folder:images", "--out", "out", *QUICK]


def onnx(given: Given) -> Words:
    given.copy("images.png", "images")
    path = given.copy("net.onnx")
    path.write_bytes(spoil.bytes_of(given.rng, path.read_bytes()))
    return ["audit", "--model", "net.onnx", "--data", "folder:images", "--out", "out", *QUICK, "data.color=grey"]


def cards(given: Given) -> Words:
    given.copy("images.png", "images")
    card = given.copy("model") / "card.json"
    card.write_bytes(spoil.json_of(given.rng, card.read_bytes()))
    return ["audit", "--model", "model", "--data", "folder:images", "--out", "out", *QUICK]


def records(given: Given) -> Words:
    """The files of a finished audit: a report is written again, or the audit is asked for again."""
    folder = given.copy("run", "out")
    name = given.rng.choice(
        ("audit.json", "audit.json", "images/gallery.json", "run.json", "records.parquet", "recipe.yaml")
    )
    path = folder / name
    if path.suffix == ".json":
        path.write_bytes(spoil.json_of(given.rng, path.read_bytes()))
    else:
        path.write_bytes(spoil.bytes_of(given.rng, path.read_bytes()))
    if name in ("run.json", "records.parquet") or given.rng.random() < 0.2:
        given.copy("images.png", "images")
        given.copy("model")
        return ["audit", "--model", "model", "--data", "folder:images", "--out", "out", *QUICK]
    return ["report", "out"]


KINDS: dict[str, Callable[[Given], Words]] = {
    **{f"images {suffix}": _images(suffix) for suffix in valid.WRITERS},
    "names": names,
    "links, pipes": specials,
    "bombs": bombs,
    "npz": npz_files,
    "tables": tables,
    "split tables": splits,
    "recipes": recipes,
    "overrides": overrides,
    "weights": weights,
    **({"onnx": onnx} if valid.HAS_ONNX else {}),
    "cards": cards,
    "records": records,
}
