"""Pictures from words by the house model: one simple illustration, or a sheet of variations."""
