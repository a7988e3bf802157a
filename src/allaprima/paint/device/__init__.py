"""Which device to paint on, and how it computes."""
