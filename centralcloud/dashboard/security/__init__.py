"""Access to the dashboard: login, sessions, the file of users, trusted proxies, and the proof that a change is wanted."""
