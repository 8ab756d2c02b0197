"""The commands: parse, call one function of the layers below, print. Only `cli.py` imports from here.

`searching`, `indexing`, `overview`, `upkeep`, `removal`, `cameras`, `cases`, `audit`, `console`, `models` and
`demo` own the commands; `options`, `opening`, `printing` and `running` own what commands share. What they are
called, and in which order they are listed, `cli.py` says. Heavy modules are imported by the commands that
need them, so that `reid --help` is quick.
"""
