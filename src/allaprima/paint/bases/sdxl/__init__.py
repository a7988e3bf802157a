"""SDXL and what was distilled from it: SDXL-Turbo, LCM-SDXL and the checkpoints people made of them."""
