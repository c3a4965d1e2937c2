"""Every setting, typed, in one file."""
