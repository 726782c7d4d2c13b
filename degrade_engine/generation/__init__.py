"""What belongs to `generate` at the front door.

calls.py    `plan` and `generate` as functions        options.py  the options of the command, and what they mean
words.py    what a plan and a run say of themselves   live.py     a bar, or a line now and then, while it works
"""
