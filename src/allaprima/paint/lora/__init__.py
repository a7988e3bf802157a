"""LoRAs: their files, and the rack that hangs them on a base and takes them off again."""
