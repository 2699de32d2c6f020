"""How the whole pipeline stands: probes at the edge, facts, and verdicts that are pure functions of facts."""
