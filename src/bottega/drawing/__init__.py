"""Vector drawings as tokens: shapes on a grid, an alphabet with its grammar, SVG in and out, a sampler; NumPy only."""
