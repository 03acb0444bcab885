"""medrobust: measure and harden the adversarial robustness of medical image classifiers.

    import medrobust as mr

    x_adv = mr.attacks.pgd()(net, x, y, mr.Threat("4/255"))              attack a tensor
    images = mr.ImageSet.of(x, y, classes=["benign", "malignant"])       tensors, a Dataset, a DataLoader
    records = mr.measure(net, images, ["pgd"], linf=["1/255", "4/255"])  rows: one per image, attack and budget
    run = mr.audit(net, images, out="audit")                             report.html, audit.json, records.parquet
    mr.compare("old", "new", "limits.yaml")                              paired differences, acceptance limits
    maps = mr.explain.saliency(net, x)                                   (n, *spatial): what decides
    mr.train(net, mr.objectives.trades(mr.Threat("4/255")), images, epochs=20, out="model")

Everything takes a plain torch.nn.Module. Names are loaded when they are first used: `import medrobust` alone loads no
torch. The command line, `medrobust --help`, is one user of this library.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .version import __version__

if TYPE_CHECKING:
    from . import attacks, explain, goals, losses, models, norms, objectives, testing
    from .data import Batch, ImageSet, View, open_images
    from .errors import UserError
    from .face import AuditRun, audit, measure, train
    from .findings import Finding
    from .models import Classifier, load_model
    from .records import Records
    from .threat import Threat
    from .using import Comparison, Predictions, compare, predict

_HOMES = {
    "AuditRun": "face",
    "Batch": "data",
    "Classifier": "models",
    "Comparison": "using",
    "Finding": "findings",
    "ImageSet": "data",
    "Predictions": "using",
    "Records": "records",
    "Threat": "threat",
    "UserError": "errors",
    "View": "data",
    "audit": "face",
    "compare": "using",
    "load_model": "models",
    "measure": "face",
    "open_images": "data",
    "predict": "using",
    "train": "face",
}
_MODULES = ("attacks", "explain", "goals", "losses", "models", "norms", "objectives", "testing")

__all__ = [
    "AuditRun",
    "Batch",
    "Classifier",
    "Comparison",
    "Finding",
    "ImageSet",
    "Predictions",
    "Records",
    "Threat",
    "UserError",
    "View",
    "__version__",
    "attacks",
    "audit",
    "compare",
    "explain",
    "goals",
    "load_model",
    "losses",
    "measure",
    "models",
    "norms",
    "objectives",
    "open_images",
    "predict",
    "testing",
    "train",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f".{name}", __name__)
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    return value


def __dir__() -> list[str]:
    return __all__
