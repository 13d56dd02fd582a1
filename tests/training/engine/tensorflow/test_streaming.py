"""Data that are streamed: the numbers of those that are resident in memory, bit for bit."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest
from nets import split_settings

from dropout_zoo.models import build_mlp
from dropout_zoo.training import Dataset, Member, MemberTrainer, prepare_threads
from dropout_zoo.training.checkpoint import Checkpoint
from dropout_zoo.training.engine.memory import memory_budget_or_default
from dropout_zoo.training.engine.tensorflow.streaming import InMemoryData, StreamedData, load_data
from dropout_zoo.training.plan import as_input, input_bytes

SETTINGS = {"epochs": 2, "batch_size": 32, "keep_state": True}
EXAMPLE = 28 * 28 * 4 + 10 * 4 + 4  # bytes of an example with its target and its weight


@pytest.fixture(scope="module", autouse=True)
def single_threaded_kernels():
    assert prepare_threads(), "expected conftest.py to call prepare_threads() before any model"


def trainer_of(dataset, **arguments):
    model = build_mlp(units=(16, 8), hidden_rates=(0.5, 0.3), batch_norm="before_dropout")
    settings, others = split_settings(SETTINGS | arguments)
    return MemberTrainer(model, dataset, settings, **others)


def results_of(dataset, **arguments):
    trainer = trainer_of(dataset, class_weight={0: 3.0}, **arguments)
    members = [Member([0.4, 0.2], seed=1), Member([0.1, 0.1], seed=2), Member([0.2, 0.0], seed=1)]
    trained = trainer.train(members)
    return type(trainer._engine._data), trained


@pytest.mark.slow
@pytest.mark.parametrize(
    ("budget", "workers"),
    [
        (1, 1),
        *(pytest.param(*each, marks=pytest.mark.slow) for each in [(1, 2), (3 * 70 * EXAMPLE, 1)]),
    ],
    ids=["a batch", "a batch in each of two loops", "two batches"],
)
def test_streamed_and_in_memory_data_give_the_same_bits(budget, workers, few_digits):
    kind, resident = results_of(few_digits, workers=workers)
    assert kind is InMemoryData
    kind, streamed = results_of(few_digits, memory_budget=budget, workers=workers)
    assert kind is StreamedData
    for one, other in zip(resident, streamed, strict=True):
        assert one.status == other.status == "completed", other.reason
        assert one.curves.equals(other.curves)
        first, second = Checkpoint.load(one.checkpoint), Checkpoint.load(other.checkpoint)
        for part in ("best", "last", "optimizer", "seeds"):
            for a, b in zip(getattr(first, part), getattr(second, part), strict=True):
                assert a.tobytes() == b.tobytes(), part


def test_a_block_holds_whole_batches_in_the_order_in_which_they_are_read(few_digits):
    examples = trainer_of(few_digits, class_weight={0: 3.0}).plan.examples
    order = np.random.default_rng(0).permutation(150)
    x, y, weight = (as_input(a) for a in (*examples.train, examples.sample_weight))
    for budget, lengths in ((1, [32, 32, 32, 32, 22]), (3 * 70 * EXAMPLE, [64, 64, 22])):
        data = load_data(examples, budget, loops=1)
        chunks = list(data.chunks("train", order, 32, lambda: 10))
        assert [len(chunk.arrays[0]) for chunk in chunks] == lengths
        assert [chunk.first for chunk in chunks] == [0] * len(lengths)
        assert [chunk.last for chunk in chunks] == [-(-length // 32) for length in lengths]
        for number, array in enumerate((x, y, weight)):
            together = np.concatenate([chunk.arrays[number].numpy() for chunk in chunks])
            assert together.dtype == array.dtype and np.array_equal(together, array[order])
    short = list(data.chunks("train", order, 32, lambda: 1))
    assert [(chunk.first, chunk.last) for chunk in short] == [
        (0, 1),
        (1, 2),
        (0, 1),
        (1, 2),
        (0, 1),
    ]


def test_data_are_in_memory_up_to_the_budget(few_digits):
    examples = trainer_of(few_digits).plan.examples
    parts = examples.train, examples.sample, examples.validation
    arrays = [array for part in parts for array in part]
    size = sum(as_input(array).nbytes for array in arrays)
    assert size == sum(map(input_bytes, arrays))
    assert isinstance(load_data(examples, size, loops=1), InMemoryData)
    assert isinstance(load_data(examples, size - 1, loops=1), StreamedData)
    assert as_input(np.zeros(3, "float64")).dtype == keras.config.floatx()
    assert as_input(np.zeros(3, "uint8")).dtype == "uint8"


@pytest.mark.slow
def test_a_file_on_disk_can_be_streamed(few_digits, tmp_path):
    x, y = few_digits.train
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    on_disk = Dataset.from_arrays((mapped, y), few_digits.validation, few_digits.test)
    of_file, of_memory = (
        trainer_of(data, memory_budget=1).train([Member([0.2, 0.2], seed=0)])[0]
        for data in (on_disk, few_digits)
    )
    assert of_file.curves.equals(of_memory.curves)


def test_the_default_budget_is_half_of_what_is_free(monkeypatch):
    assert memory_budget_or_default(123) == 123
    assert memory_budget_or_default(None) > 2**20
    free = SimpleNamespace(available=2**21)
    monkeypatch.setattr("psutil.virtual_memory", lambda: free)
    assert memory_budget_or_default(None) == 2**20


def test_a_budget_is_a_count_of_bytes(few_digits):
    with pytest.raises(ValueError, match="memory_budget"):
        trainer_of(few_digits, memory_budget=0)
