"""An LSTM with variational dropout that classifies sequences of tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dropout_zoo.models.argument_validation import check_sizes
from dropout_zoo.models.guidance import builder_rate, rates_per_layer
from dropout_zoo.models.registry import register_model

if TYPE_CHECKING:
    import keras

VARIATIONAL = (
    "Gal and Ghahramani 2016 (arXiv 1512.05287): one mask for all time steps, on the inputs, the "
    "recurrent connections and the outputs"
)


@register_model(
    "lstm",
    family="LSTM",
    parameters=31_492,
    sites={
        "embedding_dropout": 0.2,
        "lstm_1/cell/recurrent_dropout": 0.2,
        "lstm_1_dropout": 0.4,
    },
    source=f"{VARIATIONAL}; the rates are this project's",
)
def build_lstm(
    *,
    input_shape: Sequence[int] = (32,),
    num_classes: int | None = 4,
    vocabulary_size: int = 200,
    embedding_dim: int = 32,
    units: Sequence[int] = (64,),
    embedding_rate: float = 0.2,
    recurrent_rate: float = 0.2,
    hidden_rates: float | Sequence[float] = 0.4,
    optimizer: Any = "adam",
    loss: Any = None,
    name: str = "lstm",
    compile: bool = True,
) -> keras.Model:
    """Build an LSTM with variational dropout that classifies sequences of tokens.

    Token embeddings, LSTM layers, and a softmax on the last state. Every mask is the same at all
    time steps of a sequence: on the features of the embeddings and of the outputs between LSTM
    layers (`SpatialDropout1D`), and on the recurrent connections (Keras's `recurrent_dropout`).

    Args:
        input_shape: length of a sequence, as ``(32,)``.
        num_classes: number of classes, at least 2; None for regression with one linear output.
        vocabulary_size: number of different tokens; tokens are integers from 0 to
            ``vocabulary_size - 1``.
        embedding_dim: size of the embeddings.
        units: units of each LSTM layer.
        embedding_rate: rate (fraction dropped, in [0, 1)) on the embeddings; the same features are
            dropped at all time steps.
        recurrent_rate: rate on the recurrent connections of each LSTM layer; 0 for none.
        hidden_rates: rate after each LSTM layer, or one rate for all.
        optimizer: passed to `keras.Model.compile`.
        loss: passed to `keras.Model.compile`; None for categorical cross-entropy (mean squared
            error for regression).
        name: name of the model.
        compile: whether to compile the model.

    Returns:
        A functional `keras.Model` from int32 tokens of shape ``(batch, length)`` to ``(batch,
        num_classes)``, with layers ``embedding``, ``embedding_dropout``, ``lstm_1``,
        ``lstm_1_dropout``, ..., ``classifier``.

    Raises:
        ValueError: an argument is out of range; the message says what is expected.

    Example:
        >>> from dropout_zoo.models import build_lstm, dropout_sites
        >>> model = build_lstm(units=(16,), recurrent_rate=0.3)
        >>> [(site.path, site.placement) for site in dropout_sites(model)][1]
        ('lstm_1/cell/recurrent_dropout', 'recurrent')

    References:
        Gal and Ghahramani 2016, arXiv:1512.05287.
    """
    import keras

    from dropout_zoo.models.architectures import building_blocks
    from dropout_zoo.models.layers.seeded_dropout import seeded_dropout

    widths = check_sizes(units, "units", "(64,), one per layer", min_length=1)
    rates = rates_per_layer(hidden_rates, widths, "hidden_rates", of="units")
    recurrent_rate = builder_rate(recurrent_rate, "recurrent_rate")
    same_at_all_steps = keras.layers.SpatialDropout1D
    inputs, x = building_blocks.embedded_tokens(input_shape, vocabulary_size, embedding_dim)
    rate = builder_rate(embedding_rate, "embedding_rate")
    x = seeded_dropout(rate, "embedding_dropout", same_at_all_steps)(x)
    for number, (count, rate) in enumerate(zip(widths, rates, strict=True), start=1):
        last = number == len(widths)
        lstm = keras.layers.LSTM(
            count,
            recurrent_dropout=recurrent_rate,
            return_sequences=not last,
            name=f"lstm_{number}",
        )
        dropout_class = keras.layers.Dropout if last else same_at_all_steps
        x = seeded_dropout(rate, f"lstm_{number}_dropout", dropout_class)(lstm(x))
    model = keras.Model(inputs, building_blocks.classifier(num_classes)(x), name=name)
    return building_blocks.compile_documented(model, optimizer, loss, num_classes, compile=compile)
