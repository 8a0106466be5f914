"""All checks over what was read, the worst finding first."""

from megahertz.observe.doctor import interpreter, network, process
from megahertz.observe.doctor.facts import Facts, Finding


def examine(facts: Facts) -> list[Finding]:
    """What is wrong; checks of one severity in the order of their list."""
    checks = (*network.CHECKS, *process.CHECKS, *interpreter.CHECKS)
    found = [finding for check in checks for finding in check(facts)]
    return sorted(found, key=lambda finding: finding.severity)
