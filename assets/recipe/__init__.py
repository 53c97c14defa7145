"""How the starter checkpoint and the callsign demo were made. Nothing in `asrkit` imports this."""
