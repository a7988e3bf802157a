"""Ordinary LoRAs from a person's own pictures, on any base."""
