"""A picture's whole way: decode, resize, invoke, post-process; and the start of the process."""
