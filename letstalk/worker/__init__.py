"""Background work: a pool of threads fed by wake-ups, and sweeps that find what no wake-up reported.

Knows no feature: features register what a wake-up does (`Worker.handle`) and what runs periodically (`Worker.every`).
"""
