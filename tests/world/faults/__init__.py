"""The whole controller against a cluster that misbehaves: plans, runs, and what judges them."""
