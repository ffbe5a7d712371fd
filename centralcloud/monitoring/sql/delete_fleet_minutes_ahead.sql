-- Deletes the minutes that a clock has recorded that was ahead. Served by the primary key.
DELETE FROM public.fleet_minutes WHERE minute >= %(minute)s;
