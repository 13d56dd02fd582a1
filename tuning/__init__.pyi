from .display import RatesDisplay
from .one_call import tune
from .result import TuningResult
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
