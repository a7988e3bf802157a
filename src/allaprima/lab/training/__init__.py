"""One readable training loop and what it needs: data, EMA, checkpoints that resume bit for bit."""
