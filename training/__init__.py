"""Datasets, and training of one model with many dropout rates and seeds at a time.

- Data: `load_dataset` loads datasets by name, from files or from a directory of images; `Dataset`
  holds arrays with their split, `make_topics` generates sequences of tokens, `targets_for` returns
  labels in the form that a model's loss expects, and `table_inputs` a data frame in the form that a
  model for raw columns takes. Data that cannot be used raise `DataError`.
- Training: `train_members` trains a list of `Member` objects, each with rates and a seed;
  `MemberTrainer` does so repeatedly; `TrainSettings` holds the settings of each training run, and
  `PlanOutline` what the results of a trainer share.
- Schedules of the rate: `EarlyDropout`, `LateDropout`, `LinearRamp`, `CosineRamp` and
  `CurriculumDropout`; `RateScheduler` is a callback for `Model.fit`.
- `start_keras` imports Keras with suitable settings; call it first in a script.

`__init__.pyi` lists the public names and their modules. They are imported when they are first
used, so that importing this package does not import Keras.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
