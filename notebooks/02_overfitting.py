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
# Four causes are usually named: too few training examples, too large a network, training for too
# long, and wrong labels, which can only be memorized. Here each of them is increased by itself,
# with and without dropout. The base is a thousand MNIST digits: on all 60,000 there is little
# overfitting to see, and dropout gains at most a few tenths of a point (Srivastava et al. 2014,
# Fig. 10).

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
    data_size_sweep,
    epoch_sweep,
    generalization_gaps,
    label_noise_sweep,
    paired_difference,
    verdict_by_setting,
    with_fewer_examples,
)
from dropout_zoo.training import load_dataset

full = profile == "full"
source = os.environ.get("DROPOUT_ZOO_MNIST", "digits") if full else "digits"
# A smaller share of MNIST for validation, because it is measured after every epoch.
large = source != "digits"
data = load_dataset(source, split=(0.80, 0.05, 0.15) if large else (0.70, 0.15, 0.15))
few = with_fewer_examples(data, 1000 if large else 300, seed=0)
num_seeds = 5 if full else 2
print(f"Profile {profile}. {few.describe()}")

# %% [markdown]
# ## The answer
#
# The documented MLP (784-128-64-10) without dropout, and "as given", with its rates of 0.5 and 0.3.
# The *gap* is the accuracy on training examples minus the accuracy on validation examples, after
# the last epoch. Both are measured with dropout off: with dropout on, training would look worse
# than it is.

# %%
sizes = data_size_sweep(
    "mlp", with_fewer_examples(data, 20_000 if large else 1000, seed=0), num_seeds=num_seeds,
    sizes=[100, 500, 1000, 5000, 20_000] if large else [100, 300, 1000],
    epochs=6 if full else 4, max_epoch_factor=10, subsets="fresh" if full else "shared",
)  # fmt: skip
widths = [(8,), (32,), (128,), (512,), (2048,)] if full else [(8,), (512,)]
capacity = capacity_sweep("mlp", few, units=widths, num_seeds=num_seeds, epochs=30 if full else 15)
long = epoch_sweep("mlp", few, num_seeds=num_seeds, epochs=100 if full else 40)
noise = label_noise_sweep(
    "mlp", few, noise=[0.0, 0.1, 0.2, 0.4] if full else [0.0, 0.2, 0.4], num_seeds=num_seeds,
    epochs=50 if full else 25,
)  # fmt: skip

# %%
size_gaps, capacity_gaps, long_gaps = map(generalization_gaps, (sizes, capacity, long))
figure, axes = plt.subplots(2, 2, figsize=(13, 8), layout="constrained")
FactorCurveDisplay.from_result(size_gaps).plot(axes[0, 0])
FactorCurveDisplay.from_result(capacity_gaps).plot(axes[0, 1])
LearningCurveDisplay.from_result(long, metrics=["loss"]).plot(axes[1, 0])
FactorCurveDisplay.from_result(noise, "memorized").plot(axes[1, 1])
titles = ["Too few examples", "Too large a network", "Training for too long", "Wrong labels"]
for axis, title in zip(axes.flat, titles, strict=True):
    axis.set_title(title)
    axis.set_ylabel(axis.get_ylabel().replace(" (points", "\n(points"))
plt.show()


# %%
def change(row, ended):
    """Describe how far dropout lowers a quantity, from a row of gains or a paired difference."""
    if not ended:
        return "not compared with dropout, because training had not ended"
    lower, low, high = row
    if lower < 0:  # the interval is that of the number shown
        low, high = -high, -low
    clear = "" if low > 0 or high < 0 else ", which includes 0"
    word = "lower" if lower >= 0 else "higher"
    return f"{abs(lower):.1f} points {word} with dropout ({low:.1f} to {high:.1f}{clear})"


def memorized(result):
    """Return how much dropout lowers the memorized share, by share of wrong labels."""
    found = {}
    for share, group in result.scores().dropna(subset="memorized").groupby("noise"):
        by_seed = 100 * group.pivot(index="seed", columns="dropout", values="memorized")
        found[share] = paired_difference(by_seed["no dropout"], by_seed["as given"])
    return found


