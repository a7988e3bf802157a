"""What stands where in a picture: the words for it, and the rules. Needs no torch."""
