"""Trainings of what retouches pictures."""
