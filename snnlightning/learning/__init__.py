"""Credit assignment: which gradient the weights get. One rule, one file.

A training names its rule by one key, ``learning: bptt`` or ``learning: {rule: feedback_alignment, seed: 1}``.
"""

from .abstract import AbstractRule
from .bptt import BPTT
from .decolle import DECOLLE
from .direct_feedback_alignment import DirectFeedbackAlignment
from .eprop import EProp
from .eventprop import EventProp
from .feedback_alignment import FeedbackAlignment
from .local_errors import LocalErrors
from .mostafa import Mostafa
from .ottt import OTTT
from .rtrl import RTRL
from .sparse import SparseGradient
from .superspike import SuperSpikeRule
from .truncated_bptt import TruncatedBPTT

__all__ = [
    "BPTT",
    "DECOLLE",
    "OTTT",
    "RTRL",
    "AbstractRule",
    "DirectFeedbackAlignment",
    "EProp",
    "EventProp",
    "FeedbackAlignment",
    "LocalErrors",
    "Mostafa",
    "SparseGradient",
    "SuperSpikeRule",
    "TruncatedBPTT",
]
