"""Chaos: workers are killed at random while plans run, and then everything is counted."""
