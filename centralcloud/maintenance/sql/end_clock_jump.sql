-- Records that the server's clock has been steady for long enough. One row.
UPDATE public.server_clock SET steady_from = NULL;