lines = []
for title, gaps in zip(titles, (size_gaps, capacity_gaps, long_gaps), strict=False):
    alone = gaps.means().query("dropout == 'no dropout'").set_index("setting")["mean"]
    most, least = alone.idxmax(), alone.idxmin()
    row = gaps.gains().set_index("control").loc[most]
    found = change(row[["gain", "low", "high"]], row["ended"])
    text = f"the gap is {alone[most]:.1f} points ({most})"
    several = len(alone) > 1
    text += f", and {alone[least]:.1f} ({least})" if several else ""
    lines.append(f"- **{title}**: {text}; {'the first' if several else 'it'} is {found}.")
share, found = max(memorized(noise).items())
known = noise.means("memorized").set_index(["noise", "dropout"])["mean"]
clean = noise.gains("clean_accuracy").set_index("noise")
lines.append(
    f"- **Wrong labels**: with {share:.0%} wrong labels and no dropout, "
    f"{100 * known[share, 'no dropout']:.1f}% of them are memorized; that is "
    f"{change(found[:3], clean.loc[share, 'ended'])}."
)
lines.append(
    f"- Intervals: Student's t over {num_seeds} paired seeds. The first three are corrected by "
    "Holm's method for all settings of their sweep; the last is a 95% interval."
)
display(Markdown("\n".join(lines)))


# %% [markdown]
# ## Too few examples
#
# Smaller training sets are trained for more epochs, at most ten times as many, to make the numbers
# of updates as equal as possible. Each seed draws its own examples, so that the intervals include
# the chance of the draw. Bands are one standard deviation over the seeds.


# %%
def show(result):
    display(Markdown("\n".join(f"- {sentence}" for sentence in result.conclusions)))


def show_verdicts(result):
    rows = {}
    for name, found in verdict_by_setting(result).items():
        numbers = {
            what: f"{value.mean:.3f} ({value.low:.3f} to {value.high:.3f})"
            for what, value in found.measured.items()
        }
        rows[name] = {"verdict": found.label, **numbers}
    display(pd.DataFrame.from_dict(rows, orient="index").fillna("-"))


FactorCurveDisplay.from_result(sizes, "error").plot()
plt.show()
show(size_gaps)

# %% [markdown]
# The verdict on each setting compares measurements with thresholds: the gap (in accuracy, at the
# end of training), the rise of the validation loss after its minimum, its fall at the end, the
# training error, and how far training and validation fall short of the same setting without
# dropout (`deficit`, and `advantage` where validation is better). If an interval includes its
# threshold, the verdict is "undecided".

# %%
show_verdicts(sizes)
scores = sizes.scores()
ends = scores["run"].map(sizes.data.groupby("run")["epoch"].max())
going_on = (scores["best_epoch"] >= ends).groupby(scores["setting"], sort=False).all()
display(
    Markdown(
        "Best in the last epoch on every seed, so training may have ended too early: "
        + (", ".join(going_on.index[going_on]) or "none")
        + "."
    )
)

# %% [markdown]
# Srivastava et al. (2014, Fig. 10) trained a 784-1024-1024-2048-10 network on 100 to 50,000 digits.
# They saw no gain from dropout with 100 and 500 examples, then a gain that grows and declines
# again.

# %%
gains = sizes.gains("val_accuracy").set_index("examples")
points = {
    size: f"{100 * row['gain']:+.2f} ({100 * row['low']:+.2f} to {100 * row['high']:+.2f})"
    for size, row in gains.iterrows()
}
display(pd.Series(points, name="gain of dropout, points of validation accuracy").to_frame())
small = gains[gains.index <= 500]
margin = 0.5  # percentage points below which a gain would be none
clear = [f"{size} examples" for size in small.index[small["low"] > 0]]
sentence = claim_sentence(
    f"with 100 to 500 examples dropout does not help by {margin:g} points or more",
    False if clear else True if (small["high"] < margin / 100).all() else None,
    (f"the interval is above 0 with {' and '.join(clear)}" if clear else "no interval is above 0")
    + "; mean gains "
    + ", ".join(f"{100 * gain:+.2f} points ({size})" for size, gain in small["gain"].items()),
    not_ended=small.loc[~small["ended"], "setting"],
)
display(Markdown(sentence))
by_seed = 100 * sizes.pairs("val_accuracy").merge(
    gains.reset_index()[["setting", "examples"]]
).pivot(index="seed", columns="examples", values="gain")
peak, ends = gains["gain"].idxmax(), [by_seed.columns.min(), by_seed.columns.max()]
below = {end: paired_difference(by_seed[peak], by_seed[end]) for end in ends if end != peak}
sentence = claim_sentence(
    "the gain grows with the number of examples and then declines",
    len(below) == 2 and (all(each.low > 0 for each in below.values()) or None),
    f"the mean gain is largest with {peak:,} examples; it is "
    + ", and ".join(
        f"{each.mean:.2f} points ({each.low:.2f} to {each.high:.2f}) above that with {end:,}"
        for end, each in below.items()
    ),
    not_ended=gains.loc[~gains["ended"], "setting"],
)
display(Markdown(sentence))

