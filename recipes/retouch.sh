#!/usr/bin/env bash
# Trains what `prima retouch` works with. Every line resumes where it was stopped.
#
# Cost on two cores with AVX512-BF16, in core-hours: large sprites 0.01, pictures 0.05, upscaler 0.3, styled scenes 0.1,
# matte 1, restyle 0.5. The restyling that ships began with 600 updates at style_weight 0.6 and texture_weight 0.3, before its
# decoder was told the styles' names, and went on from there by --start (lab-notes/LOG.md, 2026-11-30).
set -euo pipefail
cd "$(dirname "$0")/.."

runs=${RUNS:-runs}
weights=src/allaprima/weights/retouch
threads=${THREADS:-0}
mkdir -p "$weights"

prima scenes build
prima scenes build --large --style fluent
prima scenes build --large --style flat
prima train pictures "$runs/pictures" --count 1000 --first-seed 900000000
prima train upscaler "$runs/upscaler" --store "$runs/pictures" --steps 5000 --decay 4000 --threads "$threads"
prima train release "$runs/upscaler" upscaler -o "$weights/upscaler.safetensors"

prima train styled-scenes "$runs/styled-scenes"
prima train matte "$runs/matte" --store "$runs/styled-scenes" --steps 7200 --threads "$threads"
prima train release "$runs/matte" matte -o "$weights/matte.safetensors"
prima train restyle "$runs/restyle" --store "$runs/styled-scenes" --steps 3000 --threads "$threads"
prima train release "$runs/restyle" restyle -o "$weights/restyle.safetensors" --store "$runs/styled-scenes"

prima evaluate retouch
