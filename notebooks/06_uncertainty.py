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
# # Uncertainty
#
# What does dropout say about what a network does not know? If dropout stays on at prediction, each
# pass through the network gives a different output: the mean of many passes is the prediction, and
# their disagreement measures uncertainty (Gal and Ghahramani 2016). Is that mean better than a
# single pass with dropout off? Is it right as often as it claims? And does it notice what it has
# never seen?

# %% tags=["parameters"]
profile = "full"  # "fast": a few seconds, on the digits

# %%
import os
from dataclasses import replace

from IPython.display import Markdown, display

from dropout_zoo.training import start_keras

start_keras(announce=False)

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.stats import entropy
from sklearn.metrics import roc_auc_score

from dropout_zoo.models import build_mlp
from dropout_zoo.studies import (
    ActivationDisplay,
    FactorCurveDisplay,
    FeatureDisplay,
    MonteCarloDisplay,
    ReliabilityDisplay,
    calibration,
    claim_sentence,
    coadaptation,
    corrupt,
    holm_differences,
    monte_carlo,
    monte_carlo_convergence,
    paired_difference,
    predictive_uncertainty,
    split_classes,
    with_fewer_examples,
)
from dropout_zoo.training import Member, load_dataset, train_members

full = profile == "full"
source = os.environ.get("DROPOUT_ZOO_MNIST", "digits") if full else "digits"
# A smaller share of MNIST for validation, because it is measured after every epoch.
large = source != "digits"
data = load_dataset(source, split=(0.80, 0.05, 0.15) if large else (0.70, 0.15, 0.15))
few = with_fewer_examples(data, 2000 if large else 500, seed=0)
num_seeds, epochs, samples = (5, 20, 50) if full else (2, 10, 20)
print(f"Profile {profile}. {few.describe()}")

# %% [markdown]
# ## The answer
#
# Four predictors are compared: the documented MLP without dropout; the MLP with dropout ("as
# given", rates 0.5 and 0.3) and *weight scaling*, which is what Keras does at inference (dropout
# off, one pass); the same network with the average of many passes with dropout on (*Monte Carlo*);
# and an ensemble of networks without dropout. They see digits unchanged, rotated, and with noise:
# the larger the change, the less sure a predictor should be. The *expected calibration error* is
# the average distance between confidence and accuracy (Guo et al. 2017). All measurements below are
# on test examples unless they say otherwise. Bands are one standard deviation over the seeds.

# %%
study = predictive_uncertainty(
    "mlp", few, samples=samples, ensemble_size=5 if full else 3, num_seeds=num_seeds, epochs=epochs,
    examples=1000 if full else 200,
    levels={
        "rotation": [0, 15, 30, 45, 60, 90] if full else [0, 30, 60],
        "gaussian noise": [0, 0.2, 0.4, 0.6] if full else [0, 0.4],
    },
)  # fmt: skip
drawn = {
    "rotation": "rotation of the test digits (degrees)",
    "gaussian noise": "noise on the test digits (standard deviation / largest pixel value)",
}


# %%
def draw(metric, axes):
    for axis, (corruption, label) in zip(axes, drawn.items(), strict=True):
        part = study.data[study.data["corruption"] == corruption].dropna(subset=metric)
        FactorCurveDisplay.from_result(replace(study, data=part), metric).plot(axis)
        axis.set_xlabel(label)
    axes[0].get_legend().remove()


figure, axes = plt.subplots(2, 2, figsize=(13, 8), layout="constrained")
draw("entropy", axes[0])
draw("ece", axes[1])
axes[1, 1].get_legend().remove()
plt.show()


# %%
def show(result):
    display(Markdown("\n".join(f"- {sentence}" for sentence in result.conclusions)))


show(study)

# %% [markdown]
# Error and cross-entropy of the same predictors. Predictions that are confident and wrong cost the
# most cross-entropy.

# %%
figure, axes = plt.subplots(2, 2, figsize=(13, 8), layout="constrained")
draw("corrupted_accuracy", axes[0])
draw("corrupted_loss", axes[1])
axes[1, 1].get_legend().remove()
plt.show()

# %% [markdown]
# ## How many passes?
#
# Srivastava et al. (2014, Fig. 11) averaged k passes: at about k = 50 the average is as good as
# weight scaling, and beyond that slightly better, but within one standard deviation. One of our
# networks:


# %%
def trained_pairs(dataset, numbers):
    """Train networks without and with dropout on the same seeds, from the same weights."""
    members = [Member(rates, seed) for rates in ([0.0, 0.0], [0.5, 0.3]) for seed in numbers]
    model = build_mlp(input_shape=dataset.input_shape, num_classes=dataset.num_classes)
    found = train_members(model, members, dataset, epochs=epochs, batch_size=32)
    models = [each.model() for each in found]
    return list(zip(models[: len(numbers)], models[len(numbers) :], strict=True))


