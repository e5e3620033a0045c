"""How fast it is beside bare Flask and beside what one would otherwise use: `make bench`, report in README.md."""
