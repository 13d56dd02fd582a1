from .claims.claim import Claim
from .claims.ledger import claims_table, get_claim, list_claims
from .claims.outcome import ClaimOutcome
from .data.augmentation import split_classes
from .data.corruption import corrupt
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
from .experiments.coadaptation import coadaptation, plan_coadaptation
from .experiments.generalization_gaps import generalization_gaps
from .experiments.imbalance import imbalance_sweep, plan_imbalance_sweep
from .experiments.label_noise import label_noise_sweep, plan_label_noise_sweep
from .experiments.learning_curves import (
    epoch_sweep,
    learning_curves,
    plan_epoch_sweep,
    plan_learning_curves,
)
from .experiments.method_comparison import compare_methods, plan_compare_methods
from .experiments.monte_carlo import MonteCarloPrediction, monte_carlo, monte_carlo_convergence
from .experiments.placement import placement_sweep, plan_placement_sweep
from .experiments.predictive_uncertainty import plan_predictive_uncertainty, predictive_uncertainty
from .experiments.rate_maps import (
    plan_rate_size_map,
    plan_rate_width_map,
    rate_size_map,
    rate_width_map,
)
from .experiments.rate_sweeps import plan_rate_grid, plan_rate_sweep, rate_grid, rate_sweep
from .experiments.robustness import plan_robustness, robustness
from .experiments.size_sweeps import (
    capacity_sweep,
    data_size_sweep,
    plan_capacity_sweep,
    plan_data_size_sweep,
)
from .paired_tests import (
    PairedDifference,
    holm_differences,
    may_be_best,
    paired_difference,
)
from .plan import Execution, Setting, StudyPlan, TrainingSetup
from .result import StudyResult, TrainingStudyResult
from .summary_text import claim_sentence
from .thresholds import Thresholds
from .verdicts import Verdict, verdict, verdict_by_setting
from .verification import verify_run

__all__ = [
    "ActivationDisplay",
    "Calibration",
    "Claim",
    "ClaimOutcome",
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
    "Setting",
    "StudyPlan",
    "StudyResult",
    "Thresholds",
    "TrainingSetup",
    "TrainingStudyResult",
    "Verdict",
    "calibration",
    "capacity_sweep",
    "claim_sentence",
    "claims_table",
    "coadaptation",
    "compare_methods",
    "corrupt",
    "data_size_sweep",
    "epoch_sweep",
    "examine",
    "generalization_gaps",
    "get_claim",
    "holm_differences",
    "imbalance_sweep",
    "label_noise_sweep",
    "learning_curves",
    "list_claims",
    "may_be_best",
    "monte_carlo",
    "monte_carlo_convergence",
    "paired_difference",
    "placement_sweep",
    "plan_capacity_sweep",
    "plan_coadaptation",
    "plan_compare_methods",
    "plan_data_size_sweep",
    "plan_epoch_sweep",
    "plan_imbalance_sweep",
    "plan_label_noise_sweep",
    "plan_learning_curves",
    "plan_placement_sweep",
    "plan_predictive_uncertainty",
    "plan_rate_grid",
    "plan_rate_size_map",
    "plan_rate_sweep",
    "plan_rate_width_map",
    "plan_robustness",
    "predictive_uncertainty",
    "rate_grid",
    "rate_size_map",
    "rate_sweep",
    "rate_width_map",
    "robustness",
    "split_classes",
    "verdict",
    "verdict_by_setting",
    "verify_run",
    "with_fewer_examples",
]
