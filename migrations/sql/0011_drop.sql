DROP TABLE server_clock;
