"""SynDiff: Synthesizing Realistic Image Restoration Training Pairs: A Diffusion Approach (Yang et al. 2023).

RealDGen compares itself with it under this name (its Tables 1 to 3, 12 and 13); UDDM calls it Syn-Real.

config.py  its two presets       model.py  the unconditional diffusion model, its training step, and its generation
"""
