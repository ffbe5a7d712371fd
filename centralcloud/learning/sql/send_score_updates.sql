-- Sends the updates of one run, in order of version, and notifies the instances that listen.
SELECT pgmq.send_batch('model_score_updates', %(messages)s::jsonb[]), pg_notify('centralcloud_scores', '');
