"""The PyTorch network. Imports PyTorch; its builder imports this module when it is called."""

from __future__ import annotations

from torch import Tensor, nn, relu


class NeuralNet(nn.Module):
    """784-128-64-10 with dropout after each hidden layer; returns logits.

    Args:
        first_rate: rate (fraction dropped, in [0, 1)) after ``fc1``.
        second_rate: rate after ``fc2``.
    """

    def __init__(self, first_rate: float = 0.5, second_rate: float = 0.3) -> None:
        super().__init__()
        self.fc1 = nn.Linear(784, 128)
        self.dropout1 = nn.Dropout(first_rate)
        self.fc2 = nn.Linear(128, 64)
        self.dropout2 = nn.Dropout(second_rate)
        self.fc3 = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of shape (batch, 10) for inputs of shape (batch, 784) or (batch, 28, 28)."""
        x = self.dropout1(relu(self.fc1(x.flatten(1))))
        x = self.dropout2(relu(self.fc2(x)))
        logits: Tensor = self.fc3(x)
        return logits
