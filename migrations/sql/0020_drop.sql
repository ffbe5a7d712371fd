-- A view gives up a column only when it is dropped, with the rights to it.
DROP VIEW routing_decisions;
