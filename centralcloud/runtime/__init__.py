"""What both programs stand on: connections, the one loop shape, notifications, logging, health, the embedded server."""
