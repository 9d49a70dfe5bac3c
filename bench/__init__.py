"""Benchmarks: netjumper beside what people would use instead, measured in one run.

`python -m bench.loopback` measures on loopback, `python -m bench.wan` over an emulated path, and
`python -m bench.report` makes `docs/performance.md` out of what they found. It needs nothing but
Python's standard library, and is not installed with the package.

Words: a **peer** is a row of the tables, one program or a chain of two; a **figure** is one
measured value of a peer; a **metric** is what is measured, in one unit.
"""
