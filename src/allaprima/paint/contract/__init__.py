"""What every base offers and declares, and the schedules that samplers follow."""
