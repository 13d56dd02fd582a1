"""Search for the dropout rates of a model, and comparison of the best with no dropout.

- `tune` searches the rates, races the best of them against no dropout on new seeds, and returns a
  `TuningResult`: best rates, best model, tables and a summary.
- `DropoutTuner` runs only the search, as a KerasTuner tuner. `DropoutHyperModel` makes a
  hypermodel of a Keras model, and `search_space` returns what is searched, a `SearchSpace`.
- `RatesDisplay` plots the score of every trial against the rates.

`dropout-zoo tune`, `sweep`, `audit`, `claims`, `verify`, `list` and `show` are the commands in a
shell.

`__init__.pyi` lists the public names and their modules. They are imported when they are first
used, so that importing this package does not import Keras.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
