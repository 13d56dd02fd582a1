"""Tuners and oracles, KerasTuner's or built on them, and what trains their trials."""
