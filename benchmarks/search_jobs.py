"""The searches that `search_speed.py` compares."""

from __future__ import annotations

from dataclasses import dataclass

SEARCHED = [0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5]


@dataclass(frozen=True)
class SearchJob:
    """One row of the comparison: a grid of rates on a model and data."""

    name: str
    model: str
    data: str
    batch_size: int
    epochs: int
    rates: tuple[tuple[float, ...], ...]  # per searched site; these are the first ones of the model
    contenders: tuple[str, ...]
    goal: float
    goal_of: str = "zoo"
    argument: str = "hidden_rates"  # of the builder, which sets these rates

    @property
    def trials(self) -> int:
        """Number of settings in the grid."""
        count = 1
        for rates in self.rates:
            count *= len(rates)
        return count


JOBS = (
    SearchJob(
        "MLP, MNIST, batch 128", "mlp", "mnist", 128, 3,
        (tuple(SEARCHED[:6]), tuple(SEARCHED[:4])), ("stock", "zoo", "zoo_keras", "torch"), 8,
    ),
    SearchJob(
        "MLP, MNIST, batch 32", "mlp", "mnist", 32, 2,
        (tuple(SEARCHED[:4]), tuple(SEARCHED[:3])), ("stock", "zoo", "zoo_keras", "torch"), 12,
    ),
    SearchJob(
        "MLP, digits, batch 32", "mlp", "digits", 32, 20,
        (tuple(SEARCHED), tuple(SEARCHED)), ("stock", "zoo", "zoo_keras", "torch"), 15,
    ),
    SearchJob(
        "CNN, MNIST, batch 128, float32", "cnn", "mnist", 128, 1,
        (tuple(SEARCHED[:6]),), ("stock", "stock_onednn", "zoo"), 2.2,
    ),
    SearchJob(
        "CNN, MNIST, batch 128, bfloat16", "cnn", "mnist", 128, 1,
        (tuple(SEARCHED[:6]),), ("stock", "stock_bfloat16", "zoo_bfloat16"), 4.8, "zoo_bfloat16",
    ),
    SearchJob(
        "LSTM, topics, batch 32", "lstm", "topics", 32, 5,
        (tuple(SEARCHED),), ("stock", "zoo", "zoo_keras"), 5, argument="embedding_rate",
    ),
    SearchJob(
        "transformer, topics, batch 32", "transformer", "topics", 32, 5,
        (tuple(SEARCHED),), ("stock", "zoo", "zoo_keras"), 5, argument="embedding_rate",
    ),
    SearchJob(
        "vision transformer, digits, batch 32", "vit", "digits", 32, 5,
        (tuple(SEARCHED),), ("stock", "zoo", "zoo_keras"), 5, argument="embedding_rate",
    ),
)  # fmt: skip
