from .calibrated import Calibration, calibration
from .changed_data import split_classes
from .coadaptation_study import coadaptation
from .comparison import PairedDifference, holm_differences, paired_difference
from .curves import epoch_sweep, learning_curves
from .difference_display import DifferenceDisplay
from .examination import examine
from .factor_display import FactorCurveDisplay
from .gaps import generalization_gaps
from .learning_display import LearningCurveDisplay
from .map_display import HeatMapDisplay
from .methods import compare_methods
from .montecarlo import MonteCarloPrediction, monte_carlo, monte_carlo_convergence
from .placements import placement_sweep
from .plans import Execution, FitSettings
from .rate_display import RateCurveDisplay
from .rate_maps import rate_size_map, rate_width_map
from .rate_sweeps import rate_grid, rate_sweep
from .results import StudyResult, TrainingStudyResult
from .robustness_study import robustness
from .size_sweeps import capacity_sweep, data_size_sweep
from .stress import imbalance_sweep, label_noise_sweep
from .thresholds import Thresholds
from .training_parts import with_fewer_examples
from .uncertainty_displays import MonteCarloDisplay, ReliabilityDisplay
from .uncertainty_study import predictive_uncertainty
from .unit_displays import ActivationDisplay, FeatureDisplay
from .verdicts import Verdict, verdict, verdict_by_setting

__all__ = [
    "ActivationDisplay",
    "Calibration",
    "DifferenceDisplay",
    "Execution",
    "FactorCurveDisplay",
    "FeatureDisplay",
    "FitSettings",
    "HeatMapDisplay",
    "LearningCurveDisplay",
    "MonteCarloDisplay",
    "MonteCarloPrediction",
    "PairedDifference",
    "RateCurveDisplay",
    "ReliabilityDisplay",
    "StudyResult",
    "Thresholds",
    "TrainingStudyResult",
    "Verdict",
    "calibration",
    "capacity_sweep",
    "coadaptation",
    "compare_methods",
    "data_size_sweep",
    "epoch_sweep",
    "examine",
    "generalization_gaps",
    "holm_differences",
    "imbalance_sweep",
    "label_noise_sweep",
    "learning_curves",
    "monte_carlo",
    "monte_carlo_convergence",
    "paired_difference",
    "placement_sweep",
    "predictive_uncertainty",
    "rate_grid",
    "rate_size_map",
    "rate_sweep",
    "rate_width_map",
    "robustness",
    "split_classes",
    "verdict",
    "verdict_by_setting",
    "with_fewer_examples",
]
