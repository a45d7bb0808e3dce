"""What a release is made with and from: locked packages, archives, the bill of materials, known faults."""
