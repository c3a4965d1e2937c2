"""Settings to service: the one place that joins parts."""
