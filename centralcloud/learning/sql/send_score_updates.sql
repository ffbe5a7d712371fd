-- Publishes the updates of one run, in order of version, and wakes the instances that listen.
SELECT pgmq.send_batch('model_score_updates', %(messages)s::jsonb[]), pg_notify('centralcloud_scores', '');
