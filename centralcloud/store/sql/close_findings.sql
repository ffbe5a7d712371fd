-- Closes the open findings of some kinds, except those that still hold. Served by idx_findings_open.
UPDATE public.findings SET closed_at = now()
WHERE closed_at IS NULL
  AND kind = ANY (%(kinds)s)
  AND NOT EXISTS (
      SELECT FROM unnest(%(held_kinds)s::text[], %(held_subjects)s::text[]) AS held (kind, subject)
      WHERE held.kind = findings.kind AND held.subject = findings.subject
  );
