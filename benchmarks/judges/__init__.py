"""Independent judges of the HTTP API."""
