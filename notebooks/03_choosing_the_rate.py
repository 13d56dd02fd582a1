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
# # Choosing the rate
#
# How much of a layer should be dropped? With too little dropout a network memorizes its training
# examples; with too much it cannot learn them. So the validation loss, plotted against the rate, is
# expected to be U-shaped. Where is its minimum here, how wide is it, and is it where the guidance
# says? We use few training examples on purpose: the fewer there are, the more a network overfits
# (`02_overfitting`), and the more there is to see.

# %% tags=["parameters"]
profile = "full"  # "fast": a few seconds, on the digits

# %%
import os
from html import escape
from io import BytesIO
from itertools import pairwise

from IPython.display import Markdown, display

from dropout_zoo.training import start_keras

start_keras(announce=False)

import ipywidgets
import matplotlib.pyplot as plt
import pandas as pd

from dropout_zoo.models import GUIDANCE, build_mlp
from dropout_zoo.studies import (
    HeatMapDisplay,
    LearningCurveDisplay,
    RateCurveDisplay,
    claim_sentence,
    holm_differences,
    paired_difference,
    rate_grid,
    rate_sweep,
    verdict_by_setting,
    with_fewer_examples,
)
from dropout_zoo.training import load_dataset

full = profile == "full"
source = os.environ.get("DROPOUT_ZOO_MNIST", "digits") if full else "digits"
split = (0.9, 0.05, 0.05) if full else (0.7, 0.15, 0.15)
data = with_fewer_examples(load_dataset(source, split=split), 3000 if full else 500, seed=0)
print(f"Profile {profile}. {data.describe()}")

# %% [markdown]
# ## The answer
#
# The documented MLP, with the same rate at both hidden layers, is trained at every rate on the same
# seeds: same initial weights, same order of the data. Each run is measured at its best epoch
# on the validation set; the dotted line is the training loss measured with dropout off.

# %%
epochs, num_seeds = (20, 5) if full else (10, 3)
rates = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9] if full else [0.0, 0.3, 0.6, 0.9]
sweep = rate_sweep("mlp", data, sites="hidden", rates=rates, num_seeds=num_seeds, epochs=epochs)


# %%
def show_conclusions(result):
    display(Markdown("\n".join(f"- {sentence}" for sentence in result.conclusions)))


def show_curve(result, metric=None):
    _, axis = plt.subplots(figsize=(9.5, 4.6), layout="constrained")
    RateCurveDisplay.from_result(result, metric).plot(axis)
    axis.set_yscale("log")  # the ends are far above the minimum
    plt.show()


show_curve(sweep)
show_conclusions(sweep)

# %% [markdown]
# The same as an error rate, the share of validation examples that are misclassified:

# %%
show_curve(sweep, "error")

# %% [markdown]
# ## What a rate does to the learning curves
#
# Each rate has three lines: the training loss as Keras reports it, with dropout on; the training
# loss measured after each epoch with dropout off; and the validation loss. Validation is measured
# with dropout off, so the distance that shows overfitting is the one between the last two.
#
# The slider selects the rate; it needs a running kernel. Below it are all rates side by side, for
# pages without one.

# %%
settings = {row.rate: row.setting for row in sweep.means().itertuples()}
verdicts = verdict_by_setting(sweep)


def picture(rate):
    names = dict.fromkeys([settings[0.0], settings[rate]])
    figure, file = LearningCurveDisplay.from_result(sweep, list(names)).plot().figure_, BytesIO()
    figure.savefig(file, format="png", dpi=72)
    plt.close(figure)
    return file.getvalue()


def words(rate):
    found = verdicts[settings[rate]]
    paragraphs = [f"Rate {rate:.1f}: {found.sentence}", *found.next_steps]
    return "".join(f"<p>{escape(text)}</p>" for text in paragraphs)


pictures = {rate: picture(rate) for rate in settings}
slider = ipywidgets.SelectionSlider(options=list(settings), value=0.0, description="rate")
image, text = ipywidgets.Image(value=pictures[0.0]), ipywidgets.HTML(words(0.0))


def show_rate(change):
    image.value, text.value = pictures[change.new], words(change.new)


slider.observe(show_rate, "value")
ipywidgets.VBox([slider, image, text])

# %%
figure, axes = plt.subplots(
    2, len(settings) // 2, sharex=True, sharey=True, figsize=(2.4 * len(settings) // 2, 5.4),
    layout="constrained", squeeze=False,
)  # fmt: skip
for (rate, name), axis in zip(settings.items(), axes.flat, strict=True):
    LearningCurveDisplay.from_result(sweep, [name], ["loss"]).plot(axis)
    axis.set_title(f"rate {rate:.1f}: {verdicts[name].label}", fontsize=9)
    handles = axis.get_legend().legend_handles[1:]
    axis.get_legend().remove()
    axis.label_outer()
figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False)
plt.show()

# %% [markdown]
# ## Underfitting or overfitting?
#
# The verdict on each rate rests on measured quantities alone, with dropout off: the gap between
# training and validation accuracy at the end, the rise of the validation loss after its minimum,
# its fall at the end, the training error, and how far training and validation fall short of the
# best of the other rates (`deficit` and, where validation is better, `advantage`, in units of the
# validation loss), which is chosen for each seed on the remaining seeds. If an interval includes
# its threshold, the verdict is "undecided".

# %%
table = pd.DataFrame(
    {
        "rate": rate,
        "verdict": verdicts[name].label,
        **{
            what: f"{value.mean:.3f} ({value.low:.3f} to {value.high:.3f})"
            for what, value in verdicts[name].measured.items()
        },
    }
    for rate, name in settings.items()
)
table.fillna("").set_index("rate")

# %%
for rate in (min(settings), max(settings)):
    for step in verdicts[settings[rate]].next_steps or ["nothing to do, it is balanced"]:
        display(Markdown(f"Next step at rate {rate:.1f}: {step}."))

# %% [markdown]
# ## One site at a time
#
# The input, the first and the second hidden layer, each by itself, with no dropout elsewhere. The
# guidance recommends lower rates for the input than for hidden layers.

# %%
site_rates = [0.0, 0.1, 0.2, 0.5, 0.8] if full else [0.0, 0.3]
without = build_mlp(input_shape=data.input_shape, input_rate=0.0, hidden_rates=0.0)
sites = rate_sweep(
    without, data, sites="each", rates=site_rates, num_seeds=3 if full else 2, epochs=epochs
)
show_curve(sites)
show_conclusions(sites)

# %% [markdown]
# ## Fixed width, or fixed expected width?
#
# Dropping 80% of 128 units leaves 26 on average, a small network. Srivastava et al. (2014, Fig.
# 9b) therefore also fix the *expected* width: a layer has n / (1 - rate) units, of which n are kept
# on average at every rate. They find that a high rate then costs less than at fixed width (Fig.
# 9a).

# %%
widths = rate_sweep(
    "mlp", data, rates=[0.0, 0.2, 0.4, 0.6, 0.8] if full else [0.0, 0.8],
    width=("fixed", "expected"), num_seeds=3 if full else 2, epochs=epochs,
)  # fmt: skip
show_curve(widths, "error")
show_conclusions(widths)

# %% [markdown]
# ## Input and hidden rate together
#
# A grid over both rates: is the best input rate the same with and without dropout in the hidden
# layers?

# %%
grid = rate_grid(
    "mlp", data, first="input", second="hidden", num_seeds=3 if full else 2, epochs=epochs,
    first_rates=[0.0, 0.1, 0.2] if full else [0.0, 0.2],
    second_rates=[0.0, 0.2, 0.4, 0.5] if full else [0.0, 0.3],
)  # fmt: skip
HeatMapDisplay.from_result(grid).plot()
plt.show()
show_conclusions(grid)

# %% [markdown]
# ## Guidance and measurement compared
#
# For each site: the rates that the guidance recommends, and the rates that do not reliably differ
# from the best one in this measurement, paired by seed and corrected by Holm's method, or that were
# not trained to the end.


# %%
def by_seed(result, series, metric):
    scores = result.scores()
    return scores[scores["series"] == series].pivot(index="seed", columns="rate", values=metric)


def not_ended(result, series, rates):
    """Return the settings at some rates that were not trained to the end, by rate."""
    means = result.means()
    compared = means[(means["series"] == series) & means["rate"].isin(rates)]
    cut_off = compared[compared["setting"].isin(result.not_ended())]
    return dict(zip(cut_off["rate"], cut_off["setting"], strict=True))


def near_best(result, series):
    losses = by_seed(result, series, "val_loss")
    best = losses.mean().idxmin()
    above = holm_differences({r: losses[r] for r in losses if r != best}, losses[best])
    cut_off = not_ended(result, series, losses)
    open_rates = losses if best in cut_off else cut_off  # these may come out better
    alike = [rate for rate, each in above.items() if not each.excludes_zero]
    return best, sorted({best, *alike, *open_rates})


