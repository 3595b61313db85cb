//! Metric catalogue, access log, status types and the admin endpoint.
