//! A pod and settings in, the patched pod out.
