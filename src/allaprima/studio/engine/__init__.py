"""The one owner of the device: a queue of whole pictures and live sessions, painted in one thread. No FastAPI."""
