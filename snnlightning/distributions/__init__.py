"""Distributions: where the constants of a layer's neurons start, one number per neuron. One distribution, one file."""

from .abstract import AbstractDistribution
from .gamma import Gamma
from .log_uniform import LogUniform
from .normal import Normal
from .uniform import Uniform
from .uniform_decay import UniformDecay

__all__ = ["AbstractDistribution", "Gamma", "LogUniform", "Normal", "Uniform", "UniformDecay"]
