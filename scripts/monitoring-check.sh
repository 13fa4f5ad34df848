#!/bin/sh
# Holds the rules, alerts, dashboards and the runbook to each other, and every name in
# their queries to what a host of its own exports under a little traffic.
set -eu
cd "$(dirname "$0")/.."
exec python3 scripts/monitoring/check.py
