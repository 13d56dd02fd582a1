"""Rules on the rates themselves."""

from __future__ import annotations

from collections.abc import Iterator

import keras

from dropout_zoo.models.auditing.context import AuditContext, PlacedSite, any_before
from dropout_zoo.models.auditing.predicates import is_attention, is_embedding
from dropout_zoo.models.auditing.rules.base import Fault, rule
from dropout_zoo.models.auditing.traced_rates import is_among, traced_rates
from dropout_zoo.models.graph.sites import DROPOUT_FAMILY, DropoutSite
from dropout_zoo.models.guidance import GUIDANCE, LIKELY_KEEP_PROBABILITY, SRIVASTAVA

_DIGITS = 6  # 1 - 0.8 is 0.19999999999999996


def _set(path: str, rate: float) -> str:
    return f"model = with_rates(model, {{{path!r}: {rate:g}}})"


@rule(
    "DZ201",
    "error",
    "a rate that is not in [0, 1)",
    why="A rate of 1 drops everything, so the layers before it learn nothing. Keras 3 accepts it, "
    "and accepts any value that is assigned to `layer.rate`.",
    source="keras.layers.Dropout: the fraction of the input units to drop",
    bad="""
model = keras.Sequential([
    keras.Input((20,)),
    layers.Dense(64, activation="relu"),
    layers.Dropout(1.0),
    layers.Dense(10, activation="softmax"),
])
""",
    good="""
model = keras.Sequential([
    keras.Input((20,)),
    layers.Dense(64, activation="relu"),
    layers.Dropout(0.5),
    layers.Dense(10, activation="softmax"),
])
""",
)
def rate_out_of_range(context: AuditContext) -> Iterator[Fault]:
    """A rate is 1 or more, below 0, or not a number."""
    for site in context.sites:
        if not 0 <= site.rate < 1:
            meant = site.rate / 100 if 1 < site.rate < 100 else _highest(site)
            yield Fault(
                site.path,
                f"{site.path!r} has a rate of {site.rate:g}"
                + (", which drops everything" if site.rate == 1 else ""),
                _set(site.path, meant),
                {site.path: meant},
            )


@rule(
    "DZ202",
    "warning",
    "a rate that looks like a keep probability",
    why="In Keras the rate is the fraction dropped; in papers (Srivastava et al. 2014) and in "
    "older versions of TensorFlow it is the fraction kept. In hidden layers, rates above about "
    "0.6 rarely help.",
    source=f"{SRIVASTAVA}, Fig. 9a and Appendix A.4",
    bad="""
model = keras.Sequential([
    keras.Input((20,)),
    layers.Dense(64, activation="relu"),
    layers.Dropout(0.8),
    layers.Dense(10, activation="softmax"),
])
""",
    good="""
model = keras.Sequential([
    keras.Input((20,)),
    layers.Dense(64, activation="relu"),
    layers.Dropout(0.2),
    layers.Dense(10, activation="softmax"),
])
""",
)
def rate_like_keep_probability(context: AuditContext) -> Iterator[Fault]:
    """A rate above one half."""
    for site in context.sites:
        if LIKELY_KEEP_PROBABILITY < site.rate < 1 and not site.learned:
            meant = round(1 - site.rate, _DIGITS)
            yield Fault(
                site.path,
                f"{site.path!r} drops {site.rate:.0%}; did you mean to keep {site.rate:.0%}, with "
                f"a rate of {meant:g}?",
                _set(site.path, meant),
                {site.path: meant},
            )


@rule(
    "DZ203",
    "note",
    "a rate of 0",
    why="The layer has no effect. That is right in a control without dropout and probably a "
    "mistake elsewhere. A layer created with a rate of 0 cannot be switched on by assigning "
    "`layer.rate` (DZ205).",
    source="Keras: Dropout.__init__ creates a seed generator only for rates above 0",
    bad="""
model = keras.Sequential([
    keras.Input((20,)),
    layers.Dense(64, activation="relu"),
    layers.Dropout(0.0),
    layers.Dense(10, activation="softmax"),
])
""",
    good="""
model = keras.Sequential([
    keras.Input((20,)),
    layers.Dense(64, activation="relu"),
    layers.Dropout(0.4),
    layers.Dense(10, activation="softmax"),
])
""",
)
def rate_of_zero(context: AuditContext) -> Iterator[Fault]:
    """A dropout layer of the graph has rate 0; inside other layers that is often the default."""
    for placed in context.placed:
        path = placed.site.path
        if placed.direct and placed.site.rate == 0:
            rate = _highest(placed.site)
            yield Fault(
                path,
                f"{path!r} has a rate of 0 and drops nothing",
                f"remove {path!r}" + (f", or: {_set(path, rate)}" if rate else ""),
            )


