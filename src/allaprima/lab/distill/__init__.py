"""Distillation: students that paint in one to four steps what their teacher paints in fifty."""
