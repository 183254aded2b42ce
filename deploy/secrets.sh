#!/usr/bin/env bash
# Random keys for compose.yaml, in deploy/secrets, where none are yet. To change them: delete the folder, run this, start again.
#   client_key         for clients: ASTRO_API_KEY or OPENAI_API_KEY of theirs
#   metrics_key        for Prometheus: it may read metrics and nothing else
#   grafana_password   of Grafana's user admin, at its first start
#   astro.env          both keys as the server reads them
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
if [[ -e secrets ]]; then
  echo "deploy/secrets is there already: nothing was changed" >&2
  exit 0
fi
random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }
umask 077
mkdir secrets.next
random >secrets.next/client_key
random >secrets.next/metrics_key
random >secrets.next/grafana_password
printf 'ASTRO_API_KEY=%s\nASTRO_ADMIN_KEY=%s\n' "$(<secrets.next/client_key)" "$(<secrets.next/metrics_key)" >secrets.next/astro.env
chmod 0444 secrets.next/metrics_key secrets.next/grafana_password # read by other users in the containers; the folder keeps those of the host out
mv secrets.next secrets
echo "made deploy/secrets; the key for clients is in deploy/secrets/client_key"
