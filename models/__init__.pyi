from .auditing import AuditReport, Finding, audit
from .autoencoder import build_autoencoder
from .cloning import with_rates
from .cnn import build_cnn
from .concrete_dropout import ConcreteDropout
from .diagrams import ModelDiagram, diagram
from .drop_block import DropBlock2D
from .drop_connect import DropConnect
from .guidance import GUIDANCE, SEARCHED_RATES, Guidance, check_rate
from .lifting import with_runtime_rates
from .loading import load_saved_model
from .lstm import build_lstm
from .maxout import Maxout
from .mlp import build_mlp
from .recipes import srivastava_sgd
from .registry import ModelEntry, create_model, list_models, model_entry, register_model
from .sites import DropoutSite, dropout_sites
from .stochastic_depth import StochasticDepth
from .torch_mlp import build_torch_mlp, keras_weights_to_torch, torch_weights_to_keras
from .transformer import build_transformer
from .vit import build_vit
from .wide_resnet import build_wide_resnet

__all__ = [
    "GUIDANCE",
    "SEARCHED_RATES",
    "AuditReport",
    "ConcreteDropout",
    "DropBlock2D",
    "DropConnect",
    "DropoutSite",
    "Finding",
    "Guidance",
    "Maxout",
    "ModelDiagram",
    "ModelEntry",
    "StochasticDepth",
    "audit",
    "build_autoencoder",
    "build_cnn",
    "build_lstm",
    "build_mlp",
    "build_torch_mlp",
    "build_transformer",
    "build_vit",
    "build_wide_resnet",
    "check_rate",
    "create_model",
    "diagram",
    "dropout_sites",
    "keras_weights_to_torch",
    "list_models",
    "load_saved_model",
    "model_entry",
    "register_model",
    "srivastava_sgd",
    "torch_weights_to_keras",
    "with_rates",
    "with_runtime_rates",
]
