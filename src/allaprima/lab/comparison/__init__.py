"""What an eye sees in pictures, in figures: two folders of weights beside each other and beside renders."""
