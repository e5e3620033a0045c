"""Whether the service keeps its promises while things break: `python -m tools.reliability chaos|soak|faults --help`.

What runs is real: PostgreSQL, Redis, three servers, two workers, and a Telnyx played over HTTP, each a process of its
own that can be killed. What is believed is what Telnyx's stand-in saw, what the database holds and what the clients
were told; a run that finds these three at odds ends with status 1. The promises, and the figures that runs gave, stand
in docs/reliability.md.
"""
