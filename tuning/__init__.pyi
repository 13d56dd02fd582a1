from .results.rates_display import RatesDisplay
from .results.result import TuningResult
from .space import DropoutHyperModel, SearchSpace, search_space
from .tune_model import tune
from .tuners.tuner import DropoutTuner

__all__ = [
    "DropoutHyperModel",
    "DropoutTuner",
    "RatesDisplay",
    "SearchSpace",
    "TuningResult",
    "search_space",
    "tune",
]
