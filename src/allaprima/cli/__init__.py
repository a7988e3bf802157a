"""The command prima: one thin file per command, joined by allaprima.cli.app."""
