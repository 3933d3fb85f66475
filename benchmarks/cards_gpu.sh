#!/usr/bin/env bash
# Cards measured anew, and the variants in README's tables trained and measured, on any number of GPUs:
#
#     bash benchmarks/cards_gpu.sh OUT [SECONDS] [NAME ...]
#
# The names are those of the results, and `cards`; none means all.
# The trainings run side by side, for each alone leaves most of a GPU idle; their seconds are no measure of speed.
set -uo pipefail
OUT=$1 LIMIT=${2:-570} && shift $(($# < 2 ? $# : 2))
NAMES=" $* "
cd "$(dirname "$0")/.." || exit 1
export PYTHONPATH=$PWD:${PYTHONPATH:-} PYTHONUNBUFFERED=1 OMP_NUM_THREADS=${OMP_NUM_THREADS:-2}
mkdir -p "$OUT/logs" "$OUT/cards"

GPUS=$(nvidia-smi --list-gpus | wc -l) NEXT=0

start() { # name, words: one process on the next GPU, its output in a file of its own
  local name=$1 && shift
  [[ $NAMES == "  " || $NAMES == *" $name "* ]] || return 0
  CUDA_VISIBLE_DEVICES=$((NEXT++ % GPUS)) timeout "$LIMIT" python3 "$@" >"$OUT/logs/$name.log" 2>&1 &
}

train() { # name, words
  local name=$1 && shift
  start "$name" -m pusa_lab train --out "$OUT/trained/$name" "$@"
}

train mini-base-shift3 --model mini --stage base --shift 3 --max-steps 14000
train mini-vta-full --model mini --stage vta --max-steps 6000 --lora-rank 0 --lr 1e-3
train nano-vta-3000-steps --model nano --stage vta --max-steps 3000
train mini-vta-independent --model mini --stage vta --timestep-sampler independent --weight uniform
train mini-vta-control --model mini --stage vta --max-steps 6000 --timestep-sampler shared
start cards benchmarks/cards.py --out "$OUT/cards" nano-base nano-vta mini-base mini-vta mini-i2v
train mini-base-shift1 --model mini --stage base --max-steps 5900 --clips 64000 --shift 1
wait
for card in $(find "$OUT/trained" -name "*.json"); do cp "$card" "$OUT/cards/$(basename "$(dirname "$card")").json"; done
tar czf "$OUT/cards.tar.gz" -C "$OUT" cards logs
rm -rf "$OUT/trained" "$OUT/cards"
tail -n 3 "$OUT"/logs/*.log
