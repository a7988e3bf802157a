#!/usr/bin/env bash
# Teaches the decoder that ships on what few steps paint, with a critic, and gives it a fine end. Every line resumes.
set -euo pipefail
cd "$(dirname "$0")/.."

runs=${RUNS:-runs}
weights=src/allaprima/weights/vignette
threads=${THREADS:-0}

prima scenes build
prima train scenes "$runs/scenes-c" --count 8000 --first-seed 500000000
prima train latents "$runs/latents-c" --store "$runs/scenes-c" --threads "$threads"
prima train painted "$runs/painted-c" --cache "$runs/latents-c" --count 12000 --threads "$threads"
prima train decoder "$runs/decoder-c" --store "$runs/scenes-c" --cache "$runs/latents-c" --painted "$runs/painted-c" \
  --steps 8000 --decay 2000 --critic 4 --rate 3e-4 --threads "$threads"
prima train release "$runs/decoder-c" autoencoder --start "$weights/autoencoder.safetensors" --share 0.5 -o "$runs/autoencoder.safetensors"
mv "$runs/autoencoder.safetensors" "$weights/autoencoder.safetensors"
prima evaluate vignette
prima evaluate pictures

# The de-block network, on what this decoder makes of what few steps painted.
prima train deblock "$runs/deblock" --store "$runs/scenes-c" --painted "$runs/painted-c" --steps 6000 --threads "$threads"
prima train release "$runs/deblock" deblock -o "$runs/deblock.safetensors"
prima evaluate deblock "$runs/deblock.safetensors" --store "$runs/scenes-c" --painted "$runs/painted-c"
