"""The families: one file each, a config, networks, phases, a sampler and a table."""
