"""An operator, for tests that change something as one."""

from centralcloud.store.operator_actions import Operator

OPERATOR = Operator(who="tester", via="cli", source="test-host")
