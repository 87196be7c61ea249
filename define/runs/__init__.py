"""What runs leave behind: records, journals, sweeps, and where all of it lies."""
