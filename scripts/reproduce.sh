#!/usr/bin/env bash
# Trains the rows of the paper's tables, prints them beside the published numbers, writes reports.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python=${DEFINE_VENV:-$root/.venv}/bin/python
[[ $python == /* ]] || python=$PWD/$python

known=$(cd "$root/configs/experiment" && echo table_*)

usage() {
  cat <<TEXT
usage: scripts/reproduce.sh [all | TABLE ...] [options]

Prepares the corpora, trains every row of each TABLE in one sweep (finished rows are skipped,
interrupted ones resume, a failed row does not stop the others), prints the comparison with the paper, and
writes the reports: one page over everything, one folder per table. What is missing on this machine
is set up first. The exit code is 0 if every row finished.

Without a TABLE: the demonstration. Table 1c's comparison, briefly, on English text that comes with
Python; nothing is downloaded. Takes a few minutes on 2 CPU cores.

  all                every table
  TABLE              one of: $known
  --scale SCALE      paper (GPU, days), mini (minutes per row; default) or smoke (seconds)
  --seeds N          train seeds 1 to N of each row (default: 1; at scale paper, as published)
  --jobs N           rows that train at once, one CPU thread each if several (default: one per CPU
                     core; at scale paper one per GPU)
  --source FOLDER    where the corpora's files lie, each in a subfolder of its name, instead of
                     downloading them (default: the environment variable DEFINE_DATA_SOURCE)
  --dry-run          list the rows with their parameters and cost; needs no corpus, trains nothing
  --quiet            no progress bars
  KEY=VALUE          further Hydra overrides, for every row

Corpora go to ./data (DEFINE_DATA), runs to ./runs (DEFINE_RUNS), reports to ./reports
(DEFINE_REPORTS), below the project's folder.
TEXT
}

fail() {
  printf 'error: %s\n' "$*" >&2
  exit 2
}

tables=() overrides=() flags=() prepare=() scale=mini seeds="" jobs="" dry=""
while (($#)); do
  case $1 in
    --scale | --seeds | --jobs | --source)
      (($# > 1)) || fail "$1 needs a value; see scripts/reproduce.sh --help."
      case $1 in
        --scale) scale=$2 ;;
        --seeds) seeds=$2 ;;
        --jobs) jobs=$2 ;;
        --source) prepare+=(--source "$(realpath -- "$2")") ;;
      esac
      shift
      ;;
    --dry-run) dry=1 ;;
    --quiet) flags+=(--quiet) prepare+=(--quiet) ;;
    -h | --help) usage && exit ;;
    all) read -ra tables <<<"$known" ;;
    table_*) tables+=("$1") ;;
    *=*) overrides+=("$1") ;;
    *) fail "'$1' is neither a table, an option nor KEY=VALUE; see scripts/reproduce.sh --help." ;;
  esac
  shift
done
[[ $seeds =~ ^([1-9][0-9]*)?$ ]] || fail "--seeds is '$seeds' but must be a number from 1 on."
[[ $jobs =~ ^([1-9][0-9]*)?$ ]] || fail "--jobs is '$jobs' but must be a number from 1 on."
[[ $scale =~ ^(paper|mini|smoke)$ ]] || fail "--scale is '$scale'; take paper, mini or smoke."
for table in "${tables[@]}"; do
  [[ -d $root/configs/experiment/$table ]] ||
    fail "there is no table '$table'; the tables here are: $known."
done
if ((${#tables[@]} == 0)); then
  tables=(table_1c)
  overrides=(data=python_docs +budget=demonstration "${overrides[@]}")
fi

"$root/scripts/setup.sh"
cd "$root"
define() { "$python" -m define "$@"; }

rows=()
for table in "${tables[@]}"; do
  for config in configs/experiment/"$table"/*.yaml; do rows+=("$table/$(basename "$config" .yaml)"); done
done
sweep=("experiment=$(IFS=, && echo "${rows[*]}")" "scale=$scale")
if [[ $seeds ]]; then flags+=(--seeds "1-$seeds"); fi
if [[ $dry ]]; then
  define train -m --dry-run "${flags[@]}" "${sweep[@]}" "${overrides[@]}"
  exit
fi

code=0
corpora=$(define train -m --corpora "${sweep[@]}" "${overrides[@]}")
for corpus in $corpora; do
  define prepare "$corpus" "${prepare[@]}" || code=$? # its rows will say that it is missing
done

if [[ -z $jobs && $scale == paper ]]; then
  jobs=$( (nvidia-smi --list-gpus 2>/dev/null || true) | wc -l)
fi
: "${jobs:=$(env -u OMP_NUM_THREADS nproc)}" # else nproc tells the threads of one run
((jobs < 2)) || sweep+=(hydra/launcher=joblib "hydra.launcher.n_jobs=$jobs" threads=1)
define train -m "${flags[@]}" "${sweep[@]}" "${overrides[@]}" || code=$?
interrupted=130
((code != interrupted)) || exit "$code"

runs=${DEFINE_RUNS:-runs} reports=${DEFINE_REPORTS:-reports}
shown=()
for table in "${tables[@]}"; do shown+=(--table "${table#table_}"); done
if [[ -d $runs ]]; then
  define compare "${shown[@]}" --scale "$scale" --runs "$runs" || code=$?
  define report --scale "$scale" --runs "$runs" --output "$reports/report.html" \
    --tables "$reports" || code=$?
fi
exit "$code"
