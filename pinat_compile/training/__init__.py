"""Fine-tuning a network through its own compiled plan."""
