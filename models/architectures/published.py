"""Published dense and convolutional networks, as variants of `build_mlp` and `build_cnn`."""

from __future__ import annotations

from typing import Any

from dropout_zoo.models.architectures.cnn import build_cnn
from dropout_zoo.models.architectures.mlp import build_mlp
from dropout_zoo.models.guidance import SRIVASTAVA
from dropout_zoo.models.registry import register_model

APPENDIX = "max-norm 2 in all layers (Appendix B.1, as quoted by replications)"

DROPPED: dict[str, Any] = {"hidden_rates": 0.5, "input_rate": 0.2}
"""Rates of all dropout networks for MNIST in Srivastava et al. 2014, Table 2."""

# Name, number of parameters, arguments of the builder, and source.
MNIST_NETS: tuple[tuple[str, int, dict[str, Any], str], ...] = (
    (
        "srivastava_800x2_logistic",
        1_276_810,
        {"units": (800, 800), "activation": "sigmoid", "hidden_rates": 0.0},
        f"Simard et al. 2003, in {SRIVASTAVA}, Table 2: standard network, 1.60% test error",
    ),
    (
        "srivastava_1024x3_logistic",
        2_913_290,
        {"units": (1024,) * 3, "activation": "sigmoid", **DROPPED},
        f"{SRIVASTAVA}, Table 2: dropout network, 1.35% test error",
    ),
    (
        "srivastava_1024x3",
        2_913_290,
        {"units": (1024,) * 3, "max_norm": 2, **DROPPED},
        f"{SRIVASTAVA}, Table 2: 1.06% test error, 1.25% without max-norm; {APPENDIX}",
    ),
    (
        "srivastava_4096x2",
        20_037_642,
        {"units": (4096,) * 2, "max_norm": 2, **DROPPED},
        f"{SRIVASTAVA}, Table 2: 1.01% test error; {APPENDIX}",
    ),
    (
        "srivastava_8192x2",
        73_629_706,
        {"units": (8192,) * 2, "max_norm": 2, **DROPPED},
        f"{SRIVASTAVA}, Table 2: 0.95% test error; {APPENDIX}",
    ),
    (
        "srivastava_1024_1024_2048",
        3_973_130,
        {"units": (1024, 1024, 2048), "max_norm": 3, **DROPPED},
        f"{SRIVASTAVA}, Table 9: 1.05% test error; max-norm 3 as in the first author's example of "
        "this network (deepnet, model_dropout.pbtxt)",
    ),
    (
        "goodfellow_maxout_240x2",
        1_233_610,
        {
            "units": (240,) * 2,
            "activation": "maxout",
            "num_pieces": 5,
            "max_norm": 1.9365,
            **DROPPED,
        },
        "Goodfellow et al. 2013, Maxout networks, 0.94% test error in Srivastava et al. 2014, "
        "Table 2; max-norm 1.9365 as in the authors' pylearn2 (mnist_pi.yaml)",
    ),
)


def _dense_sites(arguments: dict[str, Any]) -> dict[str, float]:
    """Rate by site path of a network with one rate after all hidden layers."""
    given = {"input_dropout": arguments["input_rate"]} if "input_rate" in arguments else {}
    layers = range(1, len(arguments["units"]) + 1)
    return given | {f"hidden_{number}_dropout": arguments["hidden_rates"] for number in layers}


for _name, _parameters, _arguments, _source in MNIST_NETS:
    register_model(
        _name,
        family="MLP",
        parameters=_parameters,
        sites=_dense_sites(_arguments),
        source=_source,
        arguments=_arguments,
        data="MNIST",
    )(build_mlp)

register_model(
    "srivastava_cnn",
    family="CNN",
    parameters=10_071_562,
    sites={
        "input_dropout": 0.1,
        "conv_1_dropout": 0.25,
        "conv_2_dropout": 0.25,
        "conv_3_dropout": 0.5,
        "hidden_1_dropout": 0.5,
        "hidden_2_dropout": 0.5,
    },
    source=f"{SRIVASTAVA}, Table 3 (secondary): 2.55% test error with dropout in all layers, "
    "3.02% in the dense layers only, 3.95% without; the network of Appendix B.2, padded as in the "
    "first author's convolutional example (deepnet, model_conv.pbtxt)",
    arguments={
        "input_shape": (32, 32, 3),
        "filters": (96, 128, 256),
        "kernel_size": 5,
        "padding": "same",
        "pool_size": 3,
        "units": (2048, 2048),
        "input_rate": 0.1,
        "conv_rates": (0.25, 0.25, 0.5),
        "hidden_rates": 0.5,
        "max_norm": 4,
    },
    data="SVHN",
)(build_cnn)
