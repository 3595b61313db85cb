//! Where resources come from and go to: a watched directory, memory.
