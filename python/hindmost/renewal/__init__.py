"""The whole run of a job: failures, restarts, and the checkpoints that it goes back to."""
