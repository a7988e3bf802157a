"""LoRAs at work: side paths beside layers, and weights with LoRAs merged in."""
