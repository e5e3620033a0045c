"""Background work: one pool of threads fed by wake-ups, and the sweeps that find what no wake-up told of.

Knows no feature: features register what a wake-up does (`Worker.handle`) and what runs periodically (`Worker.every`).
"""
