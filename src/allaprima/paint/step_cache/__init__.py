"""Step caches: a step that differs little from the one before reuses most of what that computed."""
