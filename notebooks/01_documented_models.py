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
# # The documented models, and what dropout does in them
#
# Two small Keras networks with documented dropout placements, and the PyTorch twin of the first.
# Where do they have dropout, what does it do to the activations in training and at inference, and
# how does it change the learning curves?
#
# In Keras the *rate* is the fraction dropped. In training, a dropout layer with rate p multiplies
# each activation by r / (1 - p), where r is drawn anew for every unit of every example: 0 with
# probability p, otherwise 1. At inference it passes its inputs on unchanged.

# %% tags=["parameters"]
profile = "full"  # "fast": a few seconds, on the digits

# %%
import os

from IPython.display import Markdown, display

from dropout_zoo.training import start_keras

start_keras(announce=False)

import keras
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from dropout_zoo.models import (
    GUIDANCE,
    build_cnn,
    build_mlp,
    build_torch_mlp,
    diagram,
    dropout_sites,
    keras_weights_to_torch,
    with_rates,
)
from dropout_zoo.studies import (
    LearningCurveDisplay,
    claims_table,
    get_claim,
    learning_curves,
    verdict_by_setting,
    with_fewer_examples,
)
from dropout_zoo.training import load_dataset, targets_for

pd.set_option("display.max_colwidth", None)
BLUE, VERMILION = "#0072B2", "#D55E00"  # from the palette of Okabe and Ito
full = profile == "full"
source = os.environ.get("DROPOUT_ZOO_MNIST", "digits") if full else "digits"
split = (0.9, 0.05, 0.05) if full else (0.7, 0.15, 0.15)
data = with_fewer_examples(load_dataset(source, split=split), 3000 if full else 500, seed=0)
print(f"Profile {profile}. {data.describe()}")


# %%
def remember(text):
    display(Markdown(f"**To remember.** {text}"))


