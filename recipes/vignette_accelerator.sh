#!/usr/bin/env bash
# Trains Vignette and its few-step LoRAs from nothing on one accelerator of 80 GB with 16 processor cores:
#
#   recipes/vignette_accelerator.sh train      autoencoder and denoiser, about 8 minutes
#   recipes/vignette_accelerator.sh decoder    the decoder learns to forgive what a denoiser leaves undone, 2 minutes
#   recipes/vignette_accelerator.sh distill    the students of `prima evaluate distill`, about 3 minutes
#
# The last two may run at once. To go on from the weights that ship instead, on scenes they were not trained on:
#
#   recipes/vignette_accelerator.sh render     scenes and captions on the processor, 2 minutes
#   recipes/vignette_accelerator.sh further    the denoiser, about 5 minutes; then `distill` as above
#
# The denoiser that ships has been through both (40,000 scenes, 145 s), see lab-notes/LOG.md, 2026-11-27. Seven students at once
# got a third of the updates hoped for: the device ran one program at a time. An update of the denoiser is 66 ms of
# calls and, for 512 samples, 19 ms of an H100's work: hence batches of 2,048, four times the samples in the same time.
#
# The text encoder is the one that ships (recipes/vignette.sh trains it). Scenes are rendered, and captions encoded,
# while the autoencoder trains; the denoiser's blocks are compiled meanwhile by a training that is thrown away.
set -euo pipefail
cd "$(dirname "$0")/.."

runs=${RUNS:-runs}
weights=${WEIGHTS:-$runs/weights}
read -ra prima <<<"${PRIMA:-prima}"
processes=${PROCESSES:-13}
scenes_a=${SCENES_A:-12288}                    # the autoencoder learns from these
scenes_b=${SCENES_B:-80000}                    # and the denoiser from these
autoencoder=${AUTOENCODER:-180s}
denoiser=${DENOISER:-240s}
decoder=${DECODER:-100s}
batch=${BATCH:-2048}
paths=${PATHS:-16384}
student=${STUDENT:-128}                        # pictures in an update of those that learn from paths
opponent=${OPPONENT:-64}                       # and of those that learn against another
first=${FIRST:-60s}                            # students that learn from paths
second=${SECOND:-80s}                          # those that begin where others ended
compiled=(--compile --text-tokens 32)
never=1000000

say() { printf '%4d s  %s\n' "$SECONDS" "$*"; }

train() {
  mkdir -p "$weights"
  cp src/allaprima/weights/vignette/text.safetensors "$weights"
  "${prima[@]}" train scenes "$runs/scenes-a" --count "$scenes_a" --first-seed 0 --processes "$processes"
  say "scenes for the autoencoder"
  {
    captions a 4 && compile_ahead && touch "$runs/compiled"
  } >"$runs/ahead.log" 2>&1 &
  ahead=$!
  {
    nice -n 19 "${prima[@]}" train scenes "$runs/scenes-b" --count "$scenes_b" --first-seed 100000000 --processes "$processes"
    captions b "$processes"
  } >"$runs/scenes-b.log" 2>&1 &
  rendered=$!
  "${prima[@]}" train autoencoder "$runs/autoencoder" --store "$runs/scenes-a" --steps "$never" --budget "$autoencoder" \
    --batch 32 --crop 256 --rate 8e-4 --decay "${AUTOENCODER_DECAY:-2500}" --shrunk-share 0.3 --likeness-weight 0.1 \
    --save-every "$never" --sample-every "$never"
  "${prima[@]}" train release "$runs/autoencoder" autoencoder -o "$weights/autoencoder.safetensors" --store "$runs/scenes-a"
  say "autoencoder"
  wait "$rendered"
  say "scenes for the denoiser"
  "${prima[@]}" train latents "$runs/latents-b" --store "$runs/scenes-b" --part pictures --batch 256 --weights "$weights"
  say "latents"
  if ! kill -0 "$ahead" 2>/dev/null && [ ! -e "$runs/compiled" ]; then
    say "compiling failed, see $runs/ahead.log; training without"
    compiled=()
  fi
  learn denoiser b --steps "$never" --budget "$denoiser" --decay "${DENOISER_DECAY:-2000}" --sample-every "$never"
  "${prima[@]}" train release "$runs/denoiser" denoiser -o "$weights/denoiser.safetensors"
  say "denoiser"
}

decoder() {
  "${prima[@]}" train autoencoder "$runs/decoder" --start "$weights/autoencoder.safetensors" --decoder-only --noise 0.4 \
    --store "$runs/scenes-b" --steps "$never" --budget "$decoder" --batch 32 --crop 256 --rate 1e-3 \
    --decay "${DECODER_DECAY:-2500}" --likeness-weight 0.1 --save-every "$never" --sample-every "$never"
  "${prima[@]}" train release "$runs/decoder" autoencoder --start "$weights/autoencoder.safetensors" \
    -o "$weights/forgiving/autoencoder.safetensors"
  mv "$weights/forgiving/autoencoder.safetensors" "$weights/autoencoder.safetensors"
  say "decoder"
}

captions() {  # of the scenes $1, worded by $2 processes
  "${prima[@]}" train latents "$runs/latents-$1" --store "$runs/scenes-$1" --threads 2 --part captions --batch 1024 \
    --processes "$2" --weights "$weights"
}