swept = [(sweep, "hidden", "hidden"), (sites, "input_dropout", "input")]
swept += [(sites, f"hidden_{number}_dropout", "hidden") for number in (1, 2)]
rows = []
for result, series, placement in swept:
    best, near = near_best(result, series)
    guidance = GUIDANCE[placement]
    rows.append(
        {
            "swept": "both hidden sites" if series == "hidden" else f"{series} alone",
            "guidance": str(guidance),
            "best": best,
            "may be as good": ", ".join(f"{rate:.1f}" for rate in near),
            "includes a recommended rate": any(map(guidance.includes, near)),
        }
    )
pd.DataFrame(rows).set_index("swept")

# %% [markdown]
# Is the curve U-shaped? We also compare three findings of Srivastava et al. (2014, Fig. 9), who
# used all of MNIST and three layers of 2048 units, with ours. All differences are paired by seed.


# %%
def error_by_seed(result, series):
    return 100 * (1 - by_seed(result, series, "val_accuracy"))


def above_zero(difference):
    return difference.low > 0 if difference.excludes_zero else None


losses = by_seed(sweep, "hidden", "val_loss")
lowest = losses.mean().idxmin()
ends = [rate for rate in (losses.columns.min(), losses.columns.max()) if rate != lowest]
above = holm_differences({rate: losses[rate] for rate in ends}, losses[lowest])
sentence = claim_sentence(
    "the validation loss is a U-shaped function of the rate, with both ends above its minimum",
    len(ends) == 2 and (all(each.low > 0 for each in above.values()) or None),
    f"the lowest mean is at rate {lowest:.1f}; the loss is higher by "
    + " and ".join(
        f"{each.mean:.3f} at rate {rate:.1f} ({each.low:.3f} to {each.high:.3f})"
        for rate, each in above.items()
    ),
    not_ended=not_ended(sweep, "hidden", [lowest, *ends]).values(),
)
display(Markdown(sentence))

errors = error_by_seed(sweep, "hidden")
flat = errors[[rate for rate in errors if 0.2 <= rate <= 0.6]]
best = flat.mean().idxmin()
others = holm_differences({rate: flat[rate] for rate in flat if rate != best}, flat[best])
worse = [rate for rate, difference in others.items() if difference.excludes_zero]
margin = 0.5  # percentage points; a curve that varies less than this counts as flat
sentence = claim_sentence(
    f"the error is flat, within {margin:g} points, for rates from 0.2 to 0.6",
    False
    if any(each.low > margin for each in others.values())
    else all(each.high < margin for each in others.values()) or None,
    f"the lowest mean in that range is {flat[best].mean():.2f}% at rate {best:.1f}, the highest "
    f"{flat.mean().max():.2f}% at rate {flat.mean().idxmax():.1f}; reliably above the lowest: "
    + (", ".join(f"rate {rate:.1f}" for rate in worse) or "none"),
    not_ended=not_ended(sweep, "hidden", flat).values(),
)
display(Markdown(sentence))

last = sweep.data[sweep.data["epoch"] == epochs]
training = 100 * (1 - last.pivot(index="seed", columns="rate", values="train_accuracy"))
rises = holm_differences(
    {(low, high): training[high] - training[low] for low, high in pairwise(training.columns)},
    [0.0] * len(training),
)
falls = [pair for pair, each in rises.items() if each.high < 0]
level = [f"{low:.1f} to {high:.1f}" for (low, high), each in rises.items() if not each.low > 0]
sentence = claim_sentence(
    "the training error, with dropout off, rises with the rate",
    False if falls else None if level else True,
    "after the last epoch "
    + ", ".join(f"{error:.2f}% ({rate:.1f})" for rate, error in training.mean().items())
    + "; no reliable rise (paired by seed, Holm's method) from rate "
    + (", ".join(level) or "any to the next"),
    not_ended=not_ended(sweep, "hidden", training).values(),
)
display(Markdown(sentence))

fixed, expected = (error_by_seed(widths, f"hidden, {each} width") for each in ("fixed", "expected"))
highest = fixed.columns.max()
saved = paired_difference(fixed[highest], expected[highest])
sentence = claim_sentence(
    "a high rate costs less at fixed expected width than at fixed width",
    above_zero(saved),
    f"at rate {highest:.1f} the error is {expected[highest].mean():.2f}% instead of "
    f"{fixed[highest].mean():.2f}%, {saved.mean:.2f} points less ({saved.low:.2f} to "
    f"{saved.high:.2f} on {saved.pairs} paired seeds, 95% CI); at fixed expected width it is "
    f"lowest at rate {expected.mean().idxmin():.1f} (in the paper about 0.4)",
    not_ended=[
        name
        for each in ("fixed", "expected")
        for name in not_ended(widths, f"hidden, {each} width", [highest]).values()
    ],
)
display(Markdown(sentence))
