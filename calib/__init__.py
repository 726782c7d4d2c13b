"""Calibration: what is measured before pairs are made.

precision.py      `calibrate precision`: which layers of a checkpoint must stay FP32
search.py         the smallest set, as pure logic
generator.py      the generator in PyTorch, through the runtime's own sampler; what its layers see
photographs.py    real pairs to measure on
figure.py         the picture beside calibration.json

degradation.py    `calibrate degradation`: weights of a binned space. Its crops of folders serve recipes, too
features.py       deep features; bands.py, discriminant.py: in which bands and axes
heatmap.py        the picture beside weights.json

fitting.py        `calibrate camera`: synthetic cameras fitted to photographs; tune.py begins with it
camera.py         the search; held_out.py: photographs it does not see; nearness.py: how near LR are to them

recipe.py         `calibrate recipe`: the cheapest recipe that is as near to a camera as the nearest
grid.py           the recipes that are tried
contents.py       HR crops whose content is like the references'
recipe_figure.py  the picture beside recipe.json
solver.py         `calibrate solver`: a table of few network calls that is found by a camera's photographs
"""
