"""Painting within the memory that there is: forecasts, plans, offloading and tiles."""
