"""Credit assignment: which gradient the weights get. One rule, one file.

A training names its rule by one key, ``learning: bptt`` or ``learning: {rule: feedback_alignment, seed: 1}``.
"""

from .abstract import AbstractRule
from .bptt import BPTT
from .direct_feedback_alignment import DirectFeedbackAlignment
from .eprop import EProp
from .feedback_alignment import FeedbackAlignment
from .local_errors import LocalErrors
from .rtrl import RTRL
from .truncated_bptt import TruncatedBPTT

__all__ = [
    "BPTT",
    "RTRL",
    "AbstractRule",
    "DirectFeedbackAlignment",
    "EProp",
    "FeedbackAlignment",
    "LocalErrors",
    "TruncatedBPTT",
]
