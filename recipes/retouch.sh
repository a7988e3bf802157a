#!/usr/bin/env bash
# Trains what `prima retouch` cuts out and restyles with. Every line resumes where it was stopped.
#
# Cost on processor cores, in core-hours: scenes 0.1, matte 0.4, restyle 0.5.
set -euo pipefail
cd "$(dirname "$0")/.."

runs=${RUNS:-runs}
weights=src/allaprima/weights/retouch
threads=${THREADS:-0}

prima scenes build
prima train styled-scenes "$runs/styled-scenes"

prima train matte "$runs/matte" --store "$runs/styled-scenes" --steps 2000 --threads "$threads"
prima train release "$runs/matte" matte -o "$weights/matte.safetensors"

prima train restyle "$runs/restyle" --store "$runs/styled-scenes" --steps 3000 --threads "$threads"
prima train release "$runs/restyle" restyle -o "$weights/restyle.safetensors" --store "$runs/styled-scenes"
