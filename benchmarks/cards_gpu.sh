#!/usr/bin/env bash
# Cards measured anew, and the variants of the README's tables trained and measured, on one GPU in under ten minutes:
#
#     bash benchmarks/cards_gpu.sh OUT [SECONDS]
#
# The trainings run side by side, for each alone leaves most of a GPU idle; their seconds are no measure of speed.
set -uo pipefail
OUT=$1 LIMIT=${2:-570}
cd "$(dirname "$0")/.." || exit 1
export PYTHONPATH=$PWD:${PYTHONPATH:-} PYTHONUNBUFFERED=1 OMP_NUM_THREADS=${OMP_NUM_THREADS:-2}
mkdir -p "$OUT/logs"

start() { # name, words: one process, its output in a file of its own
  local name=$1 && shift
  timeout "$LIMIT" python3 "$@" >"$OUT/logs/$name.log" 2>&1 &
}

train() { # name, words
  local name=$1 && shift
  start "$name" -m pusa_lab train --out "$OUT/trained/$name" "$@"
}

train mini-base-shift3 --model mini --stage base --shift 3 --max-steps 14000
train mini-vta-full --model mini --stage vta --max-steps 6000 --lora-rank 0 --lr 1e-3
train mini-vta-control --model mini --stage vta --max-steps 6000 --timestep-sampler shared
train mini-base-shift1 --model mini --stage base --max-steps 5900 --clips 64000 --shift 1
train nano-vta-3000-steps --model nano --stage vta --max-steps 3000
start cards benchmarks/cards.py --out "$OUT/cards" ${CLIPS:+--clips $CLIPS} nano-base nano-vta mini-base mini-vta mini-i2v
wait
for card in "$OUT"/trained/*/*.json; do cp "$card" "$OUT/cards/$(basename "$(dirname "$card")").json"; done
tar czf "$OUT/cards.tar.gz" -C "$OUT" cards logs
rm -rf "$OUT/trained" "$OUT/cards"
tail -n 3 "$OUT"/logs/*.log
