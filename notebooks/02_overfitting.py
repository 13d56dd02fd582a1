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
# # What overfitting looks like
#
# A network overfits when it does better on its training examples than on examples it has not seen.
# Four causes are usually named: training for too long, too few training examples, too large a
# network, and labels that are wrong or one-sided. Here each of them is increased by itself, with
# and without dropout. The base is a thousand MNIST digits: on all 60,000 there is little
# overfitting to see, and dropout gains at most a few tenths of a point (Srivastava et al. 2014,
# Fig. 10).
#
# Each section trains networks here and now, and then shows what other experiments found: those of
# [the claims](../docs/claims.md), whose results come with the package.

# %% tags=["parameters"]
profile = "full"  # "fast": a few seconds, on the digits

# %%
import os

from IPython.display import Markdown, display

from dropout_zoo.training import start_keras

start_keras(announce=False)

import matplotlib.pyplot as plt
import pandas as pd

from dropout_zoo.studies import (
    FactorCurveDisplay,
    LearningCurveDisplay,
    capacity_sweep,
    claim_sentence,
    claims_table,
    data_size_sweep,
    epoch_sweep,
    generalization_gaps,
    get_claim,
    imbalance_sweep,
    label_noise_sweep,
    paired_difference,
    verdict_by_setting,
    with_fewer_examples,
)
from dropout_zoo.training import load_dataset

pd.set_option("display.max_colwidth", None, "display.precision", 2)
full = profile == "full"
source = os.environ.get("DROPOUT_ZOO_MNIST", "digits") if full else "digits"
# A smaller share of MNIST for validation, because it is measured after every epoch.
large = source != "digits"
data = load_dataset(source, split=(0.80, 0.05, 0.15) if large else (0.70, 0.15, 0.15))
few = with_fewer_examples(data, 1000 if large else 300, seed=0)
num_seeds = 10 if full else 2
print(f"Profile {profile}. {few.describe()}")

# %% [markdown]
# ## The answer: training for too long
#
# The documented MLP (784-128-64-10) without dropout, and "as given", with its rates of 0.5 and 0.3,
# on the same examples for many epochs. Solid and dashed lines are measured with dropout off: with
# dropout on, training would look worse than it is. Bands are one standard deviation over the seeds.

# %%
long = epoch_sweep("mlp", few, num_seeds=num_seeds, epochs=100 if full else 40)
LearningCurveDisplay.from_result(long).plot()
plt.show()


# %%
def show(result):
    display(Markdown("\n".join(f"- {sentence}" for sentence in result.conclusions)))


show(long)

# %%
turns = long.scores().pivot(index="seed", columns="dropout", values="best_epoch")
later = paired_difference(turns["as given"], turns["no dropout"])
sentence = claim_sentence(
    "dropout delays the minimum of the validation loss",
    later.low > 0 if later.excludes_zero else None,
    f"it moves by {later.mean:+.1f} epochs ({later.low:+.1f} to {later.high:+.1f} on {later.pairs} "
    f"paired seeds), to {turns['as given'].mean() / turns['no dropout'].mean():.1f} times as many; "
    "Srivastava et al. (2014, Section 11) expect 2 to 3 times",
)
display(Markdown(sentence))

# %% [markdown]
# The verdict on each setting compares measurements with thresholds: the gap between training and
# validation accuracy at the end, the rise of the validation loss after its minimum, its fall at the
# end, the training error, and how far training and validation fall short of the same setting
# without dropout (`deficit`, and `advantage` where validation is better). If an interval includes
# its threshold, the verdict is "undecided".


# %%
def show_verdicts(result):
    rows = {}
    for name, found in verdict_by_setting(result).items():
        numbers = {
            what: f"{value.mean:.3f} ({value.low:.3f} to {value.high:.3f})"
            for what, value in found.measured.items()
        }
        rows[name] = {"verdict": found.label, **numbers}
    display(pd.DataFrame.from_dict(rows, orient="index").fillna("-"))


show_verdicts(long)

# %% [markdown]
# What other experiments found, the first four of them in longer training:

# %%
claims_table(
    ["narrows-the-gap-in-long-training", "lowers-the-rise-in-long-training",
     "lowers-the-final-loss", "lowers-the-error-in-long-training", "adds-to-early-stopping",
     "slows-training"]
)  # fmt: skip


# %%
def remember(name):
    display(Markdown(f"**To remember.** {get_claim(name).finding()}"))


remember("adds-to-early-stopping")

# %% [markdown]
# ## Too few examples
#
# Smaller training sets are trained for more epochs, at most ten times as many, to make the numbers
# of updates as equal as possible. Each seed draws its own examples, so that the intervals include
# the chance of the draw.

