"""Rules on the rates themselves."""

from __future__ import annotations

from collections.abc import Iterator

import keras

from dropout_zoo.models.auditing.context import AuditView, Placed, before
from dropout_zoo.models.auditing.predicates import ATTENTION
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
    "a rate that is no fraction below 1",
    why="A rate of 1 drops everything, and the layers before it learn nothing. Keras 3 accepts "
    "it, and accepts any value that is assigned to `layer.rate`.",
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
def rate_out_of_range(view: AuditView) -> Iterator[Fault]:
    """A rate is 1 or more, below 0, or not a number."""
    for site in view.sites:
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
    why="In Keras the rate is the fraction dropped; papers (Srivastava et al. 2014) and older "
    "TensorFlow give the fraction kept. Hidden layers gain up to about 0.5 to 0.6.",
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
def rate_like_keep_probability(view: AuditView) -> Iterator[Fault]:
    """A rate drops more than it keeps."""
    for site in view.sites:
        if LIKELY_KEEP_PROBABILITY < site.rate < 1 and not site.learnt:
            meant = round(1 - site.rate, _DIGITS)
            yield Fault(
                site.path,
                f"{site.path!r} drops {site.rate:.0%}: did you mean to keep {site.rate:.0%}, a "
                f"rate of {meant:g}?",
                _set(site.path, meant),
                {site.path: meant},
            )


@rule(
    "DZ203",
    "note",
    "a rate of 0",
    why="The layer drops nothing. That is right in a control; elsewhere it is a dropout layer that "
    "is not there. Made with a rate of 0, it cannot be switched on by assigning `layer.rate` "
    "(DZ205).",
    source="Keras: Dropout.__init__ makes a seed generator for rates above 0 only",
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
def rate_of_zero(view: AuditView) -> Iterator[Fault]:
    """A dropout layer of the graph has rate 0; those inside other layers have it by default."""
    for placed in view.placed:
        path = placed.site.path
        if placed.direct and placed.site.rate == 0:
            rate = _highest(placed.site)
            yield Fault(
                path,
                f"{path!r} has a rate of 0 and drops nothing",
                f"take {path!r} out" + (f", or: {_set(path, rate)}" if rate else ""),
            )


@rule(
    "DZ204",
    "note",
    "a rate outside the guidance",
    why="Hidden layers: the rates that are searched are 0.20 to 0.50, and below them little is "
    "dropped. Input: 0.20 to 0.25; more loses what no later layer can restore. It is guidance "
    "for layers of features; sequences, feature maps, residual branches and what comes from "
    "attention have habits of their own (0.1 in transformers) and are left alone.",
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
def rate_outside_guidance(view: AuditView) -> Iterator[Fault]:
    """A rate on features is below what is searched, or one on the input outside its range."""
    for placed in view.dropping:
        path, rate = placed.site.path, placed.site.rate
        guidance = GUIDANCE.get({"hidden": "searched"}.get(placed.site.placement, "input"))
        if guidance is None or not _has_guidance(view, placed):
            continue
        low, high = guidance.low or 0.0, guidance.high or 0.0
        if rate > LIKELY_KEEP_PROBABILITY or low <= rate <= high:
            continue
        nearest = low if rate < low else high
        where = "searched in hidden layers" if placed.site.placement == "hidden" else "for inputs"
        yield Fault(
            path,
            f"{path!r} has a rate of {rate:g}, outside the {guidance} {where}",
            _set(path, nearest),
            {path: nearest},
        )


def _has_guidance(view: AuditView, placed: Placed) -> bool:
    """Whether a site drops vectors of features, or a real-valued input."""
    site, call = placed.site, placed.call
    if site.placement == "input":
        # A table of words is not a real-valued input, and word dropout not dropout of numbers.
        embedded = before(call, lambda found: isinstance(found.operation, keras.layers.Embedding))
        return not embedded
    if before(call, lambda found: isinstance(found.operation, ATTENTION)):
        return False
    is_vector = view.graph.extents.get(id(call.operation), 2) <= 1
    return site.placement == "hidden" and is_vector and not view.joins_residual(call)


@rule(
    "DZ205",
    "error",
    "a layer made with rate 0 whose rate was raised",
    why="A dropout layer that is made with a rate of 0 gets no seed generator, and `fit` raises an "
    "AttributeError once `layer.rate` is above 0.",
    source="Keras: Dropout.__init__; checked on Keras 3.15.1 by a test of this project",
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
def raised_from_zero(view: AuditView) -> Iterator[Fault]:
    """A layer drops and has nothing to draw its masks from."""
    for site in view.sites:
        draws = isinstance(site.layer, (*DROPOUT_FAMILY, keras.layers.Attention))
        if draws and 0 < site.rate < 1 and not hasattr(site.layer, "seed_generator"):
            yield Fault(
                site.path,
                f"{site.path!r} was made with rate 0 and raised to {site.rate:g}: fit will fail",
                _set(site.path, site.rate),
                {site.path: site.rate},
            )


@rule(
    "DZ206",
    "error",
    "a rate changed after the model was traced",
    why="`fit` compiles the rate into its graph at its first call. Assigning `layer.rate` "
    "afterwards changes the attribute, and what is saved, but not the training. Seen on "
    "TensorFlow, in the graph of the compiled training step.",
    source="Keras: Dropout.rate is a plain attribute; checked on Keras 3.15.1 by a test of this "
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
def changed_after_tracing(view: AuditView) -> Iterator[Fault]:
    """The compiled training step holds other rates than the layers."""
    traced = traced_rates(view.model, view.sites)
    for site in view.sites:
        rates = traced.get(site.path, [])
        if rates and not is_among(site.rate, rates):
            yield Fault(
                site.path,
                f"{site.path!r} says {site.rate:g}, but fit was traced with {rates[0]:g} and goes "
                "on with it",
                f"{_set(site.path, site.rate)}  # or compile again",
                {site.path: site.rate},
            )


def _highest(site: DropoutSite) -> float:
    """The highest rate that the guidance has for a placement."""
    guidance = GUIDANCE.get(site.placement, GUIDANCE["searched"])
    return guidance.high or 0.0
