"""Firing: what stands in the place of the step with its surrogate: escape noise, a soft threshold. One thing, one file."""

from .abstract import AbstractEscape, AbstractFiring
from .exponential_escape import ExponentialEscape
from .sigmoid_escape import SigmoidEscape
from .soft_threshold import SoftThreshold

__all__ = ["AbstractEscape", "AbstractFiring", "ExponentialEscape", "SigmoidEscape", "SoftThreshold"]
