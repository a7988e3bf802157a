"""Many pictures from a file of prompts: what is done stays done, and a bad line costs nobody else anything."""
