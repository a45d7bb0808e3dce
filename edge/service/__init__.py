"""Running day and night: as a systemd user service, with a watchdog that the runner feeds."""
