"""The rows of a run sent to TensorBoard or MLflow as it goes; history.json holds the same numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..errors import UserError, nearest
from ..files import write_atomic

LOGGERS = ("none", "tensorboard", "mlflow")
FOLDER, RUN_ID = "logs", "mlflow-run"
Log = Callable[[Mapping[str, Any]], None]


def require_logger(name: str) -> None:
    """Refuse a logger that cannot be used. Errors: UserError when it is unknown or its package is not installed."""
    if name not in LOGGERS:
        raise UserError("logger", f"unknown logger {name!r}", nearest(name, LOGGERS))
    if name != "none" and find_spec(name) is None:
        raise UserError("logger", f"{name} is not installed", "pip install 'medrobust[loggers]', or logger=none")


def make_log(name: str, folder: Path) -> Log:
    """A function that takes the row of an epoch and sends its numbers, with the epoch as their step.

    A resumed run goes on in the same place: TensorBoard files are in folder/logs, and so is the id of the MLflow run,
    whose server is that of MLFLOW_TRACKING_URI.

    Example:
        >>> make_log("none", Path("runs/x"))({"epoch": 0, "accuracy": 0.5})
    """
    if name == "tensorboard":
        from lightning_fabric.loggers import TensorBoardLogger

        board = TensorBoardLogger(root_dir=folder, name="", version=FOLDER)

        def to_board(row: Mapping[str, Any]) -> None:
            board.log_metrics(numbers(row), step=int(row["epoch"]))
            board.save()

        return to_board
    if name == "mlflow":
        import mlflow

        kept = folder / FOLDER / RUN_ID

        def to_server(row: Mapping[str, Any]) -> None:
            known = kept.read_text(encoding="utf-8").strip() if kept.exists() else None
            with mlflow.start_run(run_id=known, run_name=None if known else folder.name) as run:
                if known is None:
                    kept.parent.mkdir(exist_ok=True)
                    write_atomic(kept, run.info.run_id)
                mlflow.log_metrics(numbers(row), step=int(row["epoch"]))

        return to_server
    return lambda row: None


def numbers(row: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of a row; lists, words and verdicts stay in history.json.

    Example:
        >>> numbers({"epoch": 3, "accuracy": 0.5, "best": True, "predicted": [0.5, 0.5]})
        {'accuracy': 0.5}
    """
    return {
        key: float(value)
        for key, value in row.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool) and key != "epoch"
    }
