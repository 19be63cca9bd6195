"""Tracking: what a study tells Weights & Biases. The same numbers always stand in the study's own CSV files."""

from .wandb_tracker import WandbTracker

__all__ = ["WandbTracker"]
