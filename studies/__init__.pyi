from .data.augmentation import split_classes
from .data.subsets import with_fewer_examples
from .diagnostics.measured_audit import examine
from .displays.factor_curve import FactorCurveDisplay
from .displays.heat_map import HeatMapDisplay
from .displays.learning_curve import LearningCurveDisplay
from .displays.monte_carlo import MonteCarloDisplay
from .displays.paired_difference import DifferenceDisplay
from .displays.rate_curve import RateCurveDisplay
from .displays.reliability import ReliabilityDisplay
from .displays.units import ActivationDisplay, FeatureDisplay
from .experiments.calibration import Calibration, calibration
from .experiments.coadaptation import coadaptation
from .experiments.generalization_gaps import generalization_gaps
from .experiments.label_noise import imbalance_sweep, label_noise_sweep
from .experiments.learning_curves import epoch_sweep, learning_curves
from .experiments.method_comparison import compare_methods
from .experiments.monte_carlo import MonteCarloPrediction, monte_carlo, monte_carlo_convergence
from .experiments.placement import placement_sweep
from .experiments.predictive_uncertainty import predictive_uncertainty
from .experiments.rate_maps import rate_size_map, rate_width_map
from .experiments.rate_sweeps import rate_grid, rate_sweep
from .experiments.robustness import robustness
from .experiments.size_sweeps import capacity_sweep, data_size_sweep
from .paired_tests import PairedDifference, holm_differences, paired_difference
from .plan import Execution
from .result import StudyResult, TrainingStudyResult
from .thresholds import Thresholds
from .verdicts import Verdict, verdict, verdict_by_setting

__all__ = [
    "ActivationDisplay",
    "Calibration",
    "DifferenceDisplay",
    "Execution",
    "FactorCurveDisplay",
    "FeatureDisplay",
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
