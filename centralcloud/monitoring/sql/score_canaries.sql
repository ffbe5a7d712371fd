-- The canaries of learned scores, the settings of the fleet about them (null: not stored yet), and the server's time. A row at
-- least: without a canary one with nulls. Served by the primary keys of configuration_entries and fleet_settings.
SELECT
    (SELECT value #>> '{}' FROM public.fleet_settings WHERE name = 'publication') AS publication,
    (SELECT (value #>> '{}')::double precision FROM public.fleet_settings WHERE name = 'canary.again_hours') AS again_hours,
    now() AS now,
    e.experiment_id AS id,
    e.body
FROM (SELECT) AS one
LEFT JOIN (SELECT experiment_id, body FROM centralcloud.current_experiments() WHERE body ->> 'learnedBy' IS NOT NULL) AS e ON true
ORDER BY e.experiment_id;
