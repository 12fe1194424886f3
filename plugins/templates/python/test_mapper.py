"""Runs every case in cases/ as a test: `python -m unittest`."""

from mapper import mapper
from sluice.cases import cases

Cases = cases(mapper, "cases")
