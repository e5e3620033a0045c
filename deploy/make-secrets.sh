#!/bin/sh
# Make the secrets that compose.yaml reads, each in a file of its own; what is there already stays.
set -eu
cd "$(dirname "$0")/.."
# The folder keeps others out; within it the files are readable, because a container's user has another number.
mkdir -p secrets
chmod 700 secrets

random() { head -c "$1" /dev/urandom | base64 | tr -d '\n=' | tr '+/' '-_'; }

make() {
    if [ ! -s "secrets/$1" ]; then
        (umask 077 && printf '%s\n' "$2" >"secrets/.$1" && chmod 444 "secrets/.$1" && mv "secrets/.$1" "secrets/$1")
        echo "Made secrets/$1"
    fi
}

make secret_key "$(random 36)"
make encryption_keys "$(random 32)="
make dashboard_password "$(random 15)"
make postgres_password "$(random 24)"
make database_url "postgresql://letstalk:$(cat secrets/postgres_password)@postgres/letstalk"
make redis_config "requirepass $(random 24)"
make redis_url "redis://:$(cut -d ' ' -f 2 secrets/redis_config)@redis:6379/0"
