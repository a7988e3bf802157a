"""LoRA files: read, checked, described and written."""
