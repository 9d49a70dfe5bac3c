"""Benchmarks: netjumper beside comparable programs, measured in one run.

`python -m bench.loopback` measures on loopback, `python -m bench.wan` over an emulated path, and
`python -m bench.report` makes `docs/performance.md` of their results. The benchmarks need only
Python's standard library, and are not installed with the package.

Words: a **competitor** is a row of the tables, one program or a chain of two; each mode of
netjumper is one. A **metric** is a quantity that is measured, in one unit; a **figure** is one
measured value of it.
"""
