from .display import RatesDisplay
from .result import TuningResult
from .search import tune
from .space import DropoutHyperModel, SearchSpace, search_space
from .tuner import DropoutTuner

__all__ = [
    "DropoutHyperModel",
    "DropoutTuner",
    "RatesDisplay",
    "SearchSpace",
    "TuningResult",
    "search_space",
    "tune",
]
