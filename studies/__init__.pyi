from .comparison import PairedDifference, holm_differences, paired_difference
from .curves import epoch_sweep, learning_curves
from .factor_display import FactorCurveDisplay
from .learning_display import LearningCurveDisplay
from .map_display import HeatMapDisplay
from .rate_display import RateCurveDisplay
from .rate_maps import rate_size_map, rate_width_map
from .rate_sweeps import rate_grid, rate_sweep
from .results import StudyResult, TrainingStudyResult
from .size_sweeps import capacity_sweep, data_size_sweep
from .thresholds import Thresholds
from .trainings import Execution, FitSettings
from .verdicts import Verdict, verdict, verdict_by_setting

__all__ = [
    "Execution",
    "FactorCurveDisplay",
    "FitSettings",
    "HeatMapDisplay",
    "LearningCurveDisplay",
    "PairedDifference",
    "RateCurveDisplay",
    "StudyResult",
    "Thresholds",
    "TrainingStudyResult",
    "Verdict",
    "capacity_sweep",
    "data_size_sweep",
    "epoch_sweep",
    "holm_differences",
    "learning_curves",
    "paired_difference",
    "rate_grid",
    "rate_size_map",
    "rate_sweep",
    "rate_width_map",
    "verdict",
    "verdict_by_setting",
]
