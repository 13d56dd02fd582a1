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
#
# Every network is trained until its validation loss has not improved for many epochs, and is used
# as it was at its best epoch.

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
    claims_table,
    coadaptation,
    corrupt,
    get_claim,
    holm_differences,
    monte_carlo,
    monte_carlo_convergence,
    paired_difference,
    predictive_uncertainty,
    split_classes,
    with_fewer_examples,
)
from dropout_zoo.training import Member, load_dataset, train_members

pd.set_option("display.max_colwidth", None, "display.precision", 3)
full = profile == "full"
source = os.environ.get("DROPOUT_ZOO_MNIST", "digits") if full else "digits"
# A smaller share of MNIST for validation, because it is measured after every epoch.
large = source != "digits"
data = load_dataset(source, split=(0.80, 0.05, 0.15) if large else (0.70, 0.15, 0.15))
few = with_fewer_examples(data, 2000 if large else 500, seed=0)
runs = {"epochs": 200, "patience": 20} if full else {"epochs": 10}
num_seeds, samples = (10, 50) if full else (2, 20)
print(f"Profile {profile}. {few.describe()}")


# %%
def remember(text):
    display(Markdown(f"**To remember.** {text}"))


def change(difference):
    """Say whether what was compared is lower or higher."""
    if not difference.excludes_zero:
        return "not reliably different"
    return "reliably lower" if difference.mean < 0 else "reliably higher"


def interval(difference):
    return f"{difference.mean:+.3f} ({difference.low:+.3f} to {difference.high:+.3f})"


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
    "mlp", few, samples=samples, ensemble_size=5 if full else 3, num_seeds=num_seeds,
    examples=1000 if full else 200, **runs,
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


def draw_two(first, second):
    _, axes = plt.subplots(2, 2, figsize=(13, 8), layout="constrained")
    draw(first, axes[0])
    draw(second, axes[1])
    axes[1, 1].get_legend().remove()
    plt.show()


draw_two("entropy", "ece")

# %% [markdown]
# The calibration error on unchanged digits and on those that are changed most, with its difference
# from the network without dropout (paired by seed, Holm's method for all levels together):

# %%
gains = study.gains("ece").set_index("setting")
differences = [f"{-r.gain:+.3f} ({-r.high:+.3f} to {-r.low:+.3f})" for r in gains.itertuples()]
gains["difference from no dropout"] = differences
table = study.means().set_index("setting").join(gains["difference from no dropout"]).fillna("-")
not_ended = study.not_ended()
table["trained to the end"] = ["no" if name in not_ended else "yes" for name in table.index]
most = table["severity"] == table.groupby("corruption")["severity"].transform("max")
clean = (table["severity"] == 0) & (table["corruption"] == "rotation")
most = table[most].sort_values("corruption", ascending=False, kind="stable")
table = pd.concat([table[clean], most]).rename(columns={"mean": "calibration error"})
shown = ["calibration error", "difference from no dropout", "trained to the end"]
table.set_index(["corruption", "severity", "predictor"])[shown]

# %%
average, scaling = f"as given, {samples} passes", "as given, weight scaling"
[ensemble] = {name for name in study.data["predictor"] if name.startswith("ensemble")}
groups = table.groupby(["corruption", "severity"], sort=False)["calibration error"]
lowest = table.loc[groups.idxmin(), "calibration error"]
where = [f"{name.replace('rotation 0', 'unchanged')} ({m:.3f})" for name, m in lowest.items()]
remember(f"The lowest mean calibration errors, not tested against the others: {'; '.join(where)}.")

# %% [markdown]
# Error and cross-entropy of the same predictors. Predictions that are confident and wrong cost the
# most cross-entropy.

# %%
draw_two("corrupted_accuracy", "corrupted_loss")

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
    found = train_members(model, members, dataset, batch_size=32, **runs)
    stopped = sum(len(each.curves) < runs["epochs"] for each in found)
    print(f"{stopped} of {len(found)} training runs ended because nothing improved any more.")
    models = [each.model() for each in found]
    return list(zip(models[: len(numbers)], models[len(numbers) :], strict=True))


# %%
x, y = (part[: 2000 if full else 200] for part in few.test)
pairs = trained_pairs(few, range(num_seeds))
plain, dropped = pairs[0]
passes = monte_carlo_convergence(
    dropped, x, y, repeats=20 if full else 5,
    samples=(1, 2, 5, 10, 20, 50, 100, 200) if full else (1, 5, 20),
)  # fmt: skip
figure, axes = plt.subplots(1, 2, figsize=(13, 4), layout="constrained")
for axis, metric in zip(axes, ("error", "loss"), strict=True):
    MonteCarloDisplay.from_result(passes, metric).plot(axis)
