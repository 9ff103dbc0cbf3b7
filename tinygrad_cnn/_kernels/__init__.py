"""Kernels: arrays in, arrays out. They know NumPy and nothing of graphs."""
