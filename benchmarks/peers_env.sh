#!/bin/sh
# The environment of the comparisons: medrobust and its peers, from the package registry. Usage: benchmarks/peers_env.sh [DIR]
set -eu
cd "$(dirname "$0")/.."
dir=${1:-.venv-peers}
"${PYTHON:-python3}" -m venv "$dir"
"$dir/bin/python" -m pip install --quiet -c constraints.txt -e .
"$dir/bin/python" -m pip install --quiet "setuptools<81" wheel
"$dir/bin/python" -m pip install --quiet --no-deps --no-build-isolation -r benchmarks/requirements-peers.txt
"$dir/bin/python" -W ignore -c "import adv_lib.attacks, art, cleverhans, foolbox, pyautoattack, torchattacks"
echo "Ready: $dir/bin/python benchmarks/same_answers.py"
