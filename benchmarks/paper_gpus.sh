#!/usr/bin/env bash
# Several tables of `pusa-lab bench paper` at once on one machine of four GPUs, in under ten minutes:
#
#     bash benchmarks/paper_gpus.sh OUT [SECONDS] [WORDS FOR EVERY COMMAND ...]
#
# Training fills a GPU and scoring a few cores, so each table that trains has a process that trains ahead
# (benchmarks/paper_ahead.py) and one that scores what has been trained. Results: OUT/results.tar.gz.
set -uo pipefail
OUT=$1 SECONDS_LEFT=${2:-560} && shift $(($# < 2 ? $# : 2))
ROOT=$(cd "$(dirname "$0")/.." && pwd)
export PYTHONPATH=$ROOT:${PYTHONPATH:-} PYTHONUNBUFFERED=1 OMP_NUM_THREADS=${OMP_NUM_THREADS:-6}
mkdir -p "$OUT/results" && cd "$ROOT" || exit 1

start() { # GPU, name, words: one process, its output in a file of its own
  local gpu=$1 name=$2 && shift 2
  CUDA_VISIBLE_DEVICES=$gpu timeout "$SECONDS_LEFT" python3 "$@" >"$OUT/results/$name.log" 2>&1 &
}

table() { # GPU, work, tables: scores them, and waits for what is trained ahead
  local gpu=$1 work=$2 names=$3 && shift 3
  start "$gpu" "${names//,/-}" -m pusa_lab bench paper --table "[$names]" --out "$OUT/results" --work "$OUT/work/$work" "$@"
}

ahead() { # GPU, work, name, sets of adaptations
  local gpu=$1 work=$2 name=$3 && shift 3
  start "$gpu" "ahead-$name" benchmarks/paper_ahead.py "$@" --work "$OUT/work/$work"
}

ahead 0 timestep_samplers timestep_samplers timestep_samplers "$@"
table 0 timestep_samplers timestep_samplers --wait "$@"
ahead 1 preserved ours ours control "$@"
ahead 3 preserved theirs theirs "$@"
table 1 preserved preserved --wait "$@"
ahead 2 tasks tasks inside tasks "$@"
table 2 tasks inside,tasks --wait "$@"
table 2 none steps "$@"
table 3 none noise "$@"
table 1 none schedules "$@"
wait
tar czf "$OUT/results.part" -C "$OUT" results && mv "$OUT/results.part" "$OUT/results.tar.gz"
rm -rf "$OUT/work" && tail -n 2 "$OUT"/results/*.log
