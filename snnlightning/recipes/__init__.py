"""Recipes: a neuron, its constants and the weights it starts with, as a publication or its code has them. One recipe, one file."""

from .abstract import AbstractRecipe
from .baronig import Baronig
from .lsnn import LSNN
from .perez_nieves import PerezNieves
from .sparch import Sparch
from .spytorch import SpyTorch
from .stork import Stork
from .yin import Yin
from .zenke_vogels import ZenkeVogels

__all__ = [
    "LSNN",
    "AbstractRecipe",
    "Baronig",
    "PerezNieves",
    "Sparch",
    "SpyTorch",
    "Stork",
    "Yin",
    "ZenkeVogels",
]
