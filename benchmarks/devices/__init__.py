"""Other machines: over ssh, or Android's adb."""
