"""Calibration: what is measured on a checkpoint before it becomes an engine. Precision, in this release.

precision.py    `calibrate precision`: which layers must stay FP32
search.py       the smallest set, as pure logic
generator.py    the generator in PyTorch, through the runtime's own sampler; what its layers see
photographs.py  real pairs to measure on
figure.py       the picture beside calibration.json
"""
