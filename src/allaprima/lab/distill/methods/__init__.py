"""One file per published method: its settings and its loss."""
