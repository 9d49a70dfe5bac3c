"""The two commands: `server` is `netjumper`, `bridge` is `netjumper-bridge`.

`options` makes their flags out of the settings' keys, `sources` merges flags, environment and
file, `files` reads what others must not, `logs` writes, and `process` runs a service until it
is told to stop. Settings become constructor calls in `server` and `bridge`, nowhere else.
"""
