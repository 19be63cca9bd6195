"""Credit assignment: which gradient the weights get. One rule, one file.

A training names its rule by one key, ``learning: bptt`` or ``learning: {rule: feedback_alignment, seed: 1}``.
"""

from .abstract import AbstractRule
from .bptt import BPTT
from .direct_feedback_alignment import DirectFeedbackAlignment
from .feedback_alignment import FeedbackAlignment
from .local_errors import LocalErrors
from .truncated_bptt import TruncatedBPTT

__all__ = [
    "BPTT",
    "AbstractRule",
    "DirectFeedbackAlignment",
    "FeedbackAlignment",
    "LocalErrors",
    "TruncatedBPTT",
]
