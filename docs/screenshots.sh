#!/usr/bin/env bash
# The pictures of docs/window.md, from a real X server: bash docs/screenshots.sh
# Needs Xvfb and ImageMagick's import; PYTHON names the interpreter that rlgrid is installed in. On a busy machine, FACTOR=3
# waits three times as long for each.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=${PYTHON:-python}
display=:57

shoot() { # name, size, seconds, arguments of play.py
    name=$1 size=$2 seconds=$3
    shift 3
    Xvfb "$display" -screen 0 "${size}x24" &
    server=$!
    sleep 1
    DISPLAY=$display "$python" play.py --size "$size" "$@" &
    window=$!
    sleep $((seconds * ${FACTOR:-1}))
    DISPLAY=$display import -window root "docs/images/$name.png"
    kill "$window" "$server"
    wait "$window" "$server" || true
}

shoot window 1280x800 6
shoot usual-light 1280x800 12 --world rlgrid/FrozenLake8x8-v1 --agent q_learning --theme light --speed 5000
shoot side-by-side 1280x800 14 --race q_learning,sarsa --world rlgrid/CliffWalking-v1 --speed 1500
shoot small-dark 800x600 6 --world rlgrid/CliffWalking-v1 --agent q_learning
shoot small-light 800x600 5 --world rlgrid/RussellNorvig4x3-v0 --theme light
shoot large-dark 1920x1200 12 --agent dqn --speed 3000
shoot large-light 1920x1200 6 --world rlgrid/WindyGridworldStochastic-v0 --theme light
