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
from dropout_zoo.studies import LearningCurveDisplay, learning_curves, with_fewer_examples
from dropout_zoo.training import load_dataset, targets_for

BLUE, VERMILION = "#0072B2", "#D55E00"  # from the palette of Okabe and Ito

full = profile == "full"
source = os.environ.get("DROPOUT_ZOO_MNIST", "digits") if full else "digits"
split = (0.9, 0.05, 0.05) if full else (0.7, 0.15, 0.15)
data = with_fewer_examples(load_dataset(source, split=split), 3000 if full else 500, seed=0)
print(f"Profile {profile}. {data.describe()}")

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
before = keras.Model(mlp.inputs[0], mlp.get_layer("hidden_1").output)  # f(Wx + b)
after = keras.Model(mlp.inputs[0], layer.output)  # what hidden_2 receives


def outputs_of(model, inputs, training=False):
    return keras.ops.convert_to_numpy(model(inputs, training=training))


draws = 10_000
image = np.repeat(x[:1], draws, axis=0)  # every copy gets its own mask
activation = outputs_of(before, x[:1])[0]
dropped = outputs_of(after, image, training=True)

# %%
order = np.argsort(-activation)[: (activation > 0).sum()]
figure, axes = plt.subplots(1, 3, figsize=(12, 3.6), sharey=True, layout="constrained")
shown = {
    "at inference: all units": (activation, BLUE),
    f"one training step: kept units times {1 / (1 - layer.rate):g}": (dropped[0], VERMILION),
    f"mean of {draws:,} training steps": (dropped.mean(axis=0), VERMILION),
}
for axis, (title, (values, color)) in zip(axes, shown.items(), strict=True):
    axis.bar(range(len(order)), values[order], width=1, color=color)
    axis.set_title(title, fontsize=10)
    axis.set_xlabel("active units of hidden_1, sorted")
axes[2].step(range(len(order)), activation[order], where="mid", color="black", label="at inference")
axes[2].legend(frameon=False)
axes[0].set_ylabel("activation")
plt.show()

