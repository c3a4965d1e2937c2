"""Editable icons from words: the engine, and the model that it holds."""
