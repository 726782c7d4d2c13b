#!/bin/bash
# Two processes make a set, are stopped, and go on. The set has the same bytes as one that was never stopped.
#
#     examples/stop_and_go_on.sh SHARP OUT PAIRS
#     examples/stop_and_go_on.sh samples/hr out/examples/stopped 200
set -eu
sharp=$1 out=$2 pairs=$3
run() { degrade-engine generate --degrader realesrgan --hr "$sharp" --pairs "$pairs" --shard-pairs 4 --out "$@"; }

run "$out/stopped" --processes 2 &
until ls "$out"/stopped/shards/*.json > /dev/null 2>&1 || ! kill -0 $!; do sleep 0.1; done # a shard is there
kill -TERM $! || true
wait $! || echo "stopped with exit code $?"
degrade-engine status "$out/stopped" || true

run "$out/stopped" --processes 2 # the same command
degrade-engine status "$out/stopped"

run "$out/whole"
diff -r "$out/stopped/gt" "$out/whole/gt"
diff -r "$out/stopped/lq" "$out/whole/lq"
cmp "$out/stopped/manifest.jsonl" "$out/whole/manifest.jsonl"
echo "both sets have the same bytes"
