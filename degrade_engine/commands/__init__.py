"""One file a command, each holding a click command named `command`. Loaded when it is called, not before."""
