"""The windows of the SLO: the same sums over each of them."""

WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")

SLO = """\
# Made by generate.py.
#
# The SLO, over 30 days:
#
# - availability: 99.9 % of the requests to public components are not failed by the
#   service (5xx, shed). Nodes that are restarted one at a time lose none, and a
#   PostgreSQL that fails over takes some seconds: 0.1 % is 43 minutes a month in which
#   everything fails, or a hundred failovers of 25 seconds.
# - latency: 99 % of redirects and health checks are over within 100 ms, of what goes to
#   users, urls and events within 500 ms. A redirect is a step before a page, and 100 ms
#   is what people do not notice; it takes single milliseconds, so the limit is missed
#   only where something is wrong. An import is as long as its file and has no limit here.
#
# Both are counted where hosts answer. What never reached a host is not in them:
# WarmlinkServiceDown and the ingress' own figures tell of that.
#
# A burn rate is the share of requests that are bad, by the share that may be: at 1 the
# budget lasts its 30 days, at 14.4 it is gone in 50 hours.
groups:
"""

WINDOW = """\
  - name: warmlink-slo-@
    rules:
      - record: job:warmlink_slo_requests:rate@
        labels:
          slo: availability
        expr: |-
          sum by (job) (rate(warmlink_requests_total{job="warmlink", component!~"clicks|repair"}[@]))
          + on (job)
          sum by (job) (rate(warmlink_failures_total{job="warmlink", kind="shed"}[@]))
      - record: job:warmlink_slo_burn:rate@
        labels:
          slo: availability
        expr: |-
          (
            sum by (job) (rate(warmlink_requests_total{job="warmlink", component!~"clicks|repair", class="ServerError"}[@]))
            + on (job)
            sum by (job) (rate(warmlink_failures_total{job="warmlink", kind="shed"}[@]))
          )
          / on (job)
          job:warmlink_slo_requests:rate@{slo="availability"}
          / 0.001
      - record: job:warmlink_slo_requests:rate@
        labels:
          slo: latency
        expr: |-
          sum by (job) (rate(warmlink_request_seconds_count{job="warmlink", component=~"redirect|health|users|urls|events"}[@]))
      - record: job:warmlink_slo_burn:rate@
        labels:
          slo: latency
        expr: |-
          (
            1
            - sum by (job) (
              rate(warmlink_request_seconds_bucket{job="warmlink", component=~"redirect|health", le="0.1"}[@])
              or
              rate(warmlink_request_seconds_bucket{job="warmlink", component=~"users|urls|events", le="0.5"}[@])
            )
            / on (job)
            job:warmlink_slo_requests:rate@{slo="latency"}
          )
          / 0.01
"""


def text():
    """The rule file."""
    return SLO + "".join(WINDOW.replace("@", window) for window in WINDOWS)
