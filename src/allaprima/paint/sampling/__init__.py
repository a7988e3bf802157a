"""Schedules, samplers and guidance: pure functions over model(x, t)."""
