"""Where answers go: a terminal, lines for machines, files, a window, a broker, a web server."""
