"""Where models are made: training pictures, training, evaluation."""
