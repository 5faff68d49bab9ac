"""The plugin: screens as a whole, commands against a server."""