x, y = (part[: 2000 if full else 200] for part in few.test)
[(plain, dropped)] = trained_pairs(few, [0])
passes = monte_carlo_convergence(
    dropped, x, y, repeats=20 if full else 5,
    samples=(1, 2, 5, 10, 20, 50, 100, 200) if full else (1, 5, 20),
)  # fmt: skip
figure, axes = plt.subplots(1, 2, figsize=(13, 4), layout="constrained")
for axis, metric in zip(axes, ("error", "loss"), strict=True):
    MonteCarloDisplay.from_result(passes, metric).plot(axis)
axes[0].get_legend().remove()
plt.show()
show(passes)

# %%
averages = passes.data[passes.data["samples"] > 0].groupby("samples")["error"]
scaled = passes.data.loc[passes.data["samples"] == 0, "error"].iloc[0]
reached = [k for k, group in averages if group.mean() - group.std() <= scaled]
first = f"k = {reached[0]}" if reached else "none"
display(
    Markdown(
        f"For this network, the error with weight scaling is {scaled:.2f}%. Among "
        f"k = {', '.join(str(k) for k, _ in averages)}, the first whose mean error is within one "
        f"standard deviation of that (over draws of k passes) is: {first}. A single network proves "
        "nothing."
    )
)

# %% [markdown]
# The same question over all seeds, on the unchanged test digits of the study above: differences are
# paired by seed, with intervals corrected by Holm's method for all claims together.


# %%
average, scaling = f"as given, {samples} passes", "as given, weight scaling"
[ensemble] = {name for name in study.data["predictor"] if name.startswith("ensemble")}
claims = {
    "is right more often than weight scaling (error in percent)": (scaling, "error"),
    "has a lower cross-entropy": (scaling, "corrupted_loss"),
    "is better calibrated": (scaling, "ece"),
    f"has a lower cross-entropy than the {ensemble}": (ensemble, "corrupted_loss"),
}
clean = study.scores().query("corruption == 'rotation' and severity == 0")
clean = clean.assign(error=100 * (1 - clean["corrupted_accuracy"]))
pairs = {}
for claim, (other, metric) in claims.items():
    by_seed = clean.pivot(index="seed", columns="predictor", values=metric)
    pairs[claim] = by_seed[average], by_seed[other]
lower = {claim: other - one for claim, (one, other) in pairs.items()}
for claim, less in holm_differences(lower, [0.0] * num_seeds).items():
    one, other = pairs[claim]
    ends, word = (less.low, less.high), "better"
    if less.mean < 0:  # the interval is that of the number shown
        ends, word = (-less.high, -less.low), "worse"
    sentence = claim_sentence(
        f"the average of {samples} passes {claim}",
        less.low > 0 if less.excludes_zero else None,
        f"{one.mean():.3g} compared with {other.mean():.3g}, {word} by {abs(less.mean):.2g} "
        f"({ends[0]:.2g} to {ends[1]:.2g} on {less.pairs} paired seeds, Holm's method)",
        not_ended=[
            predictor
            for predictor in (average, claims[claim][0])
            if f"{predictor}, rotation 0" in study.not_ended()
        ],
    )
    display(Markdown(sentence))

# %% [markdown]
# ## Is it right as often as it claims?
#
# Reliability of one network each, on the test digits unchanged and rotated by 45 degrees. On the
# dotted line a predictor is right as often as it claims; below it, it is overconfident.

# %%
figure, axes = plt.subplots(1, 2, figsize=(14, 4.6), layout="constrained")
lines = []
for axis, angle in zip(axes, (0, 45), strict=True):
    rotated = corrupt(x, "rotation", angle, seed=0)
    outputs = {
        "no dropout": plain.predict(rotated, verbose=0),
        "weight scaling": dropped.predict(rotated, verbose=0),
        f"{samples} passes": monte_carlo(dropped, rotated, samples).mean,
    }
    calibrations = {name: calibration(each, y, bins=10) for name, each in outputs.items()}
    ReliabilityDisplay.from_result(calibrations).plot(axis)
    where = f"rotated by {angle} degrees" if angle else "unchanged"
    axis.set_title(where, loc="left")
    lines += [f"- {where}, {name}: {each.summary()}" for name, each in calibrations.items()]
plt.show()
display(Markdown("\n".join(lines)))

# %% [markdown]
# ## What it is unsure about
#
# The entropy of the mean prediction measures all uncertainty; the *mutual information* measures how
# far the passes disagree (Gal and Ghahramani 2016). The test digits with the largest values of
# each, with the predicted class, the true class, and the value in nats:

