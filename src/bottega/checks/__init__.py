"""Checks, one file each: what judges an artifact before it may leave."""
