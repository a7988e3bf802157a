#!/usr/bin/env bash
# Trains Vignette from nothing on processor cores; recipes/vignette_accelerator.sh is the same for an accelerator, and what
# the shipped autoencoder and denoiser came from: see lab-notes/LOG.md and `trained` in their metadata.
# Every line resumes where it was stopped.
#
# Cost on two AVX2 cores without bf16, in core-hours:
#   sprites 0.1, scenes 0.2, autoencoder 2.5, text 0.4, latents 0.3, denoiser 1 per 60,000 samples, decoder 1, paths 1, turbo 0.4, turbo-1 0.6, judge 1.3
set -euo pipefail
cd "$(dirname "$0")/.."

runs=${RUNS:-runs}
weights=src/allaprima/weights/vignette
threads=${THREADS:-0}

prima scenes build
prima train scenes "$runs/scenes-autoencoder" --count 8000 --first-seed 500000000
prima train scenes "$runs/scenes-a" --count 24000 --first-seed 0

prima train autoencoder "$runs/autoencoder" --store "$runs/scenes-autoencoder" --steps 8500 --batch 16 --rate 8e-4 \
  --decay 3000 --shrunk-share 0.3 --threads "$threads"
prima train release "$runs/autoencoder" autoencoder -o "$weights/autoencoder.safetensors" --store "$runs/scenes-a"

prima train text "$runs/text" -o "$weights/text.safetensors" --threads "$threads"

prima train latents "$runs/latents-a" --store "$runs/scenes-a" --threads "$threads"
prima train denoiser "$runs/denoiser" --cache "$runs/latents-a" --steps "${STEPS:-60000}" --batch 16 --rate 7e-4 \
  --decay 6000 --threads "$threads"
prima train release "$runs/denoiser" denoiser -o "$weights/denoiser.safetensors"

prima train autoencoder "$runs/decoder" --start "$weights/autoencoder.safetensors" --decoder-only --noise 0.4 \
  --store "$runs/scenes-a" --steps 4000 --batch 8 --rate 4e-4 --decay 1200 --likeness-weight 0.1 --threads "$threads"
prima train release "$runs/decoder" autoencoder --start "$weights/autoencoder.safetensors" -o "$runs/autoencoder.safetensors"
mv "$runs/autoencoder.safetensors" "$weights/autoencoder.safetensors"

# 421,888 parameters are those of rank 4 everywhere, a quarter of rank 16.
prima distill paths --run "$runs/paths" --cache "$runs/latents-a" --count 4096 --teacher-steps 24 --batch 64 --threads "$threads"
prima distill turbo --run "$runs/turbo" --cache "$runs/latents-a" --paths "$runs/paths" --updates 500 --sites all \
  --ranks sensitivity --parameters 421888 --exam 32 --sample-every 250 --threads "$threads"
cp "$runs/turbo/best.safetensors" "$weights/loras/turbo.safetensors"

# For one step: regression on whole paths first, which is right and soft, then distribution matching with the same regression.
prima distill turbo --run "$runs/one" --cache "$runs/latents-a" --paths "$runs/paths" --steps 1 --updates 700 --decay 300 \
  --sites all --ranks 16 --exam 32 --sample-every 350 --threads "$threads"
prima distill dmd --run "$runs/turbo-1" --cache "$runs/latents-a" --paths "$runs/paths" --steps 1 --updates 240 --decay 60 \
  --start "$runs/one/best.safetensors" --diversity 0.25 --fake-updates 3 --exam 32 --sample-every 240 --threads "$threads"
cp "$runs/turbo-1/best.safetensors" "$weights/loras/turbo-1.safetensors"

prima train judge "$runs/judge" --steps 5600 --compile --threads "$threads"
prima evaluate vignette