axes[0].get_legend().remove()
plt.show()

# %%
by_samples = passes.data.groupby("samples")
table = by_samples[["error", "loss"]].mean().set_axis(["error (%)", "cross-entropy"], axis=1)
deviation = by_samples["error"].std().map("{:.2f}".format).where(by_samples.size() > 1, "-")
table["standard deviation of the error"] = deviation
table.rename(index={0: "weight scaling"}).rename_axis("passes")

# %% [markdown]
# A single network proves nothing. The same question over all seeds, on the unchanged test digits of
# the study above: differences are paired by seed, with intervals corrected by Holm's method for the
# whole table. A claim about a predictor that was not trained to the end is undecided.

# %%
questions = {
    "error (%)": ("error", scaling),
    "cross-entropy": ("corrupted_loss", scaling),
    "calibration error": ("ece", scaling),
    "cross-entropy ": ("corrupted_loss", ensemble),
    "error (%) ": ("error", ensemble),
}
clean = study.scores().query("corruption == 'rotation' and severity == 0")
clean = clean.assign(error=100 * (1 - clean["corrupted_accuracy"]))
by_seed = clean.pivot(index="seed", columns="predictor", values=["error", "corrupted_loss", "ece"])
more = {name: by_seed[m][average] - by_seed[m][other] for name, (m, other) in questions.items()}
found = holm_differences(more, [0.0] * num_seeds)

# %%
not_ended = [name for name in study.not_ended() if name.endswith("rotation 0")]
rows = [
    {
        "measured": name.strip(),
        "compared with": other,
        f"{samples} passes": by_seed[metric][average].mean(),
        "the other": by_seed[metric][other].mean(),
        "difference": interval(found[name]),
        "the passes are": "undecided" if not_ended else change(found[name]),
    }
    for name, (metric, other) in questions.items()
]
pd.DataFrame(rows).set_index(["measured", "compared with"])

# %% [markdown]
# What another experiment found, with a 784-256-256-10 network on 1,000 digits (from
# [the claims](../docs/claims.md), whose results come with the package):

# %%
claims_table(
    ["weight-scaling-beats-one-pass", "weight-scaling-equals-50-passes",
     "fifty-passes-lower-the-loss", "two-hundred-passes-lower-the-loss",
     "weight-scaling-approximates-the-geometric-mean", "disagreement-finds-errors",
     "ensemble-beats-one-network", "dropout-equals-an-ensemble",
     "ensembles-gain-less-with-dropout"]
)  # fmt: skip

# %%
remember(
    f"{get_claim('weight-scaling-equals-50-passes').finding()} Here, with {samples} passes instead "
    f"of weight scaling, the error is {change(found['error (%)'])}, the cross-entropy "
    f"{change(found['cross-entropy'])}, and the calibration error "
    f"{change(found['calibration error'])}."
)

# %% [markdown]
# ## Is it right as often as it claims?
#
# Reliability of one network each, on the test digits unchanged and rotated by 45 degrees. On the
# dotted line a predictor is right as often as it claims; below it, it is overconfident.


# %%
def predictions(pair, inputs):
    without, with_dropout = pair
    return {
        "no dropout": without.predict(inputs, verbose=0),
        "weight scaling": with_dropout.predict(inputs, verbose=0),
        f"{samples} passes": monte_carlo(with_dropout, inputs, samples).mean,
    }


# %%
shown = {"unchanged": x, "rotated by 45 degrees": corrupt(x, "rotation", 45, seed=0)}
figure, axes = plt.subplots(1, 2, figsize=(14, 4.6), layout="constrained")
for axis, (title, inputs) in zip(axes, shown.items(), strict=True):
    outputs = predictions(pairs[0], inputs)
    found = {name: calibration(each, y, bins=10) for name, each in outputs.items()}
    ReliabilityDisplay.from_result(found).plot(axis)
    axis.set_title(title, loc="left")
plt.show()

# %% [markdown]
# Mean confidence minus accuracy over all seeds, with its interval; positive values are
# overconfidence:

# %%
surplus = {}
for title, inputs in shown.items():
    for pair in pairs:
        for name, each in predictions(pair, inputs).items():
            excess = each.max(axis=1).mean() - (each.argmax(axis=1) == y).mean()
            surplus.setdefault((title, name), []).append(excess)
found = {name: paired_difference(each, [0.0] * num_seeds) for name, each in surplus.items()}
pd.Series({name: interval(each) for name, each in found.items()}).unstack(0)

# %%
over = {title: [n for (t, n), d in found.items() if t == title and d.low > 0] for title in shown}
lists = [f"{', '.join(names) or 'none'} (digits {title})" for title, names in over.items()]
remember(f"Reliably overconfident: {'; '.join(lists)}.")

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