learn() {  # a denoiser in the folder $1 on the scenes $2, with further options
  "${prima[@]}" train denoiser "$runs/$1" --cache "$runs/latents-$2" --batch "$batch" --rate "${RATE:-1.5e-3}" \
    "${compiled[@]}" --save-every "$never" --weights "$weights" "${@:3}"
}

compile_ahead() {
  "${PYTHON:-python3}" -c 'import sys, numpy as np; np.save(sys.argv[1], np.zeros((int(sys.argv[2]), 16, 16, 16), np.float16))' \
    "$runs/latents-a/latents.npy" "$scenes_a"
  learn ahead a --steps 3 --sample-every 0
}

render() {  # scenes that the denoiser that ships has not seen, and their captions; they need no accelerator
  mkdir -p "$weights"
  cp src/allaprima/weights/vignette/text.safetensors "$weights"
  "${prima[@]}" train scenes "$runs/scenes-b" --count "$scenes_b" --first-seed "${FIRST_SEED:-700000000}" --processes "$processes"
  captions b "$processes"
  say "scenes and captions"
}

further() {
  for part in text autoencoder denoiser; do
    [ -e "$weights/$part.safetensors" ] || cp "src/allaprima/weights/vignette/$part.safetensors" "$weights"
  done
  "${prima[@]}" train latents "$runs/latents-b" --store "$runs/scenes-b" --part pictures --batch 256 --weights "$weights"
  say "latents"
  learn further b --start "$weights/denoiser.safetensors" --worn-weight "${WORN:-3}" --steps "$never" --budget "$denoiser" \
    --decay "${DENOISER_DECAY:-2000}" --sample-every "$never"
  "${prima[@]}" train release "$runs/further" denoiser -o "$weights/further.safetensors"
  mv "$weights/further.safetensors" "$weights/denoiser.safetensors"
  say "denoiser"
}

distill() {
  rm -f "$runs/failed"
  teach paths paths --count "$paths" --teacher-steps 24 --batch 1024
  say "the teacher's paths"
  on_paths=(--paths "$runs/paths" --batch "$student")
  teach sitting turbo "${on_paths[@]}" --updates 1 --ranks 1
  say "what the teacher paints in exams"
  on_paths+=(--budget "$first" --decay "${STUDENT_DECAY:-300}")
  quarter=$(cost 4)
  for seed in 0 1 2; do
    teach "sensitivity-$seed" turbo "${on_paths[@]}" --sites all --ranks sensitivity --parameters "$quarter" --seed "$seed" &
    teach "regression-$seed" turbo "${on_paths[@]}" --sites all --ranks 16 --steps 1 --seed "$seed" &
  done
  teach uniform turbo "${on_paths[@]}" --sites all --ranks 4 &
  teach rank16 turbo "${on_paths[@]}" --sites all --ranks 16 &
  teach text turbo "${on_paths[@]}" --sites text --ranks pattern &
  wait
  say "students of paths"
  # Those that match distributions do not learn to be near the teacher's pictures: no exam on the way, the last is kept.
  matched=(--paths "$runs/paths" --budget "$second" --batch "$opponent" --decay 60 --fake-updates 3 --sample-every "$never")
  one=(--paths "$runs/paths" --steps 1 --start "$runs/regression-0/best.safetensors" --batch "$opponent")
  for seed in 0 1 2; do
    teach "dmd-$seed" dmd "${matched[@]}" --steps 1 --diversity 0.25 --start "$runs/regression-$seed/best.safetensors" --seed "$seed" &
  done
  teach dmd-4 dmd "${matched[@]}" --diversity 0.05 --start "$runs/sensitivity-0/best.safetensors" &
  teach lcm-1 lcm "${one[@]}" --budget "$second" &
  for arm in both adversarial distillation; do
    teach "add-1-$arm" add "${one[@]}" --arm "$arm" --updates "${ADD_UPDATES:-160}" --sample-every 40 &
  done
  wait
  say "students that began with others"
  [ ! -e "$runs/failed" ]
}

teach() {  # the run $1 by the method $2, with further options; what it says goes into its own log
  mkdir -p "$runs/$1"
  if [ -e "$runs/sitting/exam.safetensors" ] && [ ! -e "$runs/$1/exam.safetensors" ]; then
    cp "$runs/sitting/exam.safetensors" "$runs/$1"
  fi
  local training=(--sample-every "${EXAMS:-200}" --save-every "$never")
  [ "$2" != paths ] || training=()
  "${prima[@]}" distill "$2" --run "$runs/$1" --cache "$runs/latents-b" --weights "$weights" --steps 4 \
    "${training[@]}" "${@:3}" >"$runs/$1.log" 2>&1 \
    || { say "$1 failed"; tail -5 "$runs/$1.log"; touch "$runs/failed"; return 1; }
}

cost() {  # parameters of a LoRA of rank $1 everywhere
  "${PYTHON:-python3}" - "$1" <<-'PYTHON'
	import sys

	from allaprima.lab.distill.networks import Vignette
	from allaprima.lab.distill.target_modules import find_target_modules, num_parameters, uniform_ranks
	from allaprima.paint.bases.vignette.denoiser import Denoiser
	from allaprima.paint.sampling.process import Flow

	targets = find_target_modules(Vignette(Denoiser().transformer, Flow()))
	print(num_parameters(targets, uniform_ranks(targets, int(sys.argv[1]))))
	PYTHON
}

mkdir -p "$runs"
"${1:-train}"
