"""Measures of generated work: each tells the real floor, a trivial and a classical baseline beside the model."""
