#!/usr/bin/env bash
# Installs Dynamo's frontend and mocker into a virtual environment, from Python packages (0.6 GB). Usage: install-dynamo.sh FOLDER;
# the last line printed is the Python to name as DYNAMO_PYTHON. Left out is aisimulate, a performance model that is not among the
# public packages and that neither program needs by default.
set -euo pipefail
folder=$(mkdir -p "$1" && cd "$1" && pwd)
version=1.6.1
python=$folder/bin/python
if [[ ! -x $python ]]; then python3 -m venv "$folder"; fi
if ! "$python" -c 'import dynamo.mocker' 2>/dev/null; then
  "$python" -m pip install -q --no-deps "ai-dynamo==$version" >&2
  "$python" - >"$folder/requirements.txt" <<'PYTHON'
from importlib.metadata import requires
from pip._vendor.packaging.requirements import Requirement
for requirement in map(Requirement, requires("ai-dynamo")):
    if requirement.name == "aisimulate" or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
        continue
    requirement.marker = None
    print(requirement)
PYTHON
  "$python" -m pip install -q -r "$folder/requirements.txt" >&2
fi
echo "$python"
