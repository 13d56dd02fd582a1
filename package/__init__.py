"""Dropout Zoo: dropout in Keras models, placed, tuned and measured.

Start here:

- `build_mlp`, `build_cnn` and `create_model` build models with documented dropout placements;
  `list_models` lists them.
- `dropout_sites` finds the dropout of any Keras model, `with_rates` changes its rates, and `audit`
  reports what is wrong with it.
- `tune` searches the rates and compares the best with no dropout; `rate_sweep` and
  `learning_curves` measure what dropout does to a model.
- `load_dataset` loads data by name, from a file or from a folder of images.

The rest is in four packages: `dropout_zoo.models` (what is built), `dropout_zoo.training` (how it
is trained), `dropout_zoo.studies` (what dropout does) and `dropout_zoo.tuning` (how rates are
chosen). Names are imported when first used, so that importing this package imports no TensorFlow.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
