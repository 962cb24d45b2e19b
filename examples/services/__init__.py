"""Two services that share a notice: one keeps customers, the other writes to them. A passport carries the purpose."""
