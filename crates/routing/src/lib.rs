//! xDS compiled into what the proxy looks up, and every decision on a connection or request.