# %%
found = monte_carlo(dropped, x, samples)
amounts = {"mutual\ninformation": found.mutual_information, "entropy": found.entropy}
figure, axes = plt.subplots(2, 10, figsize=(13, 3.8), layout="constrained")
for row, (name, values) in zip(axes, amounts.items(), strict=True):
    for axis, index in zip(row, np.argsort(-values), strict=False):
        axis.imshow(x[index], cmap="gray_r")
        guess = found.mean[index].argmax()
        axis.set_title(f"{guess}, true: {y[index]}\n{values[index]:.2f}", fontsize=9)
        axis.set_xticks([])
        axis.set_yticks([])
    row[0].set_ylabel(name)
plt.show()

# %%
right = found.mean.argmax(axis=1) == y
table = {
    name.replace("\n", " "): [values[which].mean() for which in (right, ~right)]
    for name, values in amounts.items()
}
pd.DataFrame(
    {"examples": [right.sum(), (~right).sum()], **table},
    index=["predicted right", "predicted wrong"],
).round(3)

# %% [markdown]
# ## Does it notice what it has never seen?
#
# Networks trained only on the digits 0 to 7 are also shown 8 and 9. How well does the uncertainty
# separate unseen classes from those seen in training? This is measured by the area under the ROC
# curve: 0.5 is chance level, 1 is perfect separation.

# %%
seen, unseen = split_classes(few, [0, 1, 2, 3, 4, 5, 6, 7])
known, new = (part.test[0][: 1000 if full else 100] for part in (seen, unseen))
inputs, is_new = np.concatenate([known, new]), np.repeat([0, 1], [len(known), len(new)])
rows = []
for without, with_dropout in trained_pairs(seen, range(num_seeds)):
    averaged = monte_carlo(with_dropout, inputs, samples)
    scaled = with_dropout.predict(inputs, verbose=0)
    scores = {
        "no dropout, entropy": entropy(without.predict(inputs, verbose=0), axis=1),
        "weight scaling, entropy": entropy(scaled, axis=1),
        f"{samples} passes, entropy": averaged.entropy,
        f"{samples} passes, mutual information": averaged.mutual_information,
    }
    rows.append({name: roc_auc_score(is_new, score) for name, score in scores.items()})
areas = pd.DataFrame(rows)
gains = holm_differences(
    {name: areas[name] for name in areas.columns[1:]}, areas["no dropout, entropy"]
)
table = areas.mean().to_frame("area under the ROC curve").round(3)
table["difference from no dropout"] = pd.Series(
    {name: f"{g.mean:+.3f} ({g.low:+.3f} to {g.high:+.3f})" for name, g in gains.items()}
)
table.fillna("")

# %%
for name, gain in gains.items():
    sentence = claim_sentence(
        f"{name} separates unseen classes better than the entropy without dropout",
        gain.low > 0 if gain.excludes_zero else None,
        f"an area of {areas[name].mean():.3f} compared with "
        f"{areas['no dropout, entropy'].mean():.3f}, {gain.mean:+.3f} ({gain.low:+.3f} to "
        f"{gain.high:+.3f} on {gain.pairs} paired seeds, Holm's method)",
    )
    display(Markdown(sentence))

# %% [markdown]
# ## What dropout does to single units
#
# Why should many thinned networks know more than one? Srivastava et al. (2014, Figs. 7 and 8)
# studied a ReLU autoencoder with 256 units: with a rate of 0.5 single units learn features of their
# own, such as strokes, and the mean hidden activation falls from about 2.0 to 0.7. Here the first
# layer of a classifier with 256 units is measured on validation digits: how much the loss rises
# when a unit is removed, how active the unit is, and how similar it is to the others.

# %%
units = coadaptation(
    build_mlp(input_shape=few.input_shape, units=(256,) if full else (32,), hidden_rates=0.5),
    few, num_seeds=3 if full else 2, epochs=epochs,
)  # fmt: skip
ActivationDisplay.from_result(units).plot()
plt.show()
show(units)

# %%
FeatureDisplay.from_result(units, units=36 if full else 16).plot()
plt.show()

# %%
means = (
    units.data.groupby(["seed", "dropout"])[["mean_activation", "active_share"]].mean().unstack()
)
ended = units.data.groupby("dropout")["ended"].mean()  # share of the training runs
for measure, claim in [
    ("mean_activation", "dropout lowers the mean hidden activation"),
    ("active_share", "with dropout, units are active on fewer examples"),
]:
    table = means[measure]
    [with_dropout] = [name for name in table if name != "no dropout"]
    less = paired_difference(table["no dropout"], table[with_dropout])
    sentence = claim_sentence(
        f"{claim} (Srivastava et al. 2014, Fig. 8)",
        less.low > 0 if less.excludes_zero else None,
        f"from {table['no dropout'].mean():.3f} to {table[with_dropout].mean():.3f}, lower by "
        f"{less.mean:.3f} ({less.low:.3f} to {less.high:.3f} on {less.pairs} paired seeds, 95%)",
        not_ended=ended.index[ended < 0.75],
    )
    display(Markdown(sentence))
