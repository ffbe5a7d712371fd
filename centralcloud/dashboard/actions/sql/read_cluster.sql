-- The number that initdb gave the cluster; its standbys have the same one. Reads a file of the server, no table.
SELECT system_identifier FROM pg_control_system()
