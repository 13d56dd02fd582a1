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

# %% tags=["parameters"]
profile = "full"  # "fast": a few seconds, on the digits, with fewer methods

# %%
import os

from IPython.display import Markdown, display

from dropout_zoo.training import start_keras

start_keras(announce=False)

import matplotlib.pyplot as plt
import pandas as pd

from dropout_zoo.models import build_cnn
from dropout_zoo.studies import (
    DifferenceDisplay,
    claim_sentence,
    compare_methods,
    holm_differences,
    placement_sweep,
    split_classes,
    with_fewer_examples,
)
from dropout_zoo.training import load_dataset

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
    epochs=30 if full else 8, num_seeds=5 if full else 2, num_tuning_seeds=2 if full else 1,
)  # fmt: skip

# %%
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
tuning["validation error (%)"] = (100 * (1 - tuning["mean"])).round(2)
chosen = set(zip(race.data["method"], race.data["option"], strict=True))
raced = [
    "yes" if each in chosen else "" for each in zip(tuning["method"], tuning["option"], strict=True)
]
tuning.assign(raced=raced).set_index(["method", "option"])[["validation error (%)", "raced"]]

# %% [markdown]
# ## Who overfits, who underfits?
#
# Training error and validation error, both with dropout off. A method that works by restricting
# training has a high training error; one that only memorizes has none.

# %%
scores = race.scores()
errors = pd.DataFrame(
    {
        "method": scores["method"],
        "seed": scores["seed"],
        "training": 100 * (1 - scores["train_accuracy"]),
        "validation": 100 * (1 - scores["val_accuracy"]),
    }
)
means = errors.groupby("method", sort=False)[["training", "validation"]].mean()
table = means.assign(gap=means["validation"] - means["training"]).round(2)
display(table)

# %% [markdown]
# ## Our results and the literature
#
# Srivastava et al. (2014, Table 9) compared regularizers on all of permutation-invariant MNIST with
# a 784-1024-1024-2048-10 network, by the test error in percent. Ours is the validation error of
# networks trained on few examples of five classes, so the levels differ; only the order can be
# compared.

# %%
paper = {
    "L2": 1.62, "L1 + L2": 1.60, "max-norm": 1.35, "dropout + L2": 1.25,
    "dropout + max-norm": 1.05,
}  # fmt: skip
by_seed = errors.pivot(index="seed", columns="method", values="validation")
paper = {name: error for name, error in paper.items() if name in by_seed}
table = pd.DataFrame({"paper, error (%)": paper, "here, error (%)": by_seed[list(paper)].mean()})
ranks = table.rank().astype(int)
table.assign(**{"rank there": ranks.iloc[:, 0], "rank here": ranks.iloc[:, 1]}).round(2)


# %%
def compare(claims, result):
    """Test claims that one setting beats another by errors paired by seed, all together."""
    by_seed = 100 * (
        1 - result.scores().pivot(index="seed", columns="setting", values="val_accuracy")
    )
    gains = {
        claim: by_seed[worse] - by_seed[better]
        for claim, better, worse in claims
        if {better, worse} <= set(by_seed)  # the fast profile leaves methods out
    }
    corrected = holm_differences(gains, [0.0] * len(by_seed))
    for claim, better, worse in claims:
        if claim in corrected:
            more = corrected[claim]
            sentence = claim_sentence(
                claim,
                more.low > 0 if more.excludes_zero else None,
                f"{better} {by_seed[better].mean():.2f}%, {worse} {by_seed[worse].mean():.2f}%, "
                f"a difference of {more.mean:+.2f} points ({more.low:+.2f} to {more.high:+.2f}, "
                f"{more.pairs} paired seeds)",
                not_ended=[name for name in (better, worse) if name in result.not_ended()],
            )
            display(Markdown(sentence))
    count = f"{len(corrected)} claims together (Holm)" if len(corrected) > 1 else "this claim"
    display(Markdown(f"The intervals have 95% confidence for {count}."))


compare(
    [
        (
            "dropout adds to L2 (Srivastava et al. 2014, Table 9)",
            "dropout + L2",
            "L2",
        ),
        (
            "dropout adds to max-norm (Srivastava et al. 2014, Table 9)",
            "dropout + max-norm",
            "max-norm",
        ),
        (
            "max-norm combines better with dropout than L2 does (Srivastava et al. 2014, Table 9)",
            "dropout + max-norm",
            "dropout + L2",
        ),
        (
            "batch norm with dropout is worse than dropout alone in an MLP (often, according to "
            "Garbin et al. 2020)",
            "dropout",
            "batch norm then dropout",
        ),
        (
            "dropout belongs after batch norm, not before it (Li et al. 2018, on DenseNet)",
            "batch norm then dropout",
            "dropout then batch norm",
        ),
        ("more data beats dropout", "more data", "dropout"),
        ("flipping digits does harm", "no method", "flips"),
    ],
    race,
)

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
    epochs=20 if full else 4, num_tuning_seeds=1,
)  # fmt: skip
show(folds)

# %% [markdown]
# ## Where to drop
#
# In a CNN, dropout is usually placed after the dense layers only. Srivastava et al. (2014, Table 3;
# secondary source) found on SVHN that dropout in the dense layers alone lowers the error from 3.95
# to 3.02%, and in all layers to 2.55%. Here we train the documented CNN, at half its width, with
# dropout at one placement at a time and at all of them; `SpatialDropout2D` drops whole feature maps
# (Tompson et al. 2015).


# %%
def small_cnn(
    input_shape, num_classes, input_rate=None, conv_rates=None, conv_dropout="element"
):  # the documented architecture, half as wide
    return build_cnn(
        input_shape=input_shape, num_classes=num_classes, filters=(16, 32), units=(64,),
        input_rate=input_rate, conv_rates=conv_rates, conv_dropout=conv_dropout,
    )  # fmt: skip


images = with_fewer_examples(target, 500 if large else 100, seed=0)
placements = placement_sweep(
    small_cnn if full else "mlp", images, num_seeds=3 if full else 2, epochs=15 if full else 3,
    objective="val_accuracy",
)  # fmt: skip
DifferenceDisplay.from_result(placements).plot()
plt.show()
show(placements)

# %%
claim = "dropout in all layers beats dropout in the dense layers alone"
compare([(claim, "all", "dense only")], placements)
