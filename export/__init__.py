"""Checkpoint to bundle: the networks as ONNX, FP32 and FP16-typed, checked against PyTorch."""

from .bundle import export_checkpoint

__all__ = ["export_checkpoint"]
