-- The policies of the configuration: a few rows, by the primary keys and idx_configuration_history_entry.
SELECT name, description, policy_config::text AS config, is_active, updated_at FROM public.routing_policies ORDER BY name LIMIT 200;
