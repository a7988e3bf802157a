"""Weight files as people keep them: what they say they hold, their kinds, and their weights as stored."""
