"""Training: one loop for every family of generative model; a run folder is the only result."""
