"""Pairs of your own photographs, with a model.

    python examples/own_photographs.py MODEL SHARP CAMERA OUT PAIRS
    python examples/own_photographs.py realdgen-tiny samples/hr samples/reference out/examples/own 8

MODEL is a name that `degrade-engine models` lists, a checkpoint, a bundle or an engine.
"""

import sys

from degrade_engine import generate

model, sharp, camera, out, pairs = sys.argv[1:]
made = generate(out, model=model, hr=sharp, reference=camera, pairs=int(pairs), seed=7)
print(f"{made.pairs} pairs in {made.out}, {made.seconds:.1f} s; left out: {made.rejects or 'nothing'}")
