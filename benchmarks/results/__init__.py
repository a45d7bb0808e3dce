"""What was measured: the records that edge-benchmark writes, reads, compares and shows."""
