"""The four papers' models in plain PyTorch: networks, losses, training, and the oracle that the engine is held to."""
