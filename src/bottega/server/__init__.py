"""HTTP: one API for every modality, in the dialects that existing clients speak, and our own routes beside them."""
