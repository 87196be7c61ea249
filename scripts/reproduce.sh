#!/usr/bin/env bash
# Trains the rows of the paper's tables and prints them beside the published numbers.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python=${DEFINE_VENV:-$root/.venv}/bin/python
[[ $python == /* ]] || python=$PWD/$python

usage() {
  cat <<'TEXT'
usage: scripts/reproduce.sh [TABLE ...] [options]

Sets up what is missing, prepares the corpus, trains every row of each TABLE (finished rows stay,
interrupted ones go on), and prints the comparison with the paper.

Without a TABLE: the demonstration. Table 1c's comparison, briefly, on English text that comes with
Python; nothing is downloaded. Takes a few minutes on 2 CPU cores.

  TABLE              table_1c
  --scale SCALE      paper (GPU, days), mini (minutes per row; default) or smoke (seconds)
  --seeds N          train seeds 1 to N of each row (default: 1; at scale paper, as published, 141)
  --source FOLDER    where the corpora's files lie, instead of downloading them
                     (default: the environment variable DEFINE_DATA_SOURCE)
  --dry-run          show the resolved configs, parameters and cost; train nothing
  --quiet            no progress bars
  KEY=VALUE          further Hydra overrides, for every row

Corpora go to ./data (DEFINE_DATA), runs to ./runs (DEFINE_RUNS), below the project's folder.
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
if [[ -n $seeds ]]; then overrides+=("seed=range(1,$((seeds + 1)))"); fi
[[ $scale =~ ^(paper|mini|smoke)$ ]] || fail "--scale is '$scale'; take paper, mini or smoke."
for table in "${tables[@]}"; do
  [[ -d $root/configs/experiment/$table ]] || fail "there is no table '$table'; the tables here are:" \
    "$(cd "$root/configs/experiment" && printf '%s ' table_*)"
done

"$root/scripts/setup.sh"
cd "$root"
define() { "$python" -m define "$@"; }

demonstration=""
if ((${#tables[@]} == 0)); then
  demonstration=1 tables=(table_1c)
  overrides=(data=python_docs +budget=demonstration "${overrides[@]}")
fi

failed=0
for table in "${tables[@]}"; do
  corpus=ptb
  if [[ -n $demonstration || $scale == smoke ]]; then corpus=python_docs; fi
  experiments=$(cd configs/experiment && printf '%s,' "$table"/*.yaml | sed 's/\.yaml//g; s/,$//')
  if [[ -z $dry ]]; then
    if [[ $corpus == python_docs ]]; then
      define prepare python_docs
    else
      define prepare "$corpus" "${prepare[@]}"
    fi
  fi
  define train -m "${flags[@]}" "experiment=$experiments" "scale=$scale" "${overrides[@]}" ||
    failed=$?
  if [[ -z $dry ]]; then
    define compare --table "${table#table_}" --scale "$scale" --data "$corpus" \
      --runs "${DEFINE_RUNS:-runs}" --plot "${DEFINE_RUNS:-runs}/$table/validation_$scale.png"
  fi
done
exit "$failed"