@rule(
    "DZ204",
    "note",
    "a rate outside the usual range",
    why="The usual range is 0.20 to 0.50 in hidden layers, where lower rates have little effect, "
    "and 0.20 to 0.25 on inputs, where higher rates lose information that no later layer can "
    "restore. The rule applies to vectors of features only: sequences, feature maps, residual "
    "branches and attention outputs have different customary rates (0.1 in transformers).",
    source=f"{SRIVASTAVA}, Appendix A.4 and Fig. 9a",
    bad="""
model = keras.Sequential([
    keras.Input((20,)),
    layers.Dense(64, activation="relu"),
    layers.Dropout(0.05),
    layers.Dense(10, activation="softmax"),
])
""",
    good="""
model = keras.Sequential([
    keras.Input((20,)),
    layers.Dense(64, activation="relu"),
    layers.Dropout(0.3),
    layers.Dense(10, activation="softmax"),
])
""",
)
def rate_outside_guidance(context: AuditContext) -> Iterator[Fault]:
    """A rate outside 0.20 to 0.50 in a hidden layer, or outside 0.20 to 0.25 on an input."""
    for placed in context.dropping:
        path, rate = placed.site.path, placed.site.rate
        guidance = GUIDANCE.get({"hidden": "searched"}.get(placed.site.placement, "input"))
        if guidance is None or not _has_guidance(context, placed):
            continue
        low, high = guidance.low or 0.0, guidance.high or 0.0
        if rate > LIKELY_KEEP_PROBABILITY or low <= rate <= high:
            continue
        nearest = low if rate < low else high
        where = "in hidden layers" if placed.site.placement == "hidden" else "on inputs"
        yield Fault(
            path,
            f"{path!r} has a rate of {rate:g}, outside the usual {guidance} {where}",
            _set(path, nearest),
            {path: nearest},
        )


def _has_guidance(context: AuditContext, placed: PlacedSite) -> bool:
    """Whether a site drops vectors of features or a real-valued input."""
    site, call = placed.site, placed.call
    if site.placement == "input":
        # The guidance is for real-valued inputs; dropout of embeddings is word dropout.
        return not any_before(call, is_embedding)
    if any_before(call, is_attention):
        return False
    is_vector = context.graph.input_ranks.get(id(call.operation), 2) <= 1
    return site.placement == "hidden" and is_vector and not context.joins_residual(call)


@rule(
    "DZ205",
    "error",
    "a layer created with rate 0 whose rate was increased",
    why="A dropout layer created with a rate of 0 has no seed generator, so `fit` raises an "
    "AttributeError once `layer.rate` is above 0.",
    source="Keras: Dropout.__init__; verified for Keras 3.15.1 by a test of this project",
    bad="""
model = keras.Sequential([
    keras.Input((20,)),
    layers.Dense(64, activation="relu"),
    layers.Dropout(0.0),
    layers.Dense(10, activation="softmax"),
])
model.layers[1].rate = 0.5
""",
    good="""
from dropout_zoo.models import with_rates

model = keras.Sequential([
    keras.Input((20,)),
    layers.Dense(64, activation="relu"),
    layers.Dropout(0.0, name="drop"),
    layers.Dense(10, activation="softmax"),
])
model = with_rates(model, {"drop": 0.5})
""",
)
def raised_from_zero(context: AuditContext) -> Iterator[Fault]:
    """A layer with a rate above 0 has no seed generator for its masks."""
    for site in context.sites:
        draws = isinstance(site.layer, (*DROPOUT_FAMILY, keras.layers.Attention))
        if draws and 0 < site.rate < 1 and not hasattr(site.layer, "seed_generator"):
            yield Fault(
                site.path,
                f"{site.path!r} was created with rate 0, which was increased to {site.rate:g}: "
                "fit will fail",
                _set(site.path, site.rate),
                {site.path: site.rate},
            )


@rule(
    "DZ206",
    "error",
    "a rate changed after the model was traced",
    why="`fit` compiles the rate into its graph when it is first called. Assigning `layer.rate` "
    "afterwards changes the attribute, and the saved model, but not the training. The rule reads "
    "the graph of the compiled training step, on TensorFlow only.",
    source="Keras: Dropout.rate is a plain attribute; verified for Keras 3.15.1 by a test of this "
    "project",
    bad="""
import numpy as np

model = keras.Sequential([
    keras.Input((20,)),
    layers.Dense(64, activation="relu"),
    layers.Dropout(0.5),
    layers.Dense(10, activation="softmax"),
])
model.compile("adam", "sparse_categorical_crossentropy")
model.fit(np.zeros((4, 20)), np.zeros(4), verbose=0)
model.layers[1].rate = 0.2
""",
    good="""
import numpy as np
from dropout_zoo.models import with_rates

model = keras.Sequential([
    keras.Input((20,)),
    layers.Dense(64, activation="relu"),
    layers.Dropout(0.5, name="drop"),
    layers.Dense(10, activation="softmax"),
])
model.compile("adam", "sparse_categorical_crossentropy")
model.fit(np.zeros((4, 20)), np.zeros(4), verbose=0)
model = with_rates(model, {"drop": 0.2})
""",
)
def changed_after_tracing(context: AuditContext) -> Iterator[Fault]:
    """The compiled training step has different rates than the layers."""
    traced = traced_rates(context.model, context.sites)
    for site in context.sites:
        rates = traced.get(site.path, [])
        if rates and not is_among(site.rate, rates):
            yield Fault(
                site.path,
                f"{site.path!r} has a rate of {site.rate:g}, but fit was traced with "
                f"{rates[0]:g} and keeps using it",
                f"{_set(site.path, site.rate)}  # or compile again",
                {site.path: site.rate},
            )


def _highest(site: DropoutSite) -> float:
    """The highest recommended rate for the placement of a site."""
    guidance = GUIDANCE.get(site.placement, GUIDANCE["searched"])
    return guidance.high or 0.0