# %%
sizes = data_size_sweep(
    "mlp", with_fewer_examples(data, 20_000 if large else 1000, seed=0),
    sizes=[100, 500, 1000, 5000, 20_000] if large else [100, 300, 1000], max_epoch_factor=10,
    epochs=10 if full else 4, subsets="fresh" if full else "shared",
    num_seeds=5 if full else num_seeds,
)  # fmt: skip
figure, axes = plt.subplots(1, 2, figsize=(12, 4), layout="constrained")
FactorCurveDisplay.from_result(sizes, "error").plot(axes[0])
FactorCurveDisplay.from_result(generalization_gaps(sizes)).plot(axes[1])
plt.show()


# %% [markdown]
# The gain of dropout in validation accuracy, in percentage points with its interval, for each
# number of examples. Settings that were not trained to the end say so: their gain is none of
# dropout.


# %%
def show_gains(result, metric, factor):
    gains = result.gains(metric).set_index(factor)
    columns = {"gain": 100, "low": 100, "high": 100}
    table = gains[list(columns)].mul(columns)
    display(table.assign(**{"trained to the end": gains["ended"].map({True: "yes", False: "no"})}))


show_gains(sizes, "val_accuracy", "examples")

# %% [markdown]
# Srivastava et al. (2014, Fig. 10) trained a 784-1024-1024-2048-10 network on 100 to 50,000 digits.
# They saw no gain from dropout with 100 and 500 examples, then a gain that grows and declines
# again. In the claims, networks of 784-256-256-10 are trained for 10,000 updates on each number of
# examples:

# %%
claims_table([f"{name}-at-{size}" for name, size in (
    ("no-gain", 500), *(("lowers-the-error", size) for size in (1000, 5000, 20_000))
)])  # fmt: skip

# %%
remember("lowers-the-error-at-1000")

# %% [markdown]
# ## Too large a network
#
# One hidden layer with more and more units, on the same few examples. Does the validation error
# rise with the size, or only the gap?

# %%
capacity = capacity_sweep(
    "mlp", few, units=[(8,), (32,), (128,), (512,), (2048,)] if full else [(8,), (512,)],
    num_seeds=5 if full else num_seeds, epochs=60 if full else 15,
)  # fmt: skip
figure, axes = plt.subplots(1, 2, figsize=(12, 4), layout="constrained")
FactorCurveDisplay.from_result(capacity, "error").plot(axes[0])
FactorCurveDisplay.from_result(generalization_gaps(capacity)).plot(axes[1])
plt.show()
show_verdicts(capacity)

# %%
alone = capacity.scores().query("dropout == 'no dropout'")
error = 100 * (1 - alone.pivot(index="seed", columns="parameters", values="val_accuracy"))
smallest, largest = error.columns.min(), error.columns.max()
more = paired_difference(error[largest], error[smallest])
sentence = claim_sentence(
    "without dropout, the largest network is worse on unseen examples than the smallest",
    more.low > 0 if more.excludes_zero else None,
    f"the difference in validation error is {more.mean:+.2f} points ({more.low:+.2f} to "
    f"{more.high:+.2f} on {more.pairs} paired seeds)",
    not_ended=[name for name in capacity.not_ended() if name.endswith("no dropout")],
)
display(Markdown(sentence))

# %%
claims_table(["wider-networks-overfit-more", "wider-networks-gain-more", "beats-a-smaller-network"])

# %%
remember("wider-networks-overfit-more")

# %% [markdown]
# ## Wrong labels
#
# Some of the training labels are made wrong; the validation labels stay right. The *memorized*
# share is the share of the wrong labels that the network has learned to predict.

# %%
noise = label_noise_sweep(
    "mlp", few, noise=[0.0, 0.1, 0.2, 0.4] if full else [0.0, 0.2, 0.4],
    num_seeds=5 if full else num_seeds, epochs=100 if full else 25,
)  # fmt: skip
figure, axes = plt.subplots(1, 2, figsize=(12, 4), layout="constrained")
FactorCurveDisplay.from_result(noise, "memorized").plot(axes[0])
FactorCurveDisplay.from_result(noise, "clean_accuracy").plot(axes[1])
axes[0].get_legend().remove()
plt.show()
show_gains(noise, "clean_accuracy", "noise")

# %% [markdown]
# Arpit et al. (2017) found that dropout hinders memorization of noisy labels.

# %%
claims_table(["wrong-labels-cause-overfitting", "wrong-labels-gain-more", "hinders-memorizing"])

# %%
remember("wrong-labels-gain-more")

# %% [markdown]
# ## A rare class
#
# All classes but one keep their examples. What share of the rare class is recognized?

# %%
rare = imbalance_sweep(
    "mlp", few, ratios=[1, 10, 50] if full else [1, 10], num_seeds=5 if full else num_seeds,
    epochs=60 if full else 15,
)  # fmt: skip
FactorCurveDisplay.from_result(rare, "rare_recall").plot()
plt.show()
show_gains(rare, "rare_recall", "imbalance")

# %%
claims_table(["imbalance-causes-overfitting", "helps-a-rare-class"])

# %%
remember("helps-a-rare-class")
