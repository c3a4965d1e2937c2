"""Planning and running: brief to plan, plan to artifacts."""
