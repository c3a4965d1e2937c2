"""Runs, artifacts and the record: content-addressed files and SQLite."""
