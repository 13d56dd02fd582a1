"""Datasets, and training of one model with many dropout rates and seeds at a time.

- Data: `load_dataset` loads datasets by name, from files or from a directory of images; `Dataset`
  holds arrays with their split, and `as_dataset` makes one of any data that can be trained on.
  `make_topics` generates sequences of tokens, `targets_for` returns labels in the form that a
  model's loss expects, and `table_inputs` a data frame in the form that a model for raw columns
  takes. Data that cannot be used raise `DataError`.
- Training: `train_members` trains a list of `Member` objects, each with rates and a seed, and
  returns a `TrainedMember` for each; `MemberTrainer` does so repeatedly; `TrainSettings` holds the
  settings of each training run, and `PlanOutline` what the results of a trainer share.
- What decides which epoch is best: an `Objective`, which `parse_objective` makes of the name of a
  metric.
- Schedules of the rate: `EarlyDropout`, `LateDropout`, `LinearRamp`, `CosineRamp` and
  `CurriculumDropout`, or a `RateSchedule` of your own; `RateScheduler` is a callback for
  `Model.fit`.
- `start_keras` imports Keras with suitable settings; call it first in a script. `prepare_threads`
  sets up TensorFlow for one training loop per core; `start_keras` calls it.

`__init__.pyi` lists the public names and their modules. They are imported when they are first
used, so that importing this package does not import Keras.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
