#!/usr/bin/env bash
# Times some updates of every row of the paper's tables at full size; one process per row.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python=${DEFINE_VENV:-$root/.venv}/bin/python
[[ $python == /* ]] || python=$PWD/$python

usage() {
  cat <<'TEXT'
usage: scripts/steps.sh TABLE ... [options of `define step`] [KEY=VALUE ...]

Runs `define step` for every row of each TABLE at scale paper, on generated text, and writes
FOLDER/TABLE/steps/ROW.json, FOLDER being ./reports (DEFINE_REPORTS). On a GPU the batch is the
recipe's; on a CPU cut it with --streams, for translation (Table 3) with --update-freq and --max-tokens.
A row that fails does not stop the others.

examples: scripts/steps.sh table_1a table_2 --streams 4 --updates 1
          scripts/steps.sh table_3 --update-freq 1 --updates 1
TEXT
}

tables=() arguments=()
for argument in "$@"; do
  case $argument in
    -h | --help) usage && exit ;;
    table_*) tables+=("$argument") ;;
    *) arguments+=("$argument") ;;
  esac
done
((${#tables[@]})) || { usage >&2 && exit 2; }
for table in "${tables[@]}"; do
  if [[ ! -d $root/configs/experiment/$table ]]; then
    echo "error: there is no table '$table' in configs/experiment." >&2 && exit 2
  fi
done

"$root/scripts/setup.sh"
cd "$root"
failed=0
for table in "${tables[@]}"; do
  for config in configs/experiment/"$table"/*.yaml; do
    grep -q '^  - /experiment/' "$config" && continue # the run of a row of another table
    row=$(basename "$config" .yaml)
    "$python" -m define step "experiment=$table/$row" scale=paper "${arguments[@]}" \
      --output "${DEFINE_REPORTS:-reports}/$table/steps/$row.json" || failed=$?
    ((failed != 130)) || exit 130
  done
done
exit "$failed"
