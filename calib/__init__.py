"""Calibration of precision, start step and degradation distribution. Nothing is calibrated in this release."""
