"""What stands where in a picture: what a prompt asks for, and boxes for what a person leaves open. Needs no torch."""
