#!/usr/bin/env bash
# Trains the shipped denoiser further, to read what stands where and to paint portraits.
# Every line resumes where it was stopped. Further --cache options add scenes.
#
# Cost on one core with AMX, in core-hours: scenes and latents 0.3 per 24,000, denoiser 1 per 150,000 samples.
# What ships began with 500 updates of 128 before the map was multiplied by `layout.GAIN`, and went on with 1,180 of 64
# (lab-notes/LOG.md, 2026-12-01).
set -euo pipefail
cd "$(dirname "$0")/.."

runs=${RUNS:-runs}
weights=src/allaprima/weights/vignette
threads=${THREADS:-0}
export TORCHINDUCTOR_CACHE_DIR=${TORCHINDUCTOR_CACHE_DIR:-$runs/inductor} # compiling takes minutes, once

prima scenes build
prima train scenes "$runs/scenes-framed" --count "${SCENES:-24000}" --first-seed 600000000 --framed
prima train latents "$runs/latents-framed" --store "$runs/scenes-framed" --threads "$threads"
prima train denoiser "$runs/denoiser-layout" --cache "$runs/latents-framed" --start "$weights/denoiser.safetensors" --layout \
  --steps "${STEPS:-20000}" --batch 64 --rate 3e-4 --warmup 40 --time-mean 1.0 --decay "${DECAY:-6000}" --worn-weight 2 --naming-weight 0 \
  --compile --text-multiple 8 --sample-every 0 --threads "$threads"
prima train release "$runs/denoiser-layout" denoiser -o "$runs/denoiser.safetensors"