off = (dropped[:, activation > 0] == 0).mean()
relative = np.abs(dropped.mean(axis=0) - activation).max() / activation.max()
display(
    Markdown(
        f"At rate {layer.rate:g}, {off:.1%} of the active units were dropped over {draws:,} "
        f"training steps, and the mean activation differs from that at inference by at most "
        f"{relative:.1%} of the largest one."
    )
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
# `dropout_sites` lists the dropout of any Keras model. The documented networks have none on the
# input and after convolutions; `input_rate` and `conv_rates` add it there.

# %%
everywhere = build_cnn(
    input_shape=data.input_shape, input_rate=0.2, conv_rates=0.25, name="cnn, all layers"
)
pd.DataFrame(
    {
        "model": model.name,
        "site": site.path,
        "placement": site.placement,
        "rate": site.rate,
        "guidance": str(GUIDANCE.get(site.placement, "-")),
    }
    for model in (mlp, cnn, everywhere)
    for site in dropout_sites(model)
).set_index(["model", "site"])

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
off_formula = np.abs(comes_out - mask * goes_in / (1 - layer.rate)).max()
off_inference = np.abs(outputs_of(after, batch) - goes_in).max()
active = (goes_in > 0).sum(axis=1)
count = (~mask & (goes_in > 0)).sum(axis=1)
share = count / active
scatter = (count - active * layer.rate).std()
by_chance = np.sqrt((active * layer.rate * (1 - layer.rate)).mean())
same = "yes" if np.ptp(share) == 0 else "no"
answers = {
    "Does y = r f(Wx + b) / (1 - rate) hold in training?": f"off by at most {off_formula:.1g}",
    "Is it f(Wx + b) at inference?": f"off by at most {off_inference:.1g}",
    f"Is the fraction dropped the rate, {layer.rate:g}?": f"{share.mean():.3f} on average",
    "Is it the same for every example?": f"{same}: from {share.min():.2f} to {share.max():.2f}",
    "Is each unit dropped independently of the others?": (
        f"the standard deviation of the number dropped is {scatter:.2f}; independent draws give "
        f"{by_chance:.2f}"
    ),
}


def show_table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    display(Markdown("\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)))


show_table(["question", f"measured on {len(batch)} images"], answers.items())

# %% [markdown]
# By its definition the factor r / (1 - rate) has mean 1 and variance rate / (1 - rate): the mean of
# an activation stays the same, and the noise that training adds grows without bound as the rate
# approaches 1. Measured on the layer's own masks, with 200,000 units per rate:

# %%
ones = np.ones((200, 1000), "float32")
measured = []
for rate in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9):
    factor = outputs_of(keras.layers.Dropout(rate, seed=0), ones, training=True)
    measured.append((rate, factor.mean(), factor.var()))
table = pd.DataFrame(measured, columns=["rate", "mean of r / (1 - rate)", "its variance"])
table["rate / (1 - rate)"] = table["rate"] / (1 - table["rate"])

figure, axis = plt.subplots(figsize=(5.2, 3.4), layout="constrained")
axis.plot(table["rate"], table["rate / (1 - rate)"], "-", color="black", label="rate / (1 - rate)")
axis.plot(table["rate"], table["its variance"], "o", color=BLUE, label="variance, measured")
axis.plot(
    table["rate"], table["mean of r / (1 - rate)"], "s", color=VERMILION, label="mean, measured"
)
axis.set_xlabel("dropout rate (fraction dropped)")
axis.set_ylabel("mean or variance of r / (1 - rate)")
axis.legend(frameon=False)
plt.show()
table.round(3).set_index("rate")

# %% [markdown]
# ### Mask outside or inside the activation?
#
# Some texts write f(r (Wx + b)) / (1 - rate), with the mask inside the activation f. A `Dropout`
# layer before an `Activation` layer computes a third form, f(r (Wx + b) / (1 - rate)). For which f
# do these equal r f(Wx + b) / (1 - rate), and which of them keep the mean?

# %%
rng = np.random.default_rng(0)
kernel, bias = (keras.ops.convert_to_numpy(w) for w in mlp.get_layer("hidden_1").weights)
z = batch.reshape(len(batch), -1) @ kernel + bias
rate = layer.rate
r = rng.random((200, *z.shape), dtype=np.float32) >= rate
rows = []
for name in ("relu", "tanh", "sigmoid", "softplus"):
    f = keras.activations.get(name)

    def of(values, f=f):
        return keras.ops.convert_to_numpy(f(values))

    without = of(z)
    forms = {
        "r f(z) / (1 - rate)": r * without / (1 - rate),
        "f(r z) / (1 - rate)": of(r * z) / (1 - rate),
        "f(r z / (1 - rate))": of(r * z / (1 - rate)),
    }
    first = forms["r f(z) / (1 - rate)"]
    for form, values in forms.items():
        rows.append(
            {
                "activation f": name,
                "form": form,
                "same as the first": bool(np.allclose(values, first, atol=1e-5)),
                "mean output": values.mean(),
                "mean without dropout": without.mean(),
            }
        )
pd.DataFrame(rows).round(3).set_index(["activation f", "form"])

# %% [markdown]
# ## A rate of 0 is the control
#
# To compare dropout with no dropout, nothing else should change. `with_rates` sets the rates of a
# model and keeps its layers and weights.

# %%
control = with_rates(mlp, 0.0)
rows = {"layers": [], "parameters": [], "rates": [], "inference": [], "training": []}
for net in (mlp, control):
    inference = outputs_of(net, batch)
    rows["layers"].append(len(net.layers))
    rows["parameters"].append(f"{net.count_params():,}")
    rows["rates"].append(", ".join(f"{site.rate:g}" for site in dropout_sites(net)))
    off = np.abs(inference - outputs_of(mlp, batch)).max()
    rows["inference"].append(f"differs from the documented network by at most {off:.2g}")
    off = np.abs(outputs_of(net, batch, training=True) - inference).max()
    rows["training"].append(f"differs from its inference by at most {off:.2g}")
show_table(["", "documented", "control"], ([name, *values] for name, values in rows.items()))

# %% [markdown]
# ## The PyTorch twin
#
# The same network in PyTorch returns logits; its loss applies the softmax. With the weights of the
# Keras network, does it compute the same? And does its dropout follow the same formula?

# %%
import torch

twin = keras_weights_to_torch(mlp, build_torch_mlp())
print(twin)
with torch.no_grad():
    inputs = torch.from_numpy(batch.copy())
    probabilities = torch.softmax(twin(inputs), dim=1).numpy()
    hidden = torch.relu(twin.fc1(inputs.flatten(1)))
    twin.dropout1.train()
    torch.manual_seed(0)
    torch_out = twin.dropout1(hidden).numpy()
    twin.eval()
predicted = outputs_of(mlp, batch)
torch_mask = torch_out != 0
off_torch = np.abs(torch_out - torch_mask * hidden.numpy() / (1 - twin.dropout1.p)).max()
agree = (probabilities.argmax(axis=1) == predicted.argmax(axis=1)).mean()
display(
    Markdown(
        f"On {len(batch)} images the probabilities of the two networks differ by at most "
        f"{np.abs(probabilities - predicted).max():.1g}, and they predict the same class for "
        f"{agree:.1%}. In training, PyTorch's dropout differs from the formula by at most "
        f"{off_torch:.1g}."
    )
)

# %% [markdown]
# ## What dropout does to the learning curves
#
# The training metric that Keras reports for an epoch is measured with dropout on. Measured again
# with dropout off, after the epoch, it is a different number. Both networks are trained with their
# documented rates and without dropout, paired by seed.

# %%
epochs = 20 if full else 8
runs = {
    name: learning_curves(name, data, rates=[None], num_seeds=num_seeds, epochs=length)
    for name, num_seeds, length in (
        ("mlp", 5 if full else 3, epochs),
        ("cnn", 3 if full else 2, 2 * epochs // 5),
    )
}
for name, result in runs.items():
    LearningCurveDisplay.from_result(result).plot().figure_.suptitle(name)
    plt.show()
    display(Markdown("\n".join(f"- {sentence}" for sentence in result.conclusions)))

# %% [markdown]
# *Why is validation better than training?* This is asked often. In how many epochs does validation
# look better than the training metric that Keras reports, and in how many is it better than the
# training metric measured with dropout off? Means over the seeds:

# %%
rows = []
for name, result in runs.items():
    for setting, group in result.data.groupby("setting", sort=False):
        means = group.groupby("epoch")[["accuracy", "train_accuracy", "val_accuracy"]].mean()
        rows.append(
            {
                "model": name,
                "setting": setting,
                "epochs": len(means),
                "looks better": (means["val_accuracy"] > means["accuracy"]).sum(),
                "is better, dropout off": (means["val_accuracy"] > means["train_accuracy"]).sum(),
            }
        )
counts = pd.DataFrame(rows).set_index(["model", "setting"])
display(counts)
for (name, setting), row in counts.iterrows():
    seeming, real = row["looks better"], row["is better, dropout off"]
    dropped = "" if setting == "no dropout" else "with units dropped, and "
    if seeming > real:
        display(
            Markdown(
                f"{name}, {setting}: validation looks better than training in {seeming} of "
                f"{row['epochs']} epochs and is better in {real}. In the others, Keras measured "
                f"the training metric {dropped}while the weights were still changing."
            )
        )
