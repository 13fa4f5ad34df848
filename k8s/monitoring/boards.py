"""The dashboards by name: each a title, its variables, and rows of panels."""

from board_machines import COMPONENTS, NODES
from board_pools import POOLS
from board_service import SERVICE

DASHBOARDS = {"service": SERVICE, "pools": POOLS, "components": COMPONENTS, "nodes": NODES}
