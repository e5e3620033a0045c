"""Whether the service keeps its promises while parts of it fail: `python -m tools.reliability --help`.

The programs are real: PostgreSQL, Redis, servers, workers, and a stand-in for Telnyx over HTTP. Each is a process that
can be killed. After a run, three records are compared: what the stand-in saw, what the database holds, and what the
clients were told. If they differ, the command exits with status 1. docs/reliability.md has the promises and the last
results.
"""
