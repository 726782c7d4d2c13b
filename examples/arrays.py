"""LR images of arrays, without a folder of pairs.

python examples/arrays.py ENGINE SHARP CAMERA
python examples/arrays.py out/engine samples/hr/city.png samples/reference/sanyo-sr6.jpg
"""

import sys

import numpy as np
from PIL import Image

from degrade_engine import Engine

folder, sharp, camera = sys.argv[1:]
with Engine.open(folder) as engine:
    height, width = engine.lr_size
    hr = np.asarray(Image.open(sharp).convert("RGB"))[: 4 * height, : 4 * width]
    reference = np.asarray(Image.open(camera).convert("RGB"))[:height, :width]  # cropped, never resized
    result = engine.degrade([hr, hr], [reference, reference], scale=4, seed=7)

print(f"LR: {result.lr.dtype} {result.lr.shape}; candidates kept: {result.kept.tolist()}")
difference = np.abs(result.lr[0].astype(int) - result.lr[1]).mean()
print(f"Two pairs of the same images have noise of their own: {difference:.2f} grey levels apart on average")
