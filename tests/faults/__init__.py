"""Real workers on a real broker, killed at random: nothing is lost and nothing doubled."""
