# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Tuning the dropout rates of your own model
#
# You have a compiled Keras model with dropout, and your own arrays. Which rates should it have, and
# are they better than no dropout at all? This notebook takes such a model from the audit to the
# saved file and explains every result on the way.

# %% tags=["parameters"]
profile = "full"  # "fast": a few seconds, on the digits

# %%
import os
import tempfile
from pathlib import Path

from IPython.display import Markdown, display

from dropout_zoo.training import start_keras

start_keras(announce=False)

import keras
import keras_tuner
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from dropout_zoo.models import audit, dropout_sites, with_rates
from dropout_zoo.studies import with_fewer_examples
from dropout_zoo.training import Dataset, load_dataset
from dropout_zoo.tuning import DropoutHyperModel, DropoutTuner, search_space, tune

full = profile == "full"
source = os.environ.get("DROPOUT_ZOO_MNIST", "digits") if full else "digits"


# %%
def remember(text):
    display(Markdown(f"**To remember.** {text}"))


# %% [markdown]
# Your arrays: here images and labels, already split into three parts. The test set is used only
# once, to score the winner. `Dataset.from_arrays` checks the arrays and reports what is wrong with
# them.

# %%
stand_in = with_fewer_examples(load_dataset(source), 2000 if full else 500, seed=0)
(x_train, y_train), (x_validation, y_validation), (x_test, y_test) = (
    stand_in.train, stand_in.validation, stand_in.test,
)  # fmt: skip

data = Dataset.from_arrays(
    train=(x_train, y_train),
    validation=(x_validation, y_validation),
    test=(x_test, y_test),
    source=f"arrays of {stand_in.source}",
)
print(f"Profile {profile}. {data.describe()}")

# %% [markdown]
# Your model: any compiled Keras model. This one contains a common mistake.

# %%
model = keras.Sequential(
    [
        keras.Input(data.input_shape),
        keras.layers.Flatten(),
        keras.layers.Dense(256, "relu"),
        keras.layers.Dropout(0.8, name="first_dropout"),
        keras.layers.Dense(64, "relu"),
        keras.layers.Dropout(0.8, name="second_dropout"),
        keras.layers.Dense(data.num_classes, "softmax"),
    ],
    name="my_model",
)

# %%
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])

# %% [markdown]
# ## The answer
#
# The audit reads the model before anything is trained. Where the mistake is only a rate, it says
# which rate to set instead.

# %%
report = audit(model)
print(report)
model = with_rates(model, report.fixing_rates())

# %% [markdown]
# Then the search. Every trial trains the model with different rates at its two dropout sites, on
# the same seed. The best three are trained on two more seeds. The best of these races against the
# same model without dropout: both are trained on fresh seeds and on new splits of the training and
# validation examples, until it is clear whether dropout helps. Each training run stops when the
# validation loss no longer improves, so `epochs` is only a limit.

# %%
run = Path(tempfile.mkdtemp()) / "run"
settings = {
    "oracle": "bayesian",
    "rates": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7] if full else [0.2, 0.4, 0.6],
    "max_trials": 24 if full else 5,
    "epochs": 150 if full else 10,
    "num_seeds": 20 if full else 3,
}
result = tune(model, data, **settings, directory=run, progress=False)

# %%
result.plot()
plt.show()

# %%
remember(result.sentence)

# %% [markdown]
# ## Step by step
#
# ### What is searched
#
# The search space is read from the model: one hyperparameter per dropout site. Without `rates` it
# would cover the default range, 0.2 to 0.5.

# %%
for name, rates in result.space.choices.items():
    print(f"{name}: tried {rates}; by default: {search_space(model).choices[name]}")

# %%
share = settings["max_trials"] / result.space.size
remember(
    f"The grid has {result.space.size} settings, and {settings['max_trials']} trials cover at most "
    f"{share:.0%} of it."
)

# %% [markdown]
# ### The trials
#
# One row per training run: its rates, its score (the objective at the best epoch), and what else
# was measured at that epoch. The best three trials appear again, on the two seeds of the screening.
# `train_loss` is the training loss with dropout off; `loss` is the one that Keras reports.

# %%
columns = ["setting", "role", "seed", *result.space.choices, "score", "best_epoch"]
columns += ["loss", "train_loss", "val_loss", "val_accuracy"]
trials = result.trials.sort_values("score")[columns]
trials.assign(setting=trials["setting"].where(trials["role"] == "control", "")).head(12).round(4)

# %% [markdown]
# A search picks the lowest of many noisy scores, each from a single seed. How much did chance
# favor the choice? The score of the finalist in the run that made it a candidate, and on the two
# other seeds of the screening:

# %%
sites = list(result.space.choices)
finalist = result.comparison[result.comparison["role"] == "finalist"].iloc[0]
sign = 1 if result.objective.direction == "max" else -1
without = result.trials.set_index("setting").loc[result.control, "score"]
same_rates = (result.trials[sites] == finalist[sites].to_numpy()).all(axis=1)
in_search = result.trials[same_rates].groupby("role")["score"].mean()
in_trial = in_search.drop("screening").mean()
scores = {
    "in the trial that made it a candidate": in_trial,
    "in the screening, mean of 2 seeds": in_search.get("screening", np.nan),
}
pd.Series(scores, name=f"{result.objective.name} of the finalist").to_frame().round(4)

# %%
promised, measured = sign * (in_trial - without), finalist["gain"]
remember(
    f"The trial promised a gain of {promised:.4f} over no dropout on its own seed ({without:.4f}); "
    f"the race, on fresh seeds, measured {measured:.4f}, "
    f"{'less' if measured < promised else 'no less'} than promised."
)

