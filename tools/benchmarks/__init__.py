"""Benchmarks: the service compared with bare Flask and with similar products. `make bench` writes README.md."""
