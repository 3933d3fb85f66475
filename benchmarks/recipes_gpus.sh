#!/usr/bin/env bash
# The table `recipes` of `pusa-lab bench paper` on one machine of two GPUs, each shared by several processes:
#
#     bash benchmarks/recipes_gpus.sh OUT [SECONDS] [WORDS FOR EVERY COMMAND ...]
#
# Nine processes train and three score. Results, and the rows if time ends before the last: OUT/results.tar.gz. Weights
# and clips stay in OUT/work, so that the same command goes on where it was ended.
set -uo pipefail
OUT=$1 SECONDS_LEFT=${2:-560} && shift $(($# < 2 ? $# : 2))
ROOT=$(cd "$(dirname "$0")/.." && pwd)
export PYTHONPATH=$ROOT:${PYTHONPATH:-} PYTHONUNBUFFERED=1 OMP_NUM_THREADS=${OMP_NUM_THREADS:-2}
export TORCHINDUCTOR_CACHE_DIR=$OUT/compiled TORCHINDUCTOR_COMPILE_THREADS=4
mkdir -p "$OUT/results/log" && cd "$ROOT" || exit 1

start() { # GPU, name, words: one process, its output in a file of its own; Lightning takes SIGTERM for a wish
  local gpu=$1 name=$2 && shift 2
  CUDA_VISIBLE_DEVICES=$gpu timeout -k 3 "$SECONDS_LEFT" python3 "$@" >"$OUT/results/log/$name" 2>&1 &
}

for part in 0 1 2 3 4 5 6 7 8; do
  start $((part % 2)) "ahead$part" benchmarks/paper_ahead.py recipes --part $part --parts 9 --work "$OUT/work" "$@"
done
for part in 1 2; do
  start $((part % 2)) "rows$part" benchmarks/rows_ahead.py recipes --part $part --parts 3 --work "$OUT/work" \
    --out "$OUT/results" "$@"
done
start 0 table -m pusa_lab bench paper --table recipes --wait --work "$OUT/work" --out "$OUT/results" "$@"
wait
tar czf "$OUT/results.part" -C "$OUT" results && mv "$OUT/results.part" "$OUT/results.tar.gz"
tail -n 2 "$OUT"/results/log/*
