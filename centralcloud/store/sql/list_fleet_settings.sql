SELECT name, value, updated_at FROM fleet_settings ORDER BY name;
