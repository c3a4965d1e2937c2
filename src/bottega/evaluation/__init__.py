"""Evaluation of generative models: measures, the judge network, baselines, and the table that a card prints."""