def show_table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    display(Markdown("\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)))


# %% [markdown]
# ## The answer
#
# One training image in the documented MLP, which was trained for a few epochs: the activations of
# its first hidden layer as the next layer receives them, at inference, in one training step, and
# averaged over many training steps.

# %%
keras.utils.set_random_seed(0)
mlp = build_mlp(input_shape=data.input_shape)
x, y = data.train
mlp.fit(x, targets_for(mlp, y, data.num_classes), epochs=3, verbose=0)
layer = mlp.get_layer("hidden_1_dropout")
rate = layer.rate
before = keras.Model(mlp.inputs[0], mlp.get_layer("hidden_1").output)  # f(Wx + b)
after = keras.Model(mlp.inputs[0], layer.output)  # what hidden_2 receives


# %%
def outputs_of(model, inputs, training=False):
    return keras.ops.convert_to_numpy(model(inputs, training=training))


draws = 10_000
activation = outputs_of(before, x[:1])[0]
dropped = outputs_of(after, np.repeat(x[:1], draws, axis=0), training=True)  # a mask per copy
order = np.argsort(-activation)[: (activation > 0).sum()]
shown = {
    "at inference: all units": (activation, BLUE),
    f"one training step: kept units times {1 / (1 - rate):g}": (dropped[0], VERMILION),
    f"mean of {draws:,} training steps": (dropped.mean(axis=0), VERMILION),
}

# %%
figure, axes = plt.subplots(1, 3, figsize=(12, 3.6), sharey=True, layout="constrained")
for axis, (title, (values, color)) in zip(axes, shown.items(), strict=True):
    axis.bar(range(len(order)), values[order], width=1, color=color)
    axis.set_title(title, fontsize=10)
    axis.set_xlabel("active units of hidden_1, sorted")
axes[2].step(range(len(order)), activation[order], where="mid", color="black", label="at inference")
axes[2].legend(frameon=False)
axes[0].set_ylabel("activation")
plt.show()

# %%
off = (dropped[:, activation > 0] == 0).mean()
relative = np.abs(dropped.mean(axis=0) - activation).max() / activation.max()
remember(
    f"At rate {rate:g}, {off:.1%} of the active units were dropped over {draws:,} training steps, "
    f"and the mean activation differs from that at inference by at most {relative:.1%} of the "
    "largest one."
)

# %% [markdown]
# ## Where the dropout is
#
# The MLP and the CNN, from input to output:

# %%
display(diagram(mlp))

# %%
cnn = build_cnn(input_shape=data.input_shape)
display(diagram(cnn))

# %% [markdown]
# `dropout_sites` lists the dropout of any Keras model. `input_rate` and `conv_rates` add dropout on
# the input and after convolutions.

# %%
everywhere = build_cnn(
    input_shape=data.input_shape, input_rate=0.2, conv_rates=0.25, name="cnn, all layers"
)
rows = [
    [model.name, site.path, site.placement, site.rate, str(GUIDANCE.get(site.placement, "-"))]
    for model in (mlp, cnn, everywhere)
    for site in dropout_sites(model)
]
sites = pd.DataFrame(rows, columns=["model", "site", "placement", "rate", "guidance"])
sites.set_index(["model", "site"])

# %%
documented = sites[sites["model"].isin([mlp.name, cnn.name])]
placements = " and ".join(documented["placement"].unique())
absent = [name for name in sites["placement"].unique() if name not in placements]
remember(
    f"As documented, both networks have {placements} dropout and no {' or '.join(absent)} dropout; "
    f"the MLP has {len(dropout_sites(mlp))} sites, the CNN {len(dropout_sites(cnn))}."
)

# %% [markdown]
# ## The formula, checked numerically
#
# The layer is documented as y = r * f(Wx + b) / (1 - rate) in training and y = f(Wx + b) at
# inference. The mask r can be read off the inputs and outputs; then each part of the formula can be
# checked.

# %%
batch = x[:256]
goes_in = outputs_of(before, batch)
comes_out = outputs_of(after, batch, training=True)
mask = comes_out != 0
off_formula = np.abs(comes_out - mask * goes_in / (1 - rate)).max()
off_inference = np.abs(outputs_of(after, batch) - goes_in).max()
active = (goes_in > 0).sum(axis=1)
count = (~mask & (goes_in > 0)).sum(axis=1)  # active units that are dropped, by example
share = count / active
scatter = (count - active * rate).std()
by_chance = np.sqrt((active * rate * (1 - rate)).mean())

# %%
same = "yes" if np.ptp(share) == 0 else "no"
answers = {
    "y = r f(Wx + b) / (1 - rate) in training": f"off by at most {off_formula:.1g}",
    "y = f(Wx + b) at inference": f"off by at most {off_inference:.1g}",
    f"fraction dropped, at rate {rate:g}": f"{share.mean():.3f}",
    "same fraction in every example": f"{same}: from {share.min():.2f} to {share.max():.2f}",
    "standard deviation of the number dropped": f"{scatter:.2f}",
    "the same, if each unit is dropped independently": f"{by_chance:.2f}",
}
show_table(["what is checked", f"measured on {len(batch)} images"], answers.items())

# %% [markdown]
# By its definition the factor r / (1 - rate) has mean 1 and variance rate / (1 - rate): the mean of
# an activation stays the same, and the noise that training adds grows without bound as the rate
# approaches 1. Measured on the layer's own masks, with 200,000 units per rate:

# %%
ones = np.ones((200, 1000), "float32")
measured = []
for each in (0.1, 0.3, 0.5, 0.7, 0.9):
    factor = outputs_of(keras.layers.Dropout(each, seed=0), ones, training=True)
    measured.append((each, factor.mean(), factor.var(), each / (1 - each)))
names = ["rate", "mean of r / (1 - rate)", "its variance", "rate / (1 - rate)"]
pd.DataFrame(measured, columns=names).round(3).set_index("rate")

# %% [markdown]
# The same checks on another network, from [the claims](../docs/claims.md), whose results come with
# the package:

# %%
claims_table(["inference-is-the-identity", "training-scales-by-1-over-keep"])

# %%
remember(get_claim("training-scales-by-1-over-keep").finding())

# %% [markdown]
# ### Mask outside or inside the activation?
#
# Some texts write f(r (Wx + b)) / (1 - rate), with the mask inside the activation f. A `Dropout`
# layer before an `Activation` layer computes a third form, f(r (Wx + b) / (1 - rate)). For which f
# do these equal r f(Wx + b) / (1 - rate), and which of them keep the mean? The table shows mean
# outputs.

# %%
kernel, bias = (keras.ops.convert_to_numpy(w) for w in mlp.get_layer("hidden_1").weights)
z = batch.reshape(len(batch), -1) @ kernel + bias
r = np.random.default_rng(0).random((200, *z.shape), dtype=np.float32) >= rate
forms = {
    "r f(z) / (1 - rate)": lambda f: r * f(z) / (1 - rate),
    "f(r z) / (1 - rate)": lambda f: f(r * z) / (1 - rate),
    "f(r z / (1 - rate))": lambda f: f(r * z / (1 - rate)),
}


# %%
def compare_forms(name):
    def f(values):
        return keras.ops.convert_to_numpy(keras.activations.get(name)(values))

    outputs = {form: compute(f) for form, compute in forms.items()}
    first, *others = outputs.values()
    means = {form: values.mean() for form, values in outputs.items()}
    equal = all(np.allclose(first, other, atol=1e-5) for other in others)
    return means | {"without dropout": f(z).mean(), "all equal": "yes" if equal else "no"}


# %%
table = {name: compare_forms(name) for name in ("relu", "tanh", "sigmoid", "softplus")}
table = pd.DataFrame.from_dict(table, orient="index").rename_axis("activation f")
table.round(3)

# %%
off = (table[list(forms)].sub(table["without dropout"], axis=0)).abs().max()
outside, *inside = off
remember(
    f"The three forms are equal for {', '.join(table.index[table['all equal'] == 'yes'])} and not "
    f"for {', '.join(table.index[table['all equal'] == 'no'])}. The mean output is off by at most "
    f"{outside:.3f} with the mask outside f, and by up to {max(inside):.3f} with the mask inside."
)

# %% [markdown]
# ## A rate of 0 is the control
#
# To compare dropout with no dropout, nothing else should change. `with_rates` sets the rates of a
# model and keeps its layers and weights.

# %%
control = with_rates(mlp, 0.0)
rows = {}
for name, net in {"documented": mlp, "control": control}.items():
    inference = outputs_of(net, batch)
    rows[name] = {
        "layers": len(net.layers),
        "parameters": f"{net.count_params():,}",
        "rates": ", ".join(f"{site.rate:g}" for site in dropout_sites(net)),
        "inference, difference from documented": np.abs(inference - outputs_of(mlp, batch)).max(),
        "training, difference from inference": np.abs(
            outputs_of(net, batch, training=True) - inference
        ).max(),
    }
pd.DataFrame(rows)

# %%
kept = [
    name for name in ("layers", "parameters") if rows["control"][name] == rows["documented"][name]
]
remember(
    f"With all rates set to 0, a network keeps its {' and '.join(kept)}, and computes in training "
    "what it computes at inference (difference at most "
    f"{rows['control']['training, difference from inference']:.2g})."
)

# %% [markdown]
# ## The PyTorch twin
#
# The same network in PyTorch returns logits; its loss applies the softmax. With the weights of the
# Keras network, does it compute the same? And does its dropout follow the same formula?

# %%
import torch

twin = keras_weights_to_torch(mlp, build_torch_mlp())
print(twin)

# %%
with torch.no_grad():
    inputs = torch.from_numpy(batch.copy())
    probabilities = torch.softmax(twin(inputs), dim=1).numpy()
    hidden = torch.relu(twin.fc1(inputs.flatten(1)))
    twin.dropout1.train()
    torch.manual_seed(0)
    torch_out = twin.dropout1(hidden).numpy()
    twin.eval()
expected = (torch_out != 0) * hidden.numpy() / (1 - twin.dropout1.p)
predicted = outputs_of(mlp, batch)
agree = (probabilities.argmax(axis=1) == predicted.argmax(axis=1)).mean()

# %%
remember(
    f"On {len(batch)} images the probabilities of the two networks differ by at most "
    f"{np.abs(probabilities - predicted).max():.1g}, and they predict the same class for "
    f"{agree:.1%}; in training, PyTorch's dropout differs from the formula by at most "
    f"{np.abs(torch_out - expected).max():.1g}."
)

# %% [markdown]
# ## What dropout does to the learning curves
#
# The training metric that Keras reports for an epoch is measured with dropout on. Measured again
# with dropout off, after the epoch, it is a different number. Both networks are trained with their
# documented rates and without dropout, paired by seed, for longer than it takes until the
# validation loss has stopped falling.

# %%
epochs = {"mlp": 60, "cnn": 30} if full else {"mlp": 10, "cnn": 4}
runs = {
    name: learning_curves(name, data, rates=[None], num_seeds=5 if full else 2, epochs=length)
    for name, length in epochs.items()
}


# %%
def draw(name):
    drawn = LearningCurveDisplay.from_result(runs[name]).plot()
    drawn.axes_[1].set(yscale="linear", ylim=(0, 1))
    drawn.figure_.suptitle(name)
    plt.show()


draw("mlp")

# %%
draw("cnn")

# %% [markdown]
# Which of the settings overfit is a verdict on measured quantities (`02_overfitting` explains
# them), each with its interval. The gain is that of dropout at the best epoch.

# %%
rows = {}
for name, result in runs.items():
    for setting, found in verdict_by_setting(result).items():
        rows[name, setting] = {"verdict": found.label} | {
            what: f"{value.mean:.3f} ({value.low:.3f} to {value.high:.3f})"
            for what, value in found.measured.items()
        }
pd.DataFrame.from_dict(rows, orient="index").fillna("-")

# %%
gains = pd.concat({name: result.gains("val_loss") for name, result in runs.items()})
gains = gains.droplevel(1)[["gain", "low", "high", "ended"]]
gains["ended"] = gains["ended"].map({True: "yes", False: "no"})
gains.rename(columns={"gain": "lower validation loss by", "ended": "trained to the end"}).round(4)

# %%
helped = gains.index[(gains["low"] > 0) & (gains["ended"] == "yes")]
remember(
    f"At its best epoch dropout lowered the validation loss reliably for {len(helped)} of "
    f"{len(gains)} networks{': ' * bool(len(helped))}{', '.join(helped)}."
)

# %% [markdown]
# ### Why is validation better than training?
#
# This is asked often. In how many epochs does validation look better than the training metric that
# Keras reports, and in how many is it better than the training metric measured with dropout off?
# Means over the seeds:

# %%
rows = {}
for name, result in runs.items():
    for setting, group in result.data.groupby("setting", sort=False):
        means = group.groupby("epoch")[["accuracy", "train_accuracy", "val_accuracy"]].mean()
        rows[name, setting] = {
            "epochs": len(means),
            "looks better": (means["val_accuracy"] > means["accuracy"]).sum(),
            "is better, dropout off": (means["val_accuracy"] > means["train_accuracy"]).sum(),
        }
counts = pd.DataFrame.from_dict(rows, orient="index").rename_axis(["model", "setting"])
display(counts)

# %%
dropping = counts.drop("no dropout", level="setting").sum()
control = counts.xs("no dropout", level="setting").sum()
remember(
    f"With dropout, validation looks better than training in {dropping['looks better']} of "
    f"{dropping['epochs']} epochs (without, in {control['looks better']}) because Keras measures "
    "the training metric with units dropped and while the weights still change; with dropout off, "
    f"it is better in {dropping['is better, dropout off']}."
)
