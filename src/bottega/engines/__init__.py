"""Engines, one file each: what turns a request into outputs."""
