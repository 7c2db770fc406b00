"""The whole run of a scenario's job: failures of its cluster, and where every GPU's time goes."""
