"""Small sources of batches of every kind: fifty examples in batches of eight, the last of two."""

import keras
import numpy as np
import pytest
import tensorflow as tf

X = np.random.default_rng(0).normal(size=(50, 4)).astype("float32")
Y = np.arange(50) % 2
WEIGHT = np.linspace(0.5, 1.5, 50).astype("float32")


class Batched(keras.utils.PyDataset):
    """Batches of arrays; `flips` lets them differ each time, `shuffles` from epoch to epoch."""

    def __init__(self, *arrays, flips=False, shuffles=False, endless=False):
        super().__init__()
        self.arrays, self.flips, self.shuffles, self.endless = arrays, flips, shuffles, endless
        self.rng, self.order = np.random.default_rng(0), np.arange(len(arrays[0]))
        self.epochs_ended = 0

    @property
    def num_batches(self):
        return None if self.endless else -(-len(self.order) // 8)

    def __getitem__(self, number):
        index = self.order[8 * (number % 7) : 8 * (number % 7) + 8]
        batch = [array[index] for array in self.arrays]
        if self.flips:
            batch[0] = batch[0] * self.rng.choice([-1, 1], size=(len(batch[0]), 1))
        return tuple(batch)

    def on_epoch_begin(self):
        if self.shuffles == "at the beginning":
            self.rng.shuffle(self.order)

    def on_epoch_end(self):
        self.epochs_ended += 1
        if self.shuffles is True:
            self.rng.shuffle(self.order)


def tf_data(*arrays):
    return tf.data.Dataset.from_tensor_slices(arrays)


def generator(*arrays):
    yield from (Batched(*arrays)[number] for number in range(7))


def loader(*arrays):
    torch = pytest.importorskip("torch")
    data = torch.utils.data.TensorDataset(*(torch.from_numpy(array) for array in arrays))
    return torch.utils.data.DataLoader(data, batch_size=8)


SOURCES = {
    "tf.data": lambda *arrays: tf_data(*arrays).batch(8).prefetch(1),
    "PyDataset": Batched,
    "generator": generator,
    "DataLoader": loader,
}
