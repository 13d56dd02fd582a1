from .models import (
    audit,
    build_cnn,
    build_mlp,
    create_model,
    diagram,
    dropout_sites,
    list_models,
    with_rates,
)
from .studies import learning_curves, rate_sweep
from .training import Dataset, load_dataset
from .tuning import DropoutTuner, tune

__all__ = [
    "Dataset",
    "DropoutTuner",
    "audit",
    "build_cnn",
    "build_mlp",
    "create_model",
    "diagram",
    "dropout_sites",
    "learning_curves",
    "list_models",
    "load_dataset",
    "rate_sweep",
    "tune",
    "with_rates",
]

__version__: str
