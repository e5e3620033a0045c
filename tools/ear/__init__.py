"""The ear: how well a recogniser understands codes over a telephone line. `make ear` runs it and writes docs/ear.md.

Nothing of it is needed to run or to test the product: it has a virtual environment of its own (requirements-ear.txt).
"""
