-- Revision 0016, taken back.
DROP FUNCTION centralcloud.explain_request;
