"""What one picture needs, from words to pixels."""
