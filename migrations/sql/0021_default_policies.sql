-- The default policies and the task mapping of the specification, where the configuration has no entry of that id, in one version.
--
-- No model has a `provider`: with one, a gateway looks for PROVIDER/MODEL, and the provider is sent the name as it stands. So
-- anthropic/claude-3-5-sonnet would be asked for a model that Anthropic has shut down, while the plain name is an alias of the
-- built-in catalog (claude-sonnet-5-5), and gpt-4o alone has its second target at OpenRouter, too.
SELECT centralcloud.write_configuration(
    (SELECT config_version FROM configuration_state),
    (
        SELECT coalesce(jsonb_agg(jsonb_build_object('kind', kind, 'id', id, 'body', body)), '[]')
        FROM (
            SELECT
                'policy' AS kind,
                name AS id,
                jsonb_strip_nulls(jsonb_build_object(
                    'name', name,
                    'description', description,
                    'models', jsonb_build_array(
                        jsonb_build_object('model', first_model, 'priority', 1),
                        jsonb_build_object('model', second_model, 'priority', 2)
                    ),
                    'order', 'priority',
                    'max_cost_per_task', max_cost,
                    'max_tokens', max_tokens,
                    'temperature', temperature,
                    'reasoning_models', '[]'::jsonb,
                    'task_preferences', '{}'::jsonb,
                    'local_failures', 2,
                    'learn_from', 'outcome',
                    'cut_off_is_failure', false,
                    'is_active', true
                )) AS body
            FROM (VALUES
                ('normal', 'Balanced cost and performance', 'gpt-4o-mini', 'claude-3-5-sonnet', 0.1, 4000, 0.7),
                ('deep_research', 'Maximum intelligence', 'gpt-4o', 'claude-3-opus', 1.0, NULL, NULL),
                ('code', 'Specialized for coding', 'gpt-4o', 'claude-3-5-sonnet', 0.5, NULL, NULL),
                ('ops', 'Cheapest, for simple tasks', 'gpt-3.5-turbo', 'claude-3-haiku', 0.01, NULL, NULL)
            ) AS policy (name, description, first_model, second_model, max_cost, max_tokens, temperature)
            UNION ALL
            SELECT 'task', task_type, jsonb_build_object('id', task_type, 'policy', policy)
            FROM (VALUES
                ('investigate_error', 'code'), ('deploy_code', 'code'), ('fix_bug', 'code'),
                ('analyze_logs', 'normal'), ('simple_query', 'ops')
            ) AS mapped (task_type, policy)
        ) AS defaults
        WHERE NOT EXISTS (
            SELECT FROM configuration_entries AS entry
            WHERE entry.kind = defaults.kind AND entry.id = defaults.id AND entry.body IS NOT NULL
        )
    ),
    'migration', 'cli', 'revision 0021', 'default policies and task mapping'
);
