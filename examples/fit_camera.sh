#!/bin/bash
# Pairs without a model: blur, noise and JPEG in weighted bins, fitted to a camera's photographs.
#
#     examples/fit_camera.sh SHARP CAMERA OUT PAIRS [more options of `calibrate degradation`]
#     examples/fit_camera.sh samples/hr samples/reference out/examples/fitted 8
set -eu
sharp=$1 camera=$2 out=$3 pairs=$4
shift 4
mkdir -p "$out"
degrade-engine calibrate degradation --hr "$sharp" --reference "$camera" --space fine -o "$out/weights.json" "$@"
degrade-engine generate --degrader binned --weights "$out/weights.json" --hr "$sharp" --out "$out/pairs" --pairs "$pairs"
degrade-engine check "$out/pairs"
