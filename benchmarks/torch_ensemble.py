"""The settings of a search trained at once in PyTorch, as `search_speed.py` compares it."""

from __future__ import annotations

import time
from typing import Any

from search_jobs import SearchJob


def run_torch(
    job: SearchJob, model: Any, data: Any, folder: str, contender: str
) -> tuple[float, float]:
    """Train all settings at once, as an ensemble under `torch.func.vmap`, with a simple Adam."""
    import itertools

    import numpy as np
    import torch
    from torch.func import functional_call, grad, stack_module_state, vmap

    torch.manual_seed(0)
    settings = torch.tensor(list(itertools.product(*job.rates)))
    x, y = (torch.from_numpy(np.array(a)) for a in data.train)
    x_validation, y_validation = (torch.from_numpy(np.array(a)) for a in data.validation)
    x, x_validation = x.flatten(1), x_validation.flatten(1)
    y, y_validation = y.long(), y_validation.long()

    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc1 = torch.nn.Linear(784, 128)
            self.fc2 = torch.nn.Linear(128, 64)
            self.fc3 = torch.nn.Linear(64, 10)

        def forward(self, x: Any, rates: Any, training: bool) -> Any:
            for index, layer in enumerate((self.fc1, self.fc2)):
                x = torch.relu(layer(x))
                if training:
                    keep = torch.rand_like(x) >= rates[index]
                    x = x * keep / (1 - rates[index])
            return self.fc3(x)

    started = time.perf_counter()
    nets = [Net() for _ in settings]
    weights, _ = stack_module_state(nets)
    first = {name: torch.zeros_like(w) for name, w in weights.items()}
    second = {name: torch.zeros_like(w) for name, w in weights.items()}

    def loss_of(member: Any, rates: Any, x: Any, y: Any, training: bool) -> Any:
        logits = functional_call(nets[0], member, (x, rates, training))
        return torch.nn.functional.cross_entropy(logits, y)

    gradients = vmap(
        grad(lambda m, r, x, y: loss_of(m, r, x, y, True)),
        in_dims=(0, 0, None, None),
        randomness="different",
    )
    losses = vmap(lambda m, r: loss_of(m, r, x_validation, y_validation, False))
    count, best = 0, float("inf")
    for _ in range(job.epochs):
        order = torch.randperm(len(x))
        for batch in order.split(job.batch_size):
            count += 1
            found = gradients(weights, settings, x[batch], y[batch])
            with torch.no_grad():
                for name, g in found.items():
                    first[name].mul_(0.9).add_(g, alpha=0.1)
                    second[name].mul_(0.999).addcmul_(g, g, value=0.001)
                    scale = (1 - 0.999**count) ** 0.5 / (1 - 0.9**count)
                    weights[name] = weights[name] - 1e-3 * scale * first[name] / (
                        second[name].sqrt() + 1e-7
                    )
        with torch.no_grad():
            best = min(best, float(losses(weights, settings).min()))
    return time.perf_counter() - started, best
