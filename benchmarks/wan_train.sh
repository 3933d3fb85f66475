#!/usr/bin/env bash
# Phases of wan_train.py under time limits: `one` GPU in 9 minutes, `four` GPUs in 8, `eight` bits on one H200 in 9,
# kinds of `attention` in 6, a `small` one of 80 GB in 7 (the last three want torchao). Results in $OUT or results.
set -u
cd "$(dirname "$0")/.."
export PYTHONPATH="$PWD:$PWD/benchmarks:${PYTHONPATH:-}" PYTORCH_ALLOC_CONF=expandable_segments:True
out="${OUT:-benchmarks/results}/results"
mkdir -p "$out"
phase() { # seconds, then the command
  local limit=$1
  shift
  if ((limit > ends - SECONDS)); then limit=$((ends - SECONDS)); fi
  if ((limit < 30)); then echo "== no time left: $*" && return; fi
  echo "== $(date +%T) $*"
  timeout -k 5 "$limit" "$@" 2>&1 | grep -v Warning || echo "== ended early: $*"
}
ends=600 # seconds after the start, for all phases together
run="python3 benchmarks/wan_train.py --out $out"
case "${1:-one}" in
one)
  phase 110 $run --tag 480p --size 480p --layers 4 --ways "[0,1,2,3]" --seconds 95
  phase 120 $run --tag best_480p --phase best --size 480p --steps 2 --seconds 100
  phase 180 $run --tag best_720p --phase best --size 720p --steps 1 --seconds 120
  phase 80 $run --tag 720p --size 720p --layers 4 --ways "[0,2,3]" --steps 1 --seconds 60
  phase 50 $run --tag float8 --size 480p --layers 4 --ways 4 --steps 2 --seconds 40
  ;;
attention) # kinds of attention; wants flash-attn-4
  phase 140 $run --tag attention_480p --size 480p --layers 4 --ways "[3,7,4,8]" --steps 3 --seconds 120 --profile
  phase 200 $run --tag attention_720p --size 720p --layers 4 --ways "[3,7,4,8]" --steps 2 --seconds 180
  ;;
more)
  phase 120 $run --tag float8 --size 480p --layers 4 --ways "[4,5,6]" --steps 2 --seconds 100
  phase 100 $run --tag 720p_more --size 720p --layers 4 --ways "[1,4,6]" --steps 1 --seconds 80
  phase 120 $run --tag overfit --phase overfit --seconds 110
  ;;
four)
  for n in 1 2 4; do
    phase 90 torchrun --nproc-per-node $n benchmarks/wan_train.py --out "$out" --tag scaling_$n --phase scaling --layers 8 \
      --steps 2 --seconds 70
  done
  phase 180 torchrun --nproc-per-node 4 benchmarks/wan_train.py --out "$out" --tag full --phase full --steps 2 --seconds 150
  phase 100 $run --tag overfit --phase overfit --seconds 90
  ;;
eight) # the most wanted first; a phase that ends early leaves its time to the last ones
  ends=550
  best="$run --phase best --optimizer adamw8bit"
  phase 150 $best --tag eight_720p --size 720p --ac-save-attention 40 --steps 1 --seconds 100
  phase 140 $best --tag eight_720p_float8 --size 720p --ac-save-attention 40 --ways 4 --steps 1 --seconds 90
  phase 110 $best --tag eight_480p --size 480p --ac-save-attention 40 --ac-skip-blocks -1 --steps 1 --seconds 85
  phase 70 $best --tag eight_480p_float8 --size 480p --ac-save-attention 40 --ways 4 --steps 1 --seconds 55
  phase 100 $run --phase best --tag skip_480p --size 480p --ac-save-attention 34 --ac-skip-blocks 6 --steps 2 --seconds 80
  ;;
small) # one H100 of 80 GB; the first step allocates the host's memory, and is slow
  ends=450
  best="$run --phase best --optimizer adamw8bit"
  phase 270 $best --tag small_720p --size 720p --ac-save-attention 40 --offload-activations --steps 1 --seconds 250
  phase 140 $best --tag small_480p --size 480p --ac-save-attention 40 --offload-activations --steps 2 --seconds 120
  ;;
esac
