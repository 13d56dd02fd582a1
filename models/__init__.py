"""Keras models with documented dropout placements, dropout layers, and tools for any Keras model.

- Builders: `build_mlp`, `build_cnn`, `build_tabular_mlp`, `build_wide_resnet`, `build_lstm`,
  `build_transformer`, `build_vit`, `build_autoencoder` and, in PyTorch, `build_torch_mlp`;
  `create_model` builds any model that `list_models` lists, `register_model` adds one, and
  `model_entry` returns what is known of one, a `ModelEntry`. `srivastava_sgd` makes the optimizer
  of Srivastava et al. 2014.
- Weights: ``weights="mnist"`` gives the MLP trained weights; `weights_card` returns a
  `WeightsCard`, which says what they are worth, in `Estimate`. `load_saved_model` loads a model
  from a file, and `keras_weights_to_torch` and `torch_weights_to_keras` convert weights between an
  MLP in Keras and its twin in PyTorch.
- Tools: `dropout_sites` finds where a model applies dropout, each place a `DropoutSite`; `diagram`
  shows it in a `ModelDiagram`; `audit` checks it and returns an `AuditReport`, each problem a
  `Finding`; `with_rates` changes its rates, `with_runtime_rates` makes them variables,
  `with_dropout` and `without_dropout` add dropout layers and take them out, and
  `check_rate` checks a rate.
- Layers: `StochasticDepth`, `DropBlock2D`, `DropConnect`, `ConcreteDropout` and `Maxout`.
- `GUIDANCE` maps a placement (``"input"``, ``"hidden"``, ``"output"``) to its recommended rates
  and their source, a `Guidance`; ``"searched"`` is the range that a search covers.
- `SEARCHED_RATES` is the tuple of the rates in that range: 0.20, 0.30, 0.40, 0.50.

`__init__.pyi` lists the public names and their modules. They are imported when they are first
used, so that importing this package does not import Keras.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
