GRANT USAGE ON SCHEMA centralcloud TO {role};
GRANT EXECUTE ON FUNCTION
    centralcloud.publish_decision, centralcloud.publish_decisions, centralcloud.score_updates_since,
    centralcloud.current_scores, centralcloud.current_task_scores, centralcloud.acknowledge, centralcloud.leave, centralcloud.epoch
TO {role};
