"""A city of people who do not exist: cameras, passers-by, missing people, and the truth about them.

First a plan, pure and quick, from a seed (`plan.py`); then the rendering of one clip after another, safe
to kill (`render.py`). The files and the truth are described in README.md beside this file.
"""
