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
# # Preventing overfitting
#
# Which method works best? All the usual methods against overfitting, and one deliberately bad
# choice, run in one race: first each method is tuned over a small range of its own, then all of
# them are trained on the same fresh seeds. We use few training examples on purpose: on all of MNIST
# the differences are smaller than the chance variation of the test examples.
#
# The race trains networks here and now. The other sections show what other experiments found:
# those of [the claims](../docs/claims.md), whose results come with the package.

# %% tags=["parameters"]
profile = "full"  # "fast": a few seconds, on the digits, with fewer methods

# %%
import os

from IPython.display import Markdown, display

from dropout_zoo.training import start_keras

start_keras(announce=False)

import matplotlib.pyplot as plt
import pandas as pd

from dropout_zoo.studies import (
    DifferenceDisplay,
    claims_table,
    compare_methods,
    get_claim,
    split_classes,
    with_fewer_examples,
)
from dropout_zoo.training import load_dataset

pd.set_option("display.max_colwidth", None, "display.precision", 2)
full = profile == "full"
source = os.environ.get("DROPOUT_ZOO_MNIST", "digits") if full else "digits"
# A smaller share of MNIST for validation, because it is measured after every epoch.
large = source != "digits"
data = load_dataset(source, split=(0.80, 0.05, 0.15) if large else (0.70, 0.15, 0.15))
target, others = split_classes(data, [5, 6, 7, 8, 9])
print(f"Profile {profile}. {target.describe()}")

# %% [markdown]
# ## The answer
#
# The task is to classify the digits 5 to 9, so that the hidden layers of one competitor,
# "transfer", can be pretrained on the digits 0 to 4. The network is the documented MLP.
#
# All methods are trained on the same small set of examples, except "more data", which has all of
# them. All methods get the same number of updates, with three exceptions. Methods with more
# examples finish their last epoch, which can add up to one epoch; for "more data" that can be
# nearly as many updates again. "Early stopping" may get fewer, and the hidden layers of "transfer"
# were trained before. Each method is measured after its last epoch with dropout off; only "early
# stopping" is measured at its best epoch, which is chosen on the validation set, to its advantage.
# "flips" mirrors the digits, which is common with photographs and a bad idea here. "no method" is
# the control.

# %%
examples = 1000 if large else 200
race = compare_methods(
    "mlp", target, examples=examples, transfer=with_fewer_examples(others, 5000, seed=0),
    methods=None if full else [
        "L2", "dropout", "dropout + L2", "batch norm then dropout", "dropout then batch norm",
        "flips", "more data",
    ],
    epochs=60 if full else 8, num_seeds=10 if full else 2, num_tuning_seeds=2 if full else 1,
)  # fmt: skip
DifferenceDisplay.from_result(race).plot()
plt.show()


# %%
def show(result):
    display(Markdown("\n".join(f"- {sentence}" for sentence in result.conclusions)))


show(race)

# %% [markdown]
# ## What was tuned
#
# Each option of each method is trained on seeds that the race does not use, and the best one enters
# the race. Both use the same validation examples, to the advantage of methods with more options.

# %%
tuning = pd.DataFrame(race.settings["arguments"]["tuning"])
tuning = tuning[tuning.groupby("method")["option"].transform("size") > 1]
chosen = pd.MultiIndex.from_frame(race.data[["method", "option"]].drop_duplicates())
tuning = tuning.set_index(["method", "option"])
raced = ["yes" if each else "" for each in tuning.index.isin(chosen)]
pd.DataFrame({"validation error (%)": 100 * (1 - tuning["mean"]), "raced": raced})

# %% [markdown]
# ## Who overfits, who underfits?
#
# Training error and validation error in percent, both with dropout off. A method that works by
# restricting training has a high training error; one that only memorizes has none.

# %%
accuracies = race.scores().groupby("method", sort=False)[["train_accuracy", "val_accuracy"]].mean()
errors = 100 * (1 - accuracies.set_axis(["training", "validation"], axis=1))
errors.assign(gap=errors["validation"] - errors["training"])

# %% [markdown]
# ## Dropout with other methods
#
# Srivastava et al. (2014, Table 9) compared regularizers on all of permutation-invariant MNIST with
# a 784-1024-1024-2048-10 network, by the test error in percent: L2 1.62, L1 + L2 1.60, max-norm
# 1.35, dropout + L2 1.25, dropout + max-norm 1.05. Whether the order is the same on 1,000 digits:


# %%
def remember(name):
    display(Markdown(f"**To remember.** {get_claim(name).finding()}"))


display(
    claims_table(
        ["beats-l2", "adds-to-l2", "beats-max-norm", "max-norm-adds-to-dropout",
         "gaussian-beats-bernoulli"]
    )
)  # fmt: skip
remember("adds-to-l2")

# %% [markdown]
# Batch norm with dropout is often worse than dropout alone (Garbin et al. 2020). Li et al. (2018)
# find that dropout should come after batch norm, because it changes the variance that batch norm
# has estimated:

# %%
display(
    claims_table(
        ["batch-norm-does-not-add", "dropout-before-batch-norm-harms",
         "dropout-before-batch-norm-is-worse-than-none"]
    )
)  # fmt: skip
remember("dropout-before-batch-norm-harms")

# %% [markdown]
# ## Where to drop in a CNN
#
# In a CNN, dropout is usually placed after the dense layers only. Srivastava et al. (2014, Table 3;
# secondary source) found on SVHN that dropout in the dense layers alone lowers the error from 3.95
# to 3.02%, and in all layers to 2.55%. On 1,000 digits, with trainings that have ended:

# %%
display(claims_table(["cnn-dense-layers-gain", "cnn-all-layers-gain-more"]))
remember("cnn-all-layers-gain-more")

# %% [markdown]
# In a residual network with batch normalization, Kim et al. (2023) find one position that helps:
# after the last batch norm of a branch, before its last convolution; and in the head, before the
# pooling rather than after it.

# %%
display(
    claims_table(
        ["residual-after-batch-norm-gains", "residual-after-batch-norm-is-best",
         "residual-before-pooling-is-better"]
    )
)  # fmt: skip
remember("residual-after-batch-norm-gains")

# %% [markdown]
# ## What dropout does to a network
#
# A unit that cannot rely on others to be there should do something useful by itself. If so, the
# network loses less when several units are removed together, or when pixels are missing.

# %%
display(
    claims_table(
        ["less-dependent-on-units", "less-correlated-units", "sparser-activations",
         "robust-to-missing-inputs", "input-dropout-robust-to-missing-inputs", "robust-to-noise"]
    )
)  # fmt: skip
remember("less-dependent-on-units")

# %% [markdown]
# ## Cross-validation measures overfitting, it does not prevent it
#
# Cross-validation is often listed among these methods. Here dropout and its control are trained on
# each of several folds, which shows how much the result depends on the draw of the data. The folds
# divide the training and validation sets together, on which the rate was chosen, and share most of
# their training examples, so their intervals are too narrow (Bengio and Grandvalet 2004).

# %%
few = with_fewer_examples(target, examples, seed=0)
folds = compare_methods(
    "mlp", few, examples=examples, methods=["dropout"], folds=5 if full else 2,
    epochs=60 if full else 4, num_tuning_seeds=1,
)  # fmt: skip
show(folds)
