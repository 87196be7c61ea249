#!/usr/bin/env bash
# Trains the rows of the paper's tables, prints them beside the published numbers, writes reports.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python=${DEFINE_VENV:-$root/.venv}/bin/python
[[ $python == /* ]] || python=$PWD/$python

known=$(cd "$root/configs/experiment" && echo table_*)

usage() {
  cat <<TEXT
usage: scripts/reproduce.sh [TABLE ...] [options]

For each TABLE: prepares its corpus, trains every row (finished rows stay, interrupted ones go on),
prints the comparison with the paper, and writes a report with plots. A table that fails does not
stop the others. What is missing on this machine is set up first.

Without a TABLE: the demonstration. Table 1c's comparison, briefly, on English text that comes with
Python; nothing is downloaded. Takes a few minutes on 2 CPU cores.

  TABLE              one of: $known
  --scale SCALE      paper (GPU, days), mini (minutes per row; default) or smoke (seconds)
  --seeds N          train seeds 1 to N of each row (default: 1; at scale paper, as published)
  --source FOLDER    where the corpora's files lie, each in a subfolder of its name, instead of
                     downloading them (default: the environment variable DEFINE_DATA_SOURCE)
  --dry-run          show the resolved configs, parameters and cost; needs no corpus, trains nothing
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

tables=() overrides=() flags=() prepare=() scale=mini seeds="" dry=""
while (($#)); do
  case $1 in
    --scale | --seeds | --source)
      (($# > 1)) || fail "$1 needs a value; see scripts/reproduce.sh --help."
      case $1 in
        --scale) scale=$2 ;;
        --seeds) seeds=$2 ;;
        --source) prepare+=(--source "$(realpath -- "$2")") ;;
      esac
      shift
      ;;
    --dry-run) dry=1 flags+=(--dry-run) ;;
    --quiet) flags+=(--quiet) prepare+=(--quiet) ;;
    -h | --help) usage && exit ;;
    table_*) tables+=("$1") ;;
    *=*) overrides+=("$1") ;;
    *) fail "'$1' is neither a table, an option nor KEY=VALUE; see scripts/reproduce.sh --help." ;;
  esac
  shift
done
[[ $seeds =~ ^([1-9][0-9]*)?$ ]] || fail "--seeds is '$seeds' but must be a number from 1 on."
seeds=${seeds:+seed=range(1,$((seeds + 1)))}
[[ $scale =~ ^(paper|mini|smoke)$ ]] || fail "--scale is '$scale'; take paper, mini or smoke."
for table in "${tables[@]}"; do
  [[ -d $root/configs/experiment/$table ]] ||
    fail "there is no table '$table'; the tables here are: $known."
done

"$root/scripts/setup.sh"
cd "$root"
define() { "$python" -m define "$@"; }

if ((${#tables[@]} == 0)); then
  tables=(table_1c)
  overrides=(data=python_docs +budget=demonstration "${overrides[@]}")
fi

runs=${DEFINE_RUNS:-runs} reports=${DEFINE_REPORTS:-reports}

# reproduce TABLE: all of one table; returns the exit code of the last command that failed.
reproduce() {
  local table=$1 rows corpora corpus code=0
  rows=$(cd configs/experiment && printf '%s,' "$table"/*.yaml | sed 's/\.yaml//g; s/,$//')
  local sweep=("experiment=$rows" "scale=$scale" "${overrides[@]}")
  if [[ -z $dry ]]; then
    corpora=$(define train -m --corpora "${sweep[@]}") || return
    for corpus in $corpora; do
      define prepare "$corpus" "${prepare[@]}" || return
    done
  fi
  define train -m "${flags[@]}" "${sweep[@]}" ${seeds:+"$seeds"} || code=$?
  if [[ -n $dry ]] || ((code == interrupted)); then return "$code"; fi
  for corpus in $corpora; do
    define compare --table "${table#table_}" --scale "$scale" --data "$corpus" --runs "$runs" \
      --report "$reports/$table/$scale/$corpus" || code=$?
  done
  return "$code"
}

interrupted=130 failed=0 failures=()
for table in "${tables[@]}"; do
  reproduce "$table" || {
    failed=$?
    ((failed != interrupted)) || exit "$failed"
    failures+=("$table")
  }
done
((failed == 0)) || printf 'error: failed: %s\n' "${failures[*]}" >&2
exit "$failed"
