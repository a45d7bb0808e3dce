"""Latency and memory: fresh processes, taking turns."""
