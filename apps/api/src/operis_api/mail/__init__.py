"""Mail: written in the transaction of the change it tells of, sent by a job after the commit."""
