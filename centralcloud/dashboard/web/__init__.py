"""The web part: routes, rendering, live updates, files for browsers."""
