"""medrobust: measure and harden the adversarial robustness of medical image classifiers."""

__version__ = "0.1.0"
