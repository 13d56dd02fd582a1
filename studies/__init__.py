"""Controlled experiments on dropout, and plots of their results.

Settings are compared with a control on the same seeds. Each study is a function that returns a
result with a table (`data`) and conclusions (`summary()`). Most studies have a function
``plan_...``, which returns the plan of the study before anything is trained.

- Rates and placements: `rate_sweep`, `rate_grid`, `rate_width_map`, `rate_size_map` and
  `placement_sweep`.
- Model and data: `learning_curves`, `epoch_sweep`, `data_size_sweep`, `capacity_sweep`,
  `label_noise_sweep`, `imbalance_sweep`, `generalization_gaps`, `robustness` and `coadaptation`.
- Methods against overfitting: `compare_methods`.
- Uncertainty: `monte_carlo`, `monte_carlo_convergence`, `calibration` and
  `predictive_uncertainty`.
- Judging: `verdict` and `verdict_by_setting` tell over- from underfitting, `paired_difference` and
  `holm_differences` compare settings, `claim_sentence` says whether they confirm a claim, and
  `examine` trains a model and reports problems.
- Claims: `list_claims` and `get_claim` return common claims about dropout, with the test of each.
- Plots: `RateCurveDisplay`, `LearningCurveDisplay`, `FactorCurveDisplay`, `HeatMapDisplay`,
  `DifferenceDisplay`, `ReliabilityDisplay`, `MonteCarloDisplay`, `ActivationDisplay` and
  `FeatureDisplay`.

`__init__.pyi` lists the public names and their modules. They are imported when they are first
used, so that importing this package does not import Keras.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
