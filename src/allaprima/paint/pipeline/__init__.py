"""The way of one picture: encode, noise, denoise, decode, each written once."""
