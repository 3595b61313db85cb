//! Ingest, snapshot, generate, serve: the mesh's brain.
//!
//! NOTE while working: this crate (ingest, registry, ADS server, 15014) and `telemetry::status` are being written
//! on `main` by the coordinator, on top of `xds::subscription::server::Stream`, `translation::Generator::generate(&mut
//! self, &Snapshot, &Node) -> ResourceSet`, `Snapshot::apply`, `Node::from_xds`. Keep to `translation` (all of it:
//! breadth, tests, real-Envoy acceptance through a small static test server if wanted), commit as soon as it compiles,
//! and report; do not write this crate.
