"""Dropout Zoo: place, tune and measure dropout in Keras models.

Search the dropout rates of a model, and compare the best with no dropout at all:

    from dropout_zoo import build_mlp, load_dataset, tune

    result = tune(build_mlp(), load_dataset("digits"))
    print(result.summary())
    model = result.best_model()

Where to start:

- Models: `build_mlp`, `build_cnn` and `create_model` build models with documented dropout
  placements; `list_models` lists them.
- Any Keras model: `dropout_sites` finds its dropout, `diagram` shows it, `audit` reports mistakes,
  and `with_rates` returns a copy with different rates.
- Data: `load_dataset` loads datasets by name, from files or from a directory of images; `Dataset`
  holds your own arrays.
- Rates: `tune` searches them and says whether they help; `DropoutTuner` runs only
  the search, as a KerasTuner tuner, without controls or finalists.
- Experiments: `rate_sweep` and `learning_curves` measure what dropout does to a model.

These are the most used names of four packages, which have more:

- `dropout_zoo.models`: model builders, dropout layers, and tools that read or change models.
- `dropout_zoo.training`: data, training of many settings and seeds at a time, rate schedules.
- `dropout_zoo.studies`: controlled experiments on dropout, with displays.
- `dropout_zoo.tuning`: the search for dropout rates, in Python; `dropout-zoo --help` in a shell.

Names are imported when they are first used: importing this package does not import TensorFlow.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
