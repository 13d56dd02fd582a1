"""Reading and rebuilding Keras models: dropout sites, clones, and rates in variables."""
