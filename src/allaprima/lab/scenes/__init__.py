"""The renderer of Vignette's training pictures: scenes, their captions and their exact ground truth."""
