"""Questions over tables: a language model writes a query under a grammar, a guarded engine runs it, cells are cited."""
