"""Classical degradations: parameters drawn from a seed, applied with OpenCV and the real JPEG codec."""
