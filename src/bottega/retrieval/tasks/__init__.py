"""Language tasks as engines: summarise, classify, extract, rewrite, each held to the text that it was given."""
