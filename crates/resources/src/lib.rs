//! Every kind a user writes: type, defaults, validation, manual.