# %% [markdown]
# How well does each separate wrong predictions from right ones? This is measured by the area under
# the ROC curve: 0.5 is chance level, 1 is perfect separation. Means over the seeds:

# %%
rows = []
for _, with_dropout in pairs:
    found = monte_carlo(with_dropout, x, samples)
    wrong = found.mean.argmax(axis=1) != y
    for name in ("entropy", "mutual_information"):
        value = getattr(found, name)
        areas = {"right": value[~wrong].mean(), "wrong": value[wrong].mean()}
        rows.append({"measure": name, **areas, "area": roc_auc_score(wrong, value)})
table = pd.DataFrame(rows)
table.groupby("measure").mean().rename(
    columns={"right": "mean where right", "wrong": "mean where wrong", "area": "area under the ROC"}
)

# %%
areas = {name: group["area"].to_list() for name, group in table.groupby("measure")}
more = paired_difference(areas["mutual_information"], areas["entropy"])
remember(
    "The area with which mutual information separates wrong predictions from right ones is "
    f"{change(more)}, compared with the entropy: {interval(more)} on {more.pairs} paired seeds."
)

# %% [markdown]
# ## Does it notice what it has never seen?
#
# Networks trained only on the digits 0 to 7 are also shown 8 and 9. How well does the uncertainty
# separate unseen classes from those seen in training, by the area under the ROC curve?

# %%
seen, unseen = split_classes(few, [0, 1, 2, 3, 4, 5, 6, 7])
known, new = (part.test[0][: 1000 if full else 100] for part in (seen, unseen))
inputs, is_new = np.concatenate([known, new]), np.repeat([0, 1], [len(known), len(new)])


def unseen_areas(pair):
    averaged = monte_carlo(pair[1], inputs, samples)
    found = {"no dropout, entropy": entropy(pair[0].predict(inputs, verbose=0), axis=1)}
    found["weight scaling, entropy"] = entropy(pair[1].predict(inputs, verbose=0), axis=1)
    found[f"{samples} passes, entropy"] = averaged.entropy
    found[f"{samples} passes, mutual information"] = averaged.mutual_information
    return {name: roc_auc_score(is_new, values) for name, values in found.items()}


# %%
areas = pd.DataFrame([unseen_areas(pair) for pair in trained_pairs(seen, range(num_seeds))])
base = areas["no dropout, entropy"]
gains = holm_differences({name: areas[name] for name in areas.columns[1:]}, base)
table = areas.mean().to_frame("area under the ROC curve")
table["difference from no dropout"] = pd.Series({n: interval(g) for n, g in gains.items()})
table.fillna("")

# %%
better = [name for name, gain in gains.items() if gain.low > 0]
remember(
    f"{len(better)} of {len(gains)} measures with dropout separate unseen classes reliably better "
    f"than the entropy without dropout{': ' * bool(better)}{'; '.join(better)}."
)

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
    few, num_seeds=5 if full else 2, **runs,
)  # fmt: skip
histograms = ActivationDisplay.from_result(units).plot()
histograms.axes_[1].set_yscale("linear")
plt.show()

# %%
FeatureDisplay.from_result(units, units=36 if full else 16).plot()
plt.show()

# %% [markdown]
# Means over the units, with the difference that dropout makes (paired by seed, Holm's method for
# all four):

# %%
measures = ["ablation", "mean_activation", "active_share", "correlation"]
means = units.data.groupby(["seed", "dropout"])[measures].mean().unstack()
with_rate = next(name for name in units.data["dropout"].unique() if name != "no dropout")
more = {name: means[name][with_rate] - means[name]["no dropout"] for name in measures}
found = holm_differences(more, [0.0] * len(means))

# %%
table = means.mean().unstack()[["no dropout", with_rate]].loc[measures]
table = table.apply(lambda column: column.map("{:.3g}".format)).rename_axis(columns=None)
names = ["loss added without a unit", "mean activation", "share of examples with the unit active",
         "correlation with other units"]  # fmt: skip
table["difference"] = [f"{d.mean:+.3g} ({d.low:+.3g} to {d.high:+.3g})" for d in found.values()]
table["with dropout"] = [change(each) for each in found.values()]
display(table.set_axis(names))
print(f"{units.data['ended'].mean():.0%} of the training runs were long enough.")

# %% [markdown]
# What other experiments found, where a quarter of the units is removed at once, and in an
# autoencoder:

# %%
claims_table(
    ["less-dependent-on-units", "less-correlated-units", "sparser-activations",
     "autoencoder-sparser", "autoencoder-lower-activations"]
)  # fmt: skip

# %%
remember(get_claim("less-dependent-on-units").finding())
