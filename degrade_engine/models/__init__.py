"""Models by name.

catalogue.py   the checkpoints that the package carries: names, licences, what they were trained on
ready.py       a model becomes a bundle or an engine at its first use, and is found again in the cache
cache.py       what the cache holds
"""
