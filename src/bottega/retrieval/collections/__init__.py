"""Collections: an organisation's documents, indexed by words and by meaning, searched under access labels.

A collection is a folder. ``collection.sqlite`` is the truth: a document that is committed there is acknowledged. What
stands beside it is derived and says how far it has come, so that whatever was killed goes on:

- ``words/``: one tantivy index for each shelf. A shelf holds the passages of one set of labels and one analyser.
- ``vectors/``: one file of float32 rows for each embedder, mapped into memory.

With a `Server` the tables and the vectors lie in PostgreSQL, shared by hosts, and the folder holds word indexes only.

Who may see: a document carries labels, a search the labels of its user, and a document is visible to those who have all
of its labels. What a user may not see takes no part: a search opens the shelves that are visible and no other, so that
word frequencies, passage lengths and counts are those of visible documents, and it multiplies with visible vectors only.
The same documents give the same hits and scores, whatever else the collection holds.

Not covered: how long a search takes, and what reading the folder itself shows; whoever reads the files sees everything.
"""
