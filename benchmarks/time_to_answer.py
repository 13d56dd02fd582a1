"""How long a search takes until its choice is as good as any: KerasTuner's searches, and `tune`.

    python benchmarks/time_to_answer.py [--mnist mnist.npz] [--only NAME ...] [--repeat 3]

Each contender searches the same rates of the same model on the same data, in a process of its own,
one after another. Training ends by the same patience. KerasTuner's `RandomSearch` and `Hyperband`
train each setting three times (`executions_per_trial=3`), as its documentation recommends against
noise. What each would have answered after each trial is then trained again on ten fresh seeds. A
choice counts as good if its mean validation loss there is at most half a standard deviation of
single training runs above the lowest mean of any choice; the time of a contender is that from
which all its choices are good. Imports do not count, all else does. Writes `time_to_answer.json`.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

RESULTS = Path(__file__).with_suffix(".json")
CONTENDERS = ("RandomSearch", "Hyperband", "tune")
RATES = (0.2, 0.3, 0.4, 0.5)
EXECUTIONS = 3
FRESH_SEEDS = range(1000, 1010)
TOLERANCE = 0.5  # standard deviations of single training runs

Choice = tuple[float, Mapping[str, float]]
"""Seconds since the search began, and the rates by site path that it would answer then."""


@dataclass(frozen=True)
class Work:
    """A search.

    Attributes:
        name: its name.
        model: a registered model.
        data: a dataset of `load_dataset`, or ``"mnist"``.
        examples: number of training examples; None for all.
        sites: sites that are searched, by the argument of the builder that sets their rates.
        goal: how many times as long KerasTuner is to take.
        batch_size: batch size.
    """

    name: str
    model: str
    data: str
    examples: int | None
    sites: Mapping[str, Sequence[str]]
    goal: float
    batch_size: int = 32

    def load(self, mnist: str | None) -> Any:
        """Return the data."""
        from dropout_zoo.studies import with_fewer_examples
        from dropout_zoo.training import load_dataset

        if self.data != "mnist":
            return load_dataset(self.data)
        assert self.examples is not None
        data = load_dataset(mnist or "mnist", split=(0.97, 0.03))
        return with_fewer_examples(data, self.examples, seed=0)

    def build(self, data: Any, rates: Mapping[str, float] | None = None) -> Any:
        """Return the model with some rates, or with its own."""
        from dropout_zoo.models import create_model

        chosen = {}
        for argument, paths in self.sites.items() if rates else ():
            values = [rates[path] for path in paths]
            chosen[argument] = values if argument == "hidden_rates" else values[0]
        shape = (*data.input_shape, 1)[:3] if self.model == "cnn" else data.input_shape
        return create_model(self.model, input_shape=shape, num_classes=data.num_classes, **chosen)

    @property
    def paths(self) -> list[str]:
        """The sites that are searched."""
        return [path for paths in self.sites.values() for path in paths]


WORKS = (
    Work(
        "MLP, 3,000 MNIST",
        "mlp",
        "mnist",
        3000,
        {"hidden_rates": ["hidden_1_dropout", "hidden_2_dropout"]},
        15,
    ),
    Work("CNN, 1,000 MNIST", "cnn", "mnist", 1000, {"hidden_rates": ["hidden_1_dropout"]}, 4, 64),
    Work(
        "LSTM, topics",
        "lstm",
        "topics",
        None,
        {"embedding_rate": ["embedding_dropout"], "hidden_rates": ["lstm_1_dropout"]},
        6,
    ),
    Work(
        "transformer, topics",
        "transformer",
        "topics",
        None,
        {"embedding_rate": ["embedding_dropout"]},
        6,
    ),
)


def search(work: Work, contender: str, mnist: str | None, seed: int) -> dict[str, Any]:
    """Search in this process, and return the choices."""
    if contender == "tune":
        from dropout_zoo.training import start_keras

        start_keras(announce=False, model=work.model)  # as the command line does
    data = work.load(mnist)
    run = by_tune if contender == "tune" else by_keras_tuner
    choices = run(work, data, contender, seed)
    return {"seconds": choices[-1][0], "choices": choices}


def by_tune(work: Work, data: Any, contender: str, seed: int) -> list[Choice]:
    """Search with `tune`, whose choices are the best trial and, after the race, its answer."""
    from dropout_zoo.tuning import tune

    model = work.build(data)
    started = time.perf_counter()
    result = tune(
        model,
        data,
        rates=dict.fromkeys(work.paths, RATES),
        batch_size=work.batch_size,
        seed=seed,
        progress=False,
    )
    seconds = time.perf_counter() - started
    trials = result.trials[result.trials["role"] == "trial"]
    best = trials.loc[trials["score"].idxmin()]
    return [
        (result.search_seconds, {path: float(best[path]) for path in work.paths}),
        (seconds, {path: result.best_rates[path] for path in work.paths}),
    ]


def by_keras_tuner(work: Work, data: Any, contender: str, seed: int) -> list[Choice]:
    """Search with KerasTuner alone, as its users write it."""
    import keras
    import keras_tuner

    from dropout_zoo.training import targets_for
    from dropout_zoo.tuning.search.training_length import with_default_length

    model = work.build(data)
    length = with_default_length({"batch_size": work.batch_size}, data.num_examples())
    train, validation = (
        (x, targets_for(model, y, data.num_classes)) for x, y in (data.train, data.validation)
    )
    choices: list[Choice] = []

    def build(hp: Any) -> Any:
        return work.build(data, {path: hp.Choice(path, RATES, ordered=True) for path in work.paths})

    class Timed(getattr(keras_tuner, contender)):  # type: ignore[misc]
        def on_trial_end(self, trial: Any) -> None:
            super().on_trial_end(trial)
            best = self.oracle.get_best_trials()[0].hyperparameters.values
            chosen = {path: best[path] for path in work.paths}
            choices.append((time.perf_counter() - started, chosen))

    most = len(RATES) ** len(work.paths)
    limit = {"max_epochs": length["epochs"]} if contender == "Hyperband" else {"max_trials": most}
    with tempfile.TemporaryDirectory() as folder:
        tuner = Timed(
            build,
            "val_loss",
            executions_per_trial=EXECUTIONS,
            seed=seed + 1,
            directory=folder,
            **limit,
        )
        started = time.perf_counter()
        tuner.search(
            *train,
            validation_data=validation,
            epochs=length["epochs"],
            batch_size=work.batch_size,
            callbacks=[keras.callbacks.EarlyStopping("val_loss", patience=length["patience"])],
            verbose=0,
        )
    return choices


def judge(work: Work, mnist: str | None, settings: list[Mapping[str, float]]) -> dict[str, Any]:
    """Train settings on fresh seeds in this process, and return the loss of each run."""
    from dropout_zoo.training import Member, start_keras, train_members
    from dropout_zoo.tuning.search.training_length import with_default_length

    start_keras(announce=False, model=work.model)
    data = work.load(mnist)
    length = with_default_length({"batch_size": work.batch_size}, data.num_examples())
    members = [Member(rates, seed) for rates in settings for seed in FRESH_SEEDS]
    trained = train_members(work.build(data), members, data, **length)
    scores = [each.score for each in trained]
    runs = len(FRESH_SEEDS)
    return {"scores": [scores[at : at + runs] for at in range(0, len(scores), runs)]}


def compare(work: Work, mnist: str | None, repeat: int) -> list[dict[str, Any]]:
    """Run all contenders on one search, and time their answers."""
    found: dict[str, list[dict[str, Any]]] = {contender: [] for contender in CONTENDERS}
    for seed in range(repeat):
        for contender in CONTENDERS:
            print(f"{work.name}: {contender}, seed {seed} ...", file=sys.stderr, flush=True)
            arguments = {"work": work.name, "contender": contender, "seed": seed}
            found[contender].append(in_process(arguments, mnist))
    settings: list[Mapping[str, float]] = []
    for each in (run for runs in found.values() for run in runs):
        settings += [rates for _, rates in each["choices"] if rates not in settings]
    print(f"{work.name}: {len(settings)} choices ...", file=sys.stderr, flush=True)
    scores = in_process({"work": work.name, "settings": settings}, mnist)["scores"]
    means = [statistics.mean(each) for each in scores]
    best = min(means)
    good = best + TOLERANCE * statistics.stdev(scores[means.index(best)])

    def time_of_answer(choices: Sequence[Choice]) -> float | None:
        since = None
        for seconds, rates in choices:
            if means[settings.index(rates)] > good:
                since = None
            elif since is None:
                since = seconds
        return since

    def middle(values: Sequence[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return statistics.median(known) if len(known) > len(values) / 2 else None

    rows = []
    for contender, runs in found.items():
        answers = [time_of_answer(run["choices"]) for run in runs]
        last = [means[settings.index(run["choices"][-1][1])] for run in runs]
        rows.append(
            {
                "work": work.name,
                "contender": contender,
                "searches": repeat,
                "found": sum(answer is not None for answer in answers),
                "seconds_to_answer": middle(answers),
                "seconds": statistics.median(run["seconds"] for run in runs),
                "loss": statistics.mean(last),
                "lowest_loss": best,
                "tolerance": good - best,
                "goal": work.goal,
            }
        )
    return rows


def in_process(arguments: Mapping[str, Any], mnist: str | None) -> dict[str, Any]:
    """Run a part in its own process."""
    command = [sys.executable, __file__, "--part", json.dumps(arguments)]
    ran = subprocess.run(
        [*command, *(["--mnist", mnist] if mnist else [])], capture_output=True, text=True
    )
    if ran.returncode:
        raise SystemExit(ran.stderr[-3000:])
    return json.loads(ran.stdout.splitlines()[-1])


def report(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print the table."""
    for row in rows:
        answer = row["seconds_to_answer"]
        print(
            f"{row['work']:<22}{row['contender']:<14}"
            f"{'not found' if answer is None else f'{answer:.1f} s':>11}"
            f"{row['seconds']:>9.1f} s{row['found']:>4} of {row['searches']}"
            f"{row['loss']:>9.4f} (lowest {row['lowest_loss']:.4f} + {row['tolerance']:.4f})"
        )


def main() -> None:
    """Run all contenders on all searches or, with --part, one part in this process."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mnist", default=os.environ.get("DROPOUT_ZOO_MNIST"))
    parser.add_argument("--only", nargs="+", help="searches whose names contain one of these")
    parser.add_argument("--repeat", type=int, default=3, help="number of searches by each")
    parser.add_argument("--part", type=json.loads, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.part:
        part = dict(arguments.part)
        work = next(each for each in WORKS if each.name == part.pop("work"))
        run = judge if "settings" in part else search
        print(json.dumps(run(work, mnist=arguments.mnist, **part)))
        return
    only = arguments.only or [""]
    works = [each for each in WORKS if any(name in each.name for name in only)]
    rows = [row for work in works for row in compare(work, arguments.mnist, arguments.repeat)]
    from dropout_zoo.training.provenance import processor_name

    machine = {"cores": len(os.sched_getaffinity(0)), "processor": processor_name()}
    rows = [row | {"machine": machine} for row in rows]
    report(rows)
    known = json.loads(RESULTS.read_text())["rows"] if RESULTS.exists() else []
    measured = {row["work"] for row in rows}
    rows = [row for row in known if row["work"] not in measured] + rows
    RESULTS.write_text(json.dumps({"rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
