-- Revision 0026: the complexity of the tasks in the sums of use. Expands only: older workers leave the column empty.
ALTER TABLE usage_roll_ups ADD COLUMN complexity varchar NOT NULL DEFAULT '';
COMMENT ON COLUMN usage_roll_ups.complexity IS 'simple, medium or complex; empty: summed before revision 0026';
