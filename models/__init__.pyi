from .architectures.autoencoder import build_autoencoder
from .architectures.cnn import build_cnn
from .architectures.lstm import build_lstm
from .architectures.mlp import build_mlp
from .architectures.optimizers import srivastava_sgd
from .architectures.tabular_mlp import build_tabular_mlp
from .architectures.torch_mlp import build_torch_mlp, keras_weights_to_torch, torch_weights_to_keras
from .architectures.transformer import build_transformer
from .architectures.vit import build_vit
from .architectures.wide_resnet import build_wide_resnet
from .auditing.audit import AuditReport, Finding, audit
from .diagrams.diagram import ModelDiagram, diagram
from .graph.added_dropout import with_dropout, without_dropout
from .graph.changed_rates import with_rates
from .graph.runtime_rates import with_runtime_rates
from .graph.sites import DropoutSite, dropout_sites
from .guidance import GUIDANCE, SEARCHED_RATES, Guidance, check_rate
from .layers.concrete_dropout import ConcreteDropout
from .layers.drop_block import DropBlock2D
from .layers.drop_connect import DropConnect
from .layers.maxout import Maxout
from .layers.stochastic_depth import StochasticDepth
from .registry import ModelEntry, create_model, list_models, model_entry, register_model
from .saving import load_saved_model
from .trained_weights import Estimate, WeightsCard, weights_card

__all__ = [
    "GUIDANCE",
    "SEARCHED_RATES",
    "AuditReport",
    "ConcreteDropout",
    "DropBlock2D",
    "DropConnect",
    "DropoutSite",
    "Estimate",
    "Finding",
    "Guidance",
    "Maxout",
    "ModelDiagram",
    "ModelEntry",
    "StochasticDepth",
    "WeightsCard",
    "audit",
    "build_autoencoder",
    "build_cnn",
    "build_lstm",
    "build_mlp",
    "build_tabular_mlp",
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
    "weights_card",
    "with_dropout",
    "with_rates",
    "with_runtime_rates",
    "without_dropout",
]
