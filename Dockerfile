# The service and its worker in one image: `python app.py` serves, `flask worker` works in the background.
# No secret is in it and none should be: give them as files, SECRET_KEY_FILE and the like (compose.yaml shows it).

FROM python:3.11-slim-bookworm AS packages
COPY requirements.txt /
# What is downloaded must have the hashes that requirements.txt names.
RUN python -m venv /venv \
    && /venv/bin/pip install --no-cache-dir --no-input --disable-pip-version-check --require-hashes -r /requirements.txt

FROM python:3.11-slim-bookworm
# `flask db backup` and `restore` need PostgreSQL's own programs, of a version no older than the server's.
RUN apt-get update \
    && apt-get install -y --no-install-recommends postgresql-client \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin letstalk \
    && install -d -o letstalk -g letstalk -m 700 /app/instance
COPY --from=packages /venv /venv
WORKDIR /app
COPY app.py ./
COPY letstalk letstalk
COPY templates templates
COPY static static
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOST=0.0.0.0 PORT=5000
# By default glibc gives each thread a heap of its own, most of which stays unused; two shared heaps save some 10 MB.
ENV MALLOC_ARENA_MAX=2
USER letstalk
# An SQLite database lives here, where one is used.
VOLUME /app/instance
EXPOSE 5000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen('http://127.0.0.1:' + os.environ['PORT'] + '/health', timeout=2)"]
CMD ["python", "app.py"]
