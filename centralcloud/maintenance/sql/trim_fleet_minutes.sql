-- Deletes old minutes of the fleet. Served by the primary key.
DELETE FROM public.fleet_minutes WHERE minute < %(as_of)s - %(retention)s::interval;
