"""One file per published method: its settings, its loss, and how one follows from the other."""
