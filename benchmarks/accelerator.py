"""Members vectorized on an accelerator by Keras's JAX backend, compared with `Model.fit` there.

    python benchmarks/accelerator.py [--mnist mnist.npz] [--models mlp cnn vit] [--cpu] [--toy]

Runs on the device that JAX finds, within six minutes on a GPU; with `--cpu`, by the TensorFlow
engine on the CPU, for comparison. The unit is model steps per second: steps of the optimizer times
members. The contenders train the same model on the same examples with batches of 128, and measure
the same validation set after every epoch. The numbers of examples are multiples of the sizes of
batches, so that no program is compiled for a smaller last one:

- `Model.fit` in its best case: one model, compiled before the clock starts, nothing written to
  disk;
- the engine, with everything but imports and compiling: initial weights, data orders, measuring
  the validation set and the training sample, and writing the weights of all members. The members
  have 41 rates from 0 to 0.8 and eight seeds, so that their orders of the data differ.

The share of the peak counts the floating-point operations in matrix products and convolutions, and
divides by the speed of a large matrix product of JAX's default precision on the same device.
Agreement is the largest difference in validation loss from `Model.fit` with the same rates and
seeds after one epoch, at JAX's default precision and in full float32.

Each model is measured in a process of its own, because JAX reports the peak of memory since the
start of the process. Prints a table and adds what was measured to `benchmarks/accelerator.json`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

    from dropout_zoo.training import Dataset, Member

RESULTS = Path(__file__).with_suffix(".json")
BATCH_SIZE = 128
SEEDS = 8
SPLIT = (5 / 7, 1 / 7, 1 / 7)  # of MNIST's 60,000: 50,000 to train on, 10,000 to validate
BACKWARD = 2  # a backward pass takes twice the operations of a forward pass


@dataclass(frozen=True)
class Work:
    """What a model is measured on.

    Attributes:
        examples: number of training examples.
        epochs: epochs of each member.
        members: numbers of members that are trained together.
    """

    examples: int
    epochs: int
    members: Sequence[int]

    @property
    def steps(self) -> int:
        """Steps of the optimizer for each member."""
        return self.epochs * -(-self.examples // BATCH_SIZE)


WORK = {
    "mlp": Work(390 * BATCH_SIZE, 3, (16, 64, 256, 1024)),
    "cnn": Work(78 * BATCH_SIZE, 3, (16, 64, 256)),
    "vit": Work(78 * BATCH_SIZE, 3, (16, 64)),
}
HELD_OUT = 39 * 256  # 256 at a time
CPU_MEMBERS = (8,)
TOY = Work(256, 1, (2, 4))


def main() -> None:
    """Measure, print the table and write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mnist", default=os.environ.get("DROPOUT_ZOO_MNIST"))
    parser.add_argument("--models", nargs="+", choices=WORK, default=list(WORK))
    parser.add_argument("--cpu", action="store_true", help="the TensorFlow engine on the CPU")
    parser.add_argument(
        "--seconds",
        type=float,
        default=110,
        help="for each model",
    )
    parser.add_argument("--members", type=int, nargs="*", help="numbers of them; none for none")
    parser.add_argument("--agreement", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--toy", action="store_true", help="a few steps, to try the program")
    parser.add_argument("--output", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    if len(arguments.models) > 1:
        others = sys.argv[1:]
        codes = [
            subprocess.run([sys.executable, __file__, *others, "--models", name]).returncode
            for name in arguments.models
        ]
        sys.exit(max(map(abs, codes)))
    name = arguments.models[0]
    os.environ["KERAS_BACKEND"] = "tensorflow" if arguments.cpu else "jax"
    work = TOY if arguments.toy else WORK[name]
    if arguments.members is not None:
        work = replace(work, members=arguments.members)
    elif arguments.cpu and not arguments.toy:
        work = replace(work, members=CPU_MEMBERS)
    found = json.loads(arguments.output.read_text()) if arguments.output.exists() else {}
    for device, measured in measure(name, work, arguments):
        entry = found.setdefault(device, {"models": {}})
        entry["versions"] = versions()
        entry["models"].setdefault(name, {}).update(measured)
        arguments.output.write_text(json.dumps(found, indent=1) + "\n")


def measure(
    name: str, work: Work, arguments: argparse.Namespace
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the device and what has been measured on it, again after each row."""
    began = time.perf_counter()
    from dropout_zoo.models import create_model
    from dropout_zoo.training import start_keras

    start_keras()
    model, data, device = create_model(name), examples(work, arguments), device_name()
    found: dict[str, Any] = {}
    if work.members:
        found = speed_alone(model, data, work)
        say(f"{device}, {name}: Model.fit {found['fit_model_steps_per_second']:,.0f} steps/s")
        yield device, found
    spent = 0.0
    for count in work.members:
        started = time.perf_counter()
        if started - began + 2 * spent > arguments.seconds:
            found["skipped"] = [n for n in work.members if n >= count]
            say(f"{name}: no time left for {found['skipped']} members")
            break
        row = together(model, data, work, count)
        row["ratio"] = row["model_steps_per_second"] / found["fit_model_steps_per_second"]
        if on_jax():
            useful = row["model_steps_per_second"] * found["flops_per_model_step"]
            row["share_of_peak"] = useful / found["peak_flops"]
        found["rows"].append(row)
        say(f"{name}: " + ", ".join(f"{key} {value:,.4g}" for key, value in row.items()))
        yield device, found
        spent = time.perf_counter() - started
    for precision in ("float32", "default") if arguments.agreement else ():
        difference = agreement(model, data, precision)
        found[f"agreement_{precision}"] = difference
        say(f"{name}, {precision}: within {difference:.2g} of the validation losses of Model.fit")
        yield device, found


def examples(work: Work, arguments: argparse.Namespace) -> Dataset:
    """Load images of 28 x 28 pixels, or draw noise where no file is given."""
    import numpy as np

    from dropout_zoo.training import Dataset, load_dataset

    if arguments.mnist is not None:
        data = load_dataset(arguments.mnist, split=SPLIT)
        (x, y), (validation_x, validation_y) = data.train, data.validation
    else:
        random = np.random.default_rng(0)
        x, validation_x = random.random((2, work.examples, 28, 28), "float32")
        y, validation_y = random.integers(10, size=(2, work.examples))
    held = BATCH_SIZE if arguments.toy else HELD_OUT
    return Dataset.from_arrays(
        (x[: work.examples], y[: work.examples]), (validation_x[:held], validation_y[:held])
    )


def speed_alone(model: keras.Model, data: Dataset, work: Work) -> dict[str, Any]:
    """Measure model steps per second of `Model.fit`, and what the shares of the peak rest on."""
    import keras

    from dropout_zoo.training import targets_for

    fitted = keras.models.clone_model(model)
    fitted.compile_from_config(model.get_compile_config())
    (x, y), validation = (
        (part[0], targets_for(model, part[1], data.num_classes))
        for part in (data.train, data.validation)
    )
    settings: dict[str, Any] = {
        "batch_size": BATCH_SIZE,
        "validation_data": validation,
        "verbose": 0,
    }
    fitted.fit(x, y, epochs=1, **settings)
    started = time.perf_counter()
    fitted.fit(x, y, epochs=work.epochs, **settings)
    found = {
        "examples": len(x),
        "epochs": work.epochs,
        "batch_size": BATCH_SIZE,
        "fit_model_steps_per_second": work.steps / (time.perf_counter() - started),
        "rows": [],
    }
    if on_jax():
        found["peak_flops"] = peak_flops()
        found["flops_per_model_step"] = (1 + BACKWARD) * matrix_flops(model)
    return found


def together(model: keras.Model, data: Dataset, work: Work, count: int) -> dict[str, float]:
    """Time members trained together: an epoch, which compiles, then a whole run."""
    from dropout_zoo.training import MemberTrainer, TrainSettings

    members = [member(model, number) for number in range(count)]
    trainer = MemberTrainer(model, data, TrainSettings(epochs=work.epochs, batch_size=BATCH_SIZE))
    walls = []
    for chosen in ([replace(each, epochs=1) for each in members], members):
        started = time.perf_counter()
        trained = trainer.train(chosen)
        walls.append(time.perf_counter() - started)
    first, whole = walls
    row = {
        "members": count,
        "at_a_time": min(count, trainer.max_parallel),
        "seconds": whole,
        "compile_seconds": max(0.0, first - whole / work.epochs),
        "model_steps_per_second": count * work.steps / whole,
        "best_val_loss": min(each.score for each in trained),
    }
    if on_jax():
        import jax

        stats = jax.local_devices()[0].memory_stats() or {}
        if "peak_bytes_in_use" in stats:
            row["peak_bytes"] = stats["peak_bytes_in_use"]
    return row


def member(model: keras.Model, number: int) -> Member:
    """Return one of the members, whose rates and seeds depend on its number alone."""
    import numpy as np

    from dropout_zoo.models import dropout_sites
    from dropout_zoo.training import Member

    rates = np.linspace(0.0, 0.8, 41)
    sites = dropout_sites(model)
    chosen = [rates[number // len(rates) ** place % len(rates)] for place in range(len(sites))]
    return Member(chosen, number % SEEDS)


def agreement(model: keras.Model, data: Dataset, precision: str) -> float:
    """Return the difference in validation loss from `Model.fit` after an epoch of 16 steps."""
    from dropout_zoo.models.graph.sites import settable_sites
    from dropout_zoo.training import Dataset, MemberTrainer, TrainSettings
    from dropout_zoo.training.engine.keras_fit import fit_member
    from dropout_zoo.training.members import completed_rates

    with full_precision() if precision == "float32" else contextlib.nullcontext():
        few = Dataset.from_arrays(
            tuple(part[: 16 * BATCH_SIZE] for part in data.train), data.validation
        )
        settings = TrainSettings(epochs=1, batch_size=BATCH_SIZE)
        trainer = MemberTrainer(model, few, settings, update="keras")
        members = [member(model, number) for number in (25, 26)]
        trained = trainer.train(members)
        given = {site.path: site.rate for site in settable_sites(model)}
        rates = completed_rates(given, members[0])
        fitted = fit_member(trainer.plan, members[0], rates, 2)
    return abs(trained[0].score - fitted.score)


def full_precision() -> contextlib.AbstractContextManager[Any]:
    """Return a context in which JAX multiplies float32 numbers in full."""
    if not on_jax():
        return contextlib.nullcontext()
    import jax

    return jax.default_matmul_precision("highest")


def peak_flops(size: int = 8192) -> float:
    """Measure operations per second of a matrix product of JAX's default precision."""
    import jax

    if jax.devices()[0].platform == "cpu":
        size = 1024
    a, b = jax.random.normal(jax.random.key(0), (2, size, size))
    product = jax.jit(lambda a, b: a @ b)
    product(a, b).block_until_ready()
    times = []
    for _ in range(10):
        started = time.perf_counter()
        product(a, b).block_until_ready()
        times.append(time.perf_counter() - started)
    return float(2 * size**3 / sorted(times)[len(times) // 2])


def matrix_flops(model: keras.Model) -> int:
    """Count the operations of a forward pass on a batch, in matrix products and convolutions."""
    import jax

    state = [
        [v.value for v in part]
        for part in (model.trainable_variables, model.non_trainable_variables)
    ]
    batch = jax.ShapeDtypeStruct((BATCH_SIZE, *model.input_shape[1:]), "float32")
    program = jax.make_jaxpr(lambda x: model.stateless_call(*state, x, training=True))(batch)
    return _flops_in(program.jaxpr)


def _flops_in(jaxpr: Any) -> int:
    import math

    import jax

    total = 0
    for equation in jaxpr.eqns:
        for inner in jax.tree.leaves(list(equation.params.values())):
            if hasattr(inner, "jaxpr"):
                total += _flops_in(inner.jaxpr)
        outputs = sum(math.prod(out.aval.shape) for out in equation.outvars)
        if equation.primitive.name == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            left = equation.invars[0].aval.shape
            total += 2 * outputs * math.prod(left[axis] for axis in contracted)
        elif equation.primitive.name == "conv_general_dilated":
            kernel = equation.invars[1].aval.shape
            features = equation.params["dimension_numbers"].rhs_spec[0]
            total += 2 * outputs * math.prod(kernel) // kernel[features]
    return total


def on_jax() -> bool:
    """Whether Keras runs on JAX."""
    return os.environ["KERAS_BACKEND"] == "jax"


def device_name() -> str:
    """Return the name of the device that trains."""
    if on_jax():
        import jax

        if jax.devices()[0].platform != "cpu":
            return str(jax.devices()[0].device_kind)
    from dropout_zoo.training.provenance import processor_name

    cores = len(os.sched_getaffinity(0))
    return f"{cores} cores of {processor_name()}, {os.environ['KERAS_BACKEND']}"


def versions() -> dict[str, str]:
    """Return the versions of the libraries that matter."""
    import importlib

    import keras

    backend = importlib.import_module(os.environ["KERAS_BACKEND"])
    return {"keras": keras.__version__, backend.__name__: backend.__version__}


def say(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)


if __name__ == "__main__":
    main()
