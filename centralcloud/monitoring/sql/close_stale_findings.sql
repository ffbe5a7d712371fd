-- Closes findings that hold only while a process confirms them, when it has not for some time: it was killed, or the
-- cause is over. Served by idx_findings_open.
UPDATE public.findings SET closed_at = now()
WHERE closed_at IS NULL
  AND (kind = 'task_degraded' AND seen_at < now() - interval '10 minutes'
       OR kind = 'server_clock_behind' AND seen_at < now() - interval '1 hour');
