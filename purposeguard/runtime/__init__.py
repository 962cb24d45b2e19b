"""Who asks, and when: activities, access functions, uses, hand-overs, and what is told of each decision."""
