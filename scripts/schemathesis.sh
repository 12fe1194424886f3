#!/usr/bin/env bash
# Tests the API against its OpenAPI description with all checks of schemathesis. Installs schemathesis into a Python
# virtual environment in target/schemathesis. Passes arguments to `schemathesis run`.
set -euo pipefail
cd "$(dirname "$0")/.."

target=${CARGO_TARGET_DIR:-$PWD/target}
venv=$target/schemathesis
sluice=$target/debug/sluice

[ -x "$sluice" ] || make build
if [ ! -x "$venv/bin/schemathesis" ]; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet 'schemathesis==4.32.5'
fi

work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$work"' EXIT

# The test sends requests without pauses, so the limits are raised.
cat >"$work/sluice.toml" <<'TOML'
[http]
requests_per_second = 100000
request_burst = 100000
concurrent_requests = 1000
[access]
token_seconds = 86400
TOML

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
url=http://127.0.0.1:$port
"$sluice" serve --listen "127.0.0.1:$port" --data-dir "$work/data" --config "$work/sluice.toml" 2>"$work/log" &
server=$!
curl --silent --retry 60 --retry-connrefused --retry-delay 1 --output "$work/ready" "$url/health/ready"

json() { python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }
token=$(curl --silent --user "$(cat "$work/data/admin-client")" --data grant_type=client_credentials \
    "$url/oauth2/token" | json access_token)
auth="Authorization: Bearer $token"

register() {
    curl --silent --header "$auth" --json '{"components":["Counterparties","Collaterals"],"mapper":"berka"}' \
        "$url/migration-assistance/migrations" | json referenceId
}

# Creates test data: a migration with an accepted record, a rejected record and a validation job.
id=$(register)
record=3f0e9d4c-5f3b-4c55-9c5b-2f1f4a3b7d10
printf '{"referenceId":"%s","type":"organisation","name":"Acme"}\nno record\n' "$record" |
    curl --silent --output "$work/results" --header "$auth" --request PUT --header 'Content-Type: application/jsonl' \
        --data-binary @- "$url/counterparty-management/migrations/$id/staging/counterparties"
job=$(curl --silent --header "$auth" --request PUT "$url/migration-assistance/migrations/$id/jobs/validate" | tr -d '"')
curl --silent --output "$work/job" --header "$auth" --header 'Prefer: wait=30' \
    "$url/migration-assistance/migrations/$id/jobs/$job"

cat >"$work/schemathesis.toml" <<TOML
[parameters]
"path.id" = "$id"
"path.domain" = "counterparty-management"
"path.entity" = "counterparties"
"path.reference-id" = "$record"
"path.source" = "client"

[[operations]]
include-operation-id = "purgeMigration"
parameters = { "path.id" = "$(register)", "header.If-Match" = "*" }

# The description does not list the mappers of this server.
[[operations]]
include-operation-id = "registerMigration"
checks.positive_data_acceptance.expected-statuses = [201, 403, 409, 422]

[[operations]]
include-operation-id = "chooseMapper"
parameters = { "header.If-Match" = "*" }
checks.positive_data_acceptance.expected-statuses = [200, 409, 422]

# The server validates each record separately. It accepts a body with an invalid record and rejects only that record.
[[operations]]
include-operation-id = ["loadSource", "stageRecords", "removeRecords"]
checks.negative_data_rejection.expected-statuses = [200, 400, 401, 403, 404, 405, 409, 415]

# Generated credentials do not exist, and generated scopes are not granted.
[[operations]]
include-operation-id = "issueToken"
checks.positive_data_acceptance.expected-statuses = [200, 400, 401]

[[operations]]
include-operation-id = "streamEvents"
parameters = { "query.follow" = "false" }
# The server ignores unknown header fields, as HTTP requires.
checks.negative_data_rejection.expected-statuses = [200, 400, 401, 403, 404, 405, 406]

# Valid parameters of a job depend on its kind and on the plugins and limits of the server.
[[operations]]
include-operation-id = "startJob"
checks.positive_data_acceptance.expected-statuses = [200, 400, 409, 415, 422]
# A kind of job without parameters ignores them.
checks.negative_data_rejection.expected-statuses = [200, 400, 401, 403, 404, 405, 409, 415, 422]

[[operations]]
include-operation-id = "approvePlugin"
parameters = { "header.If-Match" = "*" }
checks.positive_data_acceptance.expected-statuses = [200, 403, 404, 422]

# Generated bodies are not valid components.
[[operations]]
include-operation-id = "pushPlugin"
checks.positive_data_acceptance.expected-statuses = [200, 201, 400, 403, 413, 422]

[[operations]]
include-operation-id = "readJob"
parameters = { "path.job" = "$job" }

[[operations]]
include-operation-id = "cancelJob"
parameters = { "path.job" = "$job" }
TOML

cat >"$work/hooks.py" <<'PYTHON'
import json

import schemathesis


@schemathesis.serializer("application/jsonl", "application/json-seq", "application/wasm")
def records(context, value):
    return value.encode() if isinstance(value, str) else json.dumps(value).encode()
PYTHON

status=0
cd "$work" # schemathesis writes its state to the current folder.
SCHEMATHESIS_HOOKS="$work/hooks.py" "$venv/bin/schemathesis" --config-file "$work/schemathesis.toml" run "$url/openapi.json" \
    --header "$auth" --checks all --request-timeout 30 "$@" || status=$?
if grep -q '"\?level"\?.*ERROR\|panicked' "$work/log"; then
    echo "The log of the server contains errors:" >&2
    grep 'ERROR\|panicked' "$work/log" | head >&2
    status=1
fi
exit "$status"
