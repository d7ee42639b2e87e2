"""Runs a model on samples to decide how it is quantized: statistics, and what is made of them."""
