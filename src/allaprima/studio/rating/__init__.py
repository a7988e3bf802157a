"""Blind rating: pairs of pictures without names, votes that are never lost, and what they come to."""