# %% [markdown]
# ### The race, with its interval
#
# The answer rests on this: the gain over no dropout, paired by seed. The interval allows for the
# looks at the race while it ran, and for splits of the same examples, which overlap.

# %%
print(result.summary())

# %% [markdown]
# Where the runs of the race had their lowest validation loss, with the training loss at that epoch
# (dropout off). No run may be longer than `epochs`:

# %%
curves = result.curves[result.curves["phase"] == "race"]
by_setting = curves.groupby(["setting", "seed"])["val_loss"].idxmin()
table = curves.loc[by_setting].groupby("setting")[["epoch", "train_loss", "val_loss"]].mean()
lengths = curves.groupby(["setting", "seed"])["epoch"].max()
table.assign(**{"longest run": lengths.groupby("setting").max()}).round(4)

# %%
limited = (lengths >= settings["epochs"]).sum()
gain, low, high = (finalist[name] for name in ("gain", "low", "high"))
remember(
    f"The gain over no dropout is {gain:.4f} ({low:.4f} to {high:.4f}), paired by seed; {limited} "
    f"of the {len(lengths)} runs of the race reached the limit of {settings['epochs']} epochs."
)

# %% [markdown]
# ### The best model
#
# A plain Keras model with plain `Dropout` layers at the recommended rates and the weights of its
# best seed and epoch on the data as they were split. It does not need this package.

# %%
best = result.best_model()
best.save(run.parent / "my_model.keras")
loaded = keras.models.load_model(run.parent / "my_model.keras")
first, second = (each.predict(x_test[:100], verbose=0) for each in (loaded, best))
same = np.array_equal(first, second)
facts = {
    "rates": ", ".join(f"{site.path} {site.rate:.2f}" for site in dropout_sites(loaded)),
    "layers": ", ".join(type(layer).__name__ for layer in loaded.layers),
    "on the test set": ", ".join(f"{name} {value:.4f}" for name, value in result.test.items()),
}
rows = [f"| {name} | {value} |" for name, value in facts.items()]
display(Markdown("\n".join(["| | |", "|---|---|", *rows])))

# %%
remember(
    f"Saved and loaded with Keras, the best model predicts {'the same' if same else 'differently'}."
)

# %% [markdown]
# ### The run directory
#
# It holds all the results behind the answer.

# %%
meanings = {
    "search.json": "the settings of the run, its search space, model, data and versions",
    "trials.csv": "one row per training run of the search",
    "finalists.csv": "one row per training run of the race",
    "race.parquet": "the race as a study, for `StudyResult.from_parquet`",
    "curves.parquet": "one row per epoch of every training run",
    "outcome.json": "the answer, for programs to read",
    "manifest.json": "size and checksum of each file, which `dropout-zoo verify` compares",
    "rates.png": "the plot",
    "best.keras": "the best model",
}

# %%
rows = [f"| {path.name} | {meanings.get(path.name, '')} |" for path in sorted(run.iterdir())]
display(Markdown("\n".join(["| file | contents |", "|---|---|", *rows])))

# %%
curves = pd.read_parquet(run / "curves.parquet")
print(f"Columns of curves.parquet: {', '.join(curves.columns)}")

# %%
remember(
    f"The {len(rows)} files keep all {len(curves):,} epochs of all {curves['setting'].nunique()} "
    "settings, so that their learning curves can be compared without training again."
)

# %% [markdown]
# ### Resuming an interrupted run
#
# Each run is saved as soon as it is finished. The same call with `resume=True` (on the command
# line, `--resume`) reads what is there and trains the rest, even after `kill -9`. Here the run is
# complete, so nothing is left to train. With different settings it is refused, because the answer
# would be to a different question.

# %%
again = tune(model, data, **settings, directory=run, resume=True, progress=False)
answer = "the same answer" if again.sentence == result.sentence else "another answer"
try:
    other = settings | {"epochs": settings["epochs"] + 1}
    tune(model, data, **other, directory=run, resume=True, progress=False)
except ValueError as error:
    print(str(error).replace(str(run), "RUN"))

# %%
remember(f"A finished run that is resumed gives {answer}, and other settings are refused.")

# %% [markdown]
# ## Together with KerasTuner
#
# If you already have a KerasTuner search, keep it. `DropoutTuner` takes any KerasTuner oracle and
# trains many trials at a time; read its results as usual.

# %%
oracle = keras_tuner.oracles.RandomSearchOracle(
    objective=keras_tuner.Objective("val_loss", "min"), max_trials=6 if full else 3, seed=1
)
tuner = DropoutTuner(
    oracle, DropoutHyperModel(model), directory=run.parent, project_name="own_oracle"
)
tuner.search(data, epochs=25 if full else 10)
pd.DataFrame(
    {**trial.hyperparameters.values, "val_loss": trial.score, "best epoch": trial.best_step}
    for trial in oracle.get_best_trials(6)
).round(4)

# %% [markdown]
# Conversely, any KerasTuner tuner takes `DropoutHyperModel` as its search space. It trains one
# trial after another with `Model.fit`.

# %%
plain = keras_tuner.RandomSearch(
    DropoutHyperModel(model), "val_loss", max_trials=2, seed=1,
    directory=run.parent, project_name="plain",
)  # fmt: skip
plain.search(x_train, y_train, validation_data=(x_validation, y_validation), epochs=3, verbose=0)
print(plain.get_best_hyperparameters()[0].values)

# %%
best_trial = oracle.get_best_trials(1)[0]
of_search = result.trials.loc[result.trials["role"] == "trial", "score"].min()
remember(
    f"The best of {len(oracle.get_best_trials(6))} random trials has a validation loss of "
    f"{best_trial.score:.4f} and that of the search above {of_search:.4f}, each on one seed, so "
    "neither is an answer before a race on fresh seeds."
)
