"""The models that paint, one folder per family, and the contract they share."""
