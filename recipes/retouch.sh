#!/usr/bin/env bash
# Trains what `prima retouch` works with. Every line resumes where it was stopped.
#
# Cost on two cores with AVX512-BF16, in core-hours: large sprites 0.01, pictures 0.05, upscaler 0.3
set -euo pipefail
cd "$(dirname "$0")/.."

runs=${RUNS:-runs}
weights=src/allaprima/weights/retouch
threads=${THREADS:-0}

prima scenes build --large --style fluent
prima scenes build --large --style flat
prima train pictures "$runs/pictures" --count 1000 --first-seed 900000000
prima train upscaler "$runs/upscaler" --store "$runs/pictures" --steps 5000 --decay 4000 --threads "$threads"
mkdir -p "$weights"
prima train release "$runs/upscaler" upscaler -o "$weights/upscaler.safetensors"
prima evaluate retouch
