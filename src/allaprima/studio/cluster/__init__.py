"""Several engines as one: replicas in processes of their own, here or on other machines. No FastAPI."""