# %% [markdown]
# ## Too large a network
#
# One hidden layer with more and more units, on the same few examples. Does the validation error
# rise with the size, or only the gap?

# %%
FactorCurveDisplay.from_result(capacity, "error").plot()
plt.show()
show(capacity_gaps)
show_verdicts(capacity)

# %%
errors = capacity.scores().assign(error=lambda scores: 100 * (1 - scores["val_accuracy"]))
alone = errors[errors["dropout"] == "no dropout"].pivot(
    index="seed", columns="parameters", values="error"
)
smallest, largest = alone.columns.min(), alone.columns.max()
more = paired_difference(alone[largest], alone[smallest])
sentence = claim_sentence(
    "without dropout, a larger network is worse on unseen examples",
    more.low > 0 if more.excludes_zero else None,
    f"the validation error is {alone[largest].mean():.2f}% with {largest:,} parameters and "
    f"{alone[smallest].mean():.2f}% with {smallest:,}, {more.mean:+.2f} points ({more.low:+.2f} "
    f"to {more.high:+.2f} on {more.pairs} paired seeds)",
    not_ended=[name for name in capacity.not_ended() if name.endswith("no dropout")],
)
display(Markdown(sentence))

# %% [markdown]
# ## Training for too long
#
# The same network on the same examples, for many epochs: when does the validation loss begin to
# rise?

# %%
LearningCurveDisplay.from_result(long).plot()
plt.show()
show(long)
show_verdicts(long)

# %%
turns = long.scores().pivot(index="seed", columns="dropout", values="best_epoch")
later = paired_difference(turns["as given"], turns["no dropout"])
sentence = claim_sentence(
    "dropout delays the minimum of the validation loss",
    later.low > 0 if later.excludes_zero else None,
    f"it moves from epoch {turns['no dropout'].mean():.1f} to {turns['as given'].mean():.1f}, "
    f"{later.mean:+.1f} epochs ({later.low:+.1f} to {later.high:+.1f} on {later.pairs} paired "
    "seeds). Srivastava et al. (2014, Section 11) expect training to take 2 to 3 times as long; "
    f"here it takes {turns['as given'].mean() / turns['no dropout'].mean():.1f} times as long",
)
display(Markdown(sentence))

# %% [markdown]
# ## Wrong labels
#
# Some of the training labels are made wrong; the validation labels stay right. The *memorized*
# share is the share of the wrong labels that the network has learned to predict.

# %%
figure, axes = plt.subplots(1, 2, figsize=(12, 4), layout="constrained")
FactorCurveDisplay.from_result(noise, "memorized").plot(axes[0])
FactorCurveDisplay.from_result(noise, "clean_accuracy").plot(axes[1])
axes[0].get_legend().remove()
plt.show()
show(noise)

# %% [markdown]
# Arpit et al. (2017) found that dropout hinders memorization of noisy labels.

# %%
rows = memorized(noise)
noisy = clean[clean.index > 0]
sentence = claim_sentence(
    "dropout hinders memorization of wrong labels",
    all(row.low > 0 for row in rows.values()) or (None if rows[share].mean > 0 else False),
    "; ".join(
        f"with {share:.0%} wrong labels, the memorized share is "
        f"{change(row[:3], clean.loc[share, 'ended'])}"
        for share, row in rows.items()
    ),
    not_ended=noisy.loc[~noisy["ended"], "setting"],
)
display(Markdown(sentence))
sentence = claim_sentence(
    "with wrong labels, dropout keeps accuracy higher",
    bool((noisy["low"] > 0).all()) or (None if (noisy["gain"] > 0).all() else False),
    "; ".join(
        f"{100 * row['gain']:+.1f} points of accuracy with {share:.0%} wrong labels "
        f"({100 * row['low']:+.1f} to {100 * row['high']:+.1f})"
        for share, row in clean.iterrows()
    ),
    not_ended=noisy.loc[~noisy["ended"], "setting"],
)
display(Markdown(sentence))
