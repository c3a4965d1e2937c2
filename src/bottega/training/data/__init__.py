"""Data sets: one file each, with registry, SHA-256, licence and split; and folders of one's own."""
