"""Constraints: what the weights of a network may be; one file each, applied to a network or to one layer."""

from .abstract import AbstractConstraint, AbstractSparsity
from .dale import Dale
from .deep_r import DeepR
from .magnitude_pruning import MagnitudePruning
from .random_mask import RandomMask

__all__ = ["AbstractConstraint", "AbstractSparsity", "Dale", "DeepR", "MagnitudePruning", "RandomMask"]
