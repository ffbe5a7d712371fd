-- Whether the database has scores of task types, and this role may read them: an earlier revision has none.
SELECT coalesce(has_function_privilege(to_regprocedure('centralcloud.current_task_scores()'), 'EXECUTE'), false);
