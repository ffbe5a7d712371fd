-- Verdicts on experiments by their kind, of those after an id, and the newest id among each. Served by the primary key of
-- experiment_verdicts, so that each row is read once by a process.
SELECT verdict, count(*) AS number, max(id) AS newest FROM public.experiment_verdicts WHERE id > %(after)s GROUP BY verdict;
