-- Makes messages visible that were sent or leased while the server's clock was ahead: by the clock of today they would stay
-- invisible for as long as it was wrong. A lease or a deferral lasts a minute at most; a message that was sent with a delay
-- was not sent in the future, and keeps its delay. Served by the index on vt.
UPDATE pgmq.q_model_routing_decisions SET vt = clock_timestamp()
WHERE vt > clock_timestamp() + interval '5 minutes'
  AND (read_ct > 0 OR enqueued_at > clock_timestamp() + interval '5 minutes');
