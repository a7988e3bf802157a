"""Weight files as people keep them: what one says it holds, of which kind it is, and its weights as they are stored."""
