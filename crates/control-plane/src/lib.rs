//! Ingest, snapshot, generate, serve: the mesh's brain.
