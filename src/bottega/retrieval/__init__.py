"""Source documents become passages with places; passages are found, quoted and cited."""
