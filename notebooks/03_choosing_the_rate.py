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
    claims_table,
    get_claim,
    holm_differences,
    may_be_best,
    rate_grid,
    rate_sweep,
    verdict_by_setting,
    with_fewer_examples,
)
from dropout_zoo.training import load_dataset

pd.set_option("display.max_colwidth", None, "display.precision", 2)
full = profile == "full"
source = os.environ.get("DROPOUT_ZOO_MNIST", "digits") if full else "digits"
split = (0.9, 0.05, 0.05) if full else (0.7, 0.15, 0.15)
data = with_fewer_examples(load_dataset(source, split=split), 1000 if full else 500, seed=0)
print(f"Profile {profile}. {data.describe()}")

# %% [markdown]
# ## The answer
#
# The documented MLP, with the same rate at both hidden layers, is trained at every rate on the same
# seeds: same initial weights, same order of the data. A run ends when the validation loss has not
# improved for many epochs, and is measured at its best epoch; the dotted line is the training loss
# measured with dropout off.

# %%
runs = {"epochs": 200, "patience": 20} if full else {"epochs": 10}
num_seeds = 10 if full else 4
rates = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8] if full else [0.0, 0.3, 0.6, 0.8]
sweep = rate_sweep("mlp", data, sites="hidden", rates=rates, num_seeds=num_seeds, **runs)


# %%
def show_curve(result, metric=None):
    _, axis = plt.subplots(figsize=(9.5, 4.6), layout="constrained")
    RateCurveDisplay.from_result(result, metric).plot(axis)
    plt.show()


def show(result):
    display(Markdown("\n".join(f"- {sentence}" for sentence in result.conclusions)))


show_curve(sweep)
show(sweep)

# %% [markdown]
# The same as an error rate, the share of validation examples that are misclassified:

# %%
show_curve(sweep, "error")

# %%
losses = sweep.scores().pivot(index="seed", columns="rate", values="val_loss")
lowest = losses[::2].mean().idxmin()  # chosen on every other seed, tested on the rest
losses = losses[1::2]
ends = {rate: losses[rate] for rate in (min(losses), max(losses)) if rate != lowest}
above = holm_differences(ends, losses[lowest])
names = sweep.means().set_index("rate")["setting"]
sentence = claim_sentence(
    "the validation loss is a U-shaped function of the rate, with both ends above its minimum",
    len(ends) == 2 and (all(each.low > 0 for each in above.values()) or None),
    f"the lowest mean of the other seeds is at rate {lowest:.1f}; on {len(losses)} seeds the loss "
    "is higher by "
    + " and ".join(
        f"{each.mean:.3f} at rate {rate:.1f} ({each.low:.3f} to {each.high:.3f})"
        for rate, each in above.items()
    ),
    not_ended=[name for name in names[[lowest, *ends]] if name in sweep.not_ended()],
)
display(Markdown(sentence))

# %% [markdown]
# What other experiments found, with larger networks (from [the claims](../docs/claims.md), whose
# results come with the package):


# %%
def remember(name):
    display(Markdown(f"**To remember.** {get_claim(name).finding()}"))


display(
    claims_table(
        ["too-high-a-rate-underfits", "a-high-rate-harms", "best-rate-within-the-range",
         "input-dropout-helps", "slows-training", "wrong-labels-want-a-higher-rate",
         "recommended-rates-help", "a-high-input-rate-harms", "wide-networks-want-a-higher-rate",
         "best-rate-of-a-wide-network-within-the-range"]
    )
)  # fmt: skip
remember("best-rate-within-the-range")

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


# %%
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
table = {}
for rate, name in settings.items():
    measured = verdicts[name].measured.items()
    table[rate] = {"verdict": verdicts[name].label} | {
        what: f"{value.mean:.3f} ({value.low:.3f} to {value.high:.3f})" for what, value in measured
    }
pd.DataFrame.from_dict(table, orient="index").fillna("").rename_axis("rate")

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
site_rates = [0.0, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8] if full else [0.0, 0.3]
without = build_mlp(input_shape=data.input_shape, input_rate=0.0, hidden_rates=0.0)
sites = rate_sweep(
    without, data, sites="each", rates=site_rates, num_seeds=5 if full else 2, **runs
)
show_curve(sites)
show(sites)
remember("input-dropout-helps")

# %% [markdown]
# ## Fixed width, or fixed expected width?
#
# Dropping 80% of 128 units leaves 26 on average, a small network. Srivastava et al. (2014, Fig.
# 9b) therefore also fix the *expected* width: a layer has n / (1 - rate) units, of which n are kept
# on average at every rate. They find that a high rate then costs less than at fixed width (Fig.
# 9a), and is best at about 0.4.

# %%
widths = rate_sweep(
    "mlp", data, rates=[0.0, 0.2, 0.4, 0.6, 0.8] if full else [0.0, 0.8],
    width=("fixed", "expected"), num_seeds=5 if full else 2, **runs,
)  # fmt: skip
show_curve(widths, "error")
show(widths)

# %% [markdown]
# ## Input and hidden rate together
#
# A grid over both rates: is the best input rate the same with and without dropout in the hidden
# layers?

# %%
grid = rate_grid(
    "mlp", data, first="input", second="hidden", num_seeds=5 if full else 2, **runs,
    first_rates=[0.0, 0.2, 0.35, 0.5] if full else [0.0, 0.2],
    second_rates=[0.0, 0.2, 0.4, 0.6] if full else [0.0, 0.3],
)  # fmt: skip
HeatMapDisplay.from_result(grid).plot()
plt.show()
show(grid)

# %% [markdown]
# ## Guidance and measurement compared
#
# For each site: the rates that the guidance recommends, and those that may be the best in this
# measurement, paired by seed and by Hsu's comparison with the best. Where the largest rate that was
# tried is the best, the best of all may lie beyond it.


# %%
def near_best(result, series):
    scores = result.scores().query("series == @series")
    losses = scores.pivot(index="seed", columns="rate", values="val_loss")
    return losses.mean().idxmin(), may_be_best(losses, "min")


# %%
swept = {"both hidden sites": (sweep, "hidden", "hidden")}
swept["input alone"] = (sites, "input_dropout", "input")
for number in (1, 2):
    swept[f"hidden {number} alone"] = (sites, f"hidden_{number}_dropout", "hidden")
rows = {}
for name, (result, series, placement) in swept.items():
    best, near = near_best(result, series)
    guidance = GUIDANCE[placement]
    rows[name] = {
        "guidance": str(guidance),
        "best": best,
        "may be as good": ", ".join(f"{rate:g}" for rate in near),
        "includes a recommended rate": "yes" if any(map(guidance.includes, near)) else "no",
    }
pd.DataFrame.from_dict(rows, orient="index").rename_axis("swept")
