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

# %% tags=["parameters"]
profile = "full"  # "fast": a few seconds, on the digits

# %%
import os

from IPython.display import Markdown, display

from dropout_zoo.tuning.starting import start_keras

start_keras(announce=False)

import ipywidgets

from dropout_zoo.studies import RateCurveDisplay, rate_sweep
from dropout_zoo.training import load_dataset

full = profile == "full"
data = load_dataset(os.environ.get("DROPOUT_ZOO_MNIST", "digits") if full else "digits")
print(f"Profile {profile}. {data.describe()}")

# %%
sweep = rate_sweep("mlp", data, rates=[0.0, 0.5], seeds=2, epochs=2)
display(Markdown(sweep.summary()))
_ = RateCurveDisplay.from_result(sweep).plot()


# %%
def draw(rate):
    print(rate)


ipywidgets.interactive(draw, rate=(0.0, 0.9))
