#!/usr/bin/env bash
# Tables of `pusa-lab bench paper` on one machine of several GPUs, each shared by several processes:
#
#     bash benchmarks/tables_gpus.sh OUT SECONDS "0 1 2 0 1 2 3 3 3 3" "3:steps 3:noise 3:recipes 3:recipes:1/2" [WORDS ...]
#
# The numbers are the GPUs of processes that train, whatever the tables need, longest runs first; then GPU:TABLE of
# processes that measure, with :PART/PARTS for those that share the rows of a table. WORDS go to every command. A GPU of
# 141 GB has room for three that train and four that measure: with six that measure, rows ran out of memory.
# Results, and rows where time ends before the last: OUT/results.tar.gz. Weights stay in OUT/work, so that the same
# command goes on where it was ended.
set -uo pipefail
OUT=$1 LIMIT=$2 TRAINERS=$3 TABLES=$4 && shift 4
ROOT=$(cd "$(dirname "$0")/.." && pwd)
export PYTHONPATH=$ROOT:${PYTHONPATH:-} PYTHONUNBUFFERED=1 OMP_NUM_THREADS=${OMP_NUM_THREADS:-2}
export TORCHINDUCTOR_CACHE_DIR=$OUT/compiled TORCHINDUCTOR_COMPILE_THREADS=4
mkdir -p "$OUT/results/log" && cd "$ROOT" || exit 1
NAMES=$(for each in $TABLES; do echo "$each" | cut -d: -f2; done | sort -u)

start() { # GPU, name, words: one process, its output in a file of its own; Lightning takes SIGTERM for a wish
  local gpu=$1 name=$2 && shift 2
  CUDA_VISIBLE_DEVICES=$gpu timeout -k 3 "$LIMIT" python3 "$@" >"$OUT/results/log/$name" 2>&1 &
}

number=0
for gpu in $TRAINERS; do
  start "$gpu" "ahead$((number++))" benchmarks/paper_ahead.py ${AHEAD:-$NAMES} --work "$OUT/work" "$@"
  ((number > 3)) || sleep 4 # the first ones take the longest runs, each on its own GPU
done
for each in $TABLES; do
  IFS=: read -r gpu table part <<<"$each"
  words=(--work "$OUT/work" --out "$OUT/results" "$@")
  [[ $table != recipes ]] || words+=(--set.seeds 2) # of videos of each prompt; there are three of training
  if [[ -n $part ]]; then
    start "$gpu" "$table${part%/*}" benchmarks/rows_ahead.py "$table" --part "${part%/*}" --parts "${part#*/}" "${words[@]}"
  else
    start "$gpu" "$table" -m pusa_lab bench paper --table "$table" --wait "${words[@]}"
  fi
done
wait
tar czf "$OUT/results.part" -C "$OUT" results && mv "$OUT/results.part" "$OUT/results.tar.gz"
tail -n 2 "$OUT"/results/log/*
