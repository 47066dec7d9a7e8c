"""Fine-tuning on simulated hardware: PINAT, the baselines, the physics regularisers, schedules."""
