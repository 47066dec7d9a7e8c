"""Accuracy, robustness, deployment, sweeps, studies and exploration."""
