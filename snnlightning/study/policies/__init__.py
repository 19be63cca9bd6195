"""Policies: what a study tries next, how long it trains, and what the sampler hears of it. One policy, one file."""

from .abstract import AbstractPolicy
from .inherit import Inherit
from .plain import Plain
from .scratch import Scratch

__all__ = ["AbstractPolicy", "Inherit", "Plain", "Scratch"]
