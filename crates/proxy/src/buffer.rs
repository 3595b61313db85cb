//! Buffers for bytes of connections, and a pool of them for each worker.
//!
//! A connection owns a buffer only while there is something in it: an idle
//! one costs none.

use std::cell::RefCell;

/// The size of a normal buffer.
pub const NORMAL: usize = 16 << 10;
/// The size of a buffer for bodies that are known to be large.
pub const LARGE: usize = 128 << 10;
/// So many free buffers of one size are kept.
const KEEP_NORMAL: usize = 256;
const KEEP_LARGE: usize = 16;

/// Bytes between `start` and `end` of a block that never shrinks.
#[derive(Debug)]
pub struct Buffer {
    /// All of it is initialised; the part behind `end` is scratch.
    block: Vec<u8>,
    start: usize,
    end: usize,
}

impl Buffer {
    fn with_size(size: usize) -> Buffer {
        Buffer { block: vec![0; size], start: 0, end: 0 }
    }

    /// What was read and not consumed.
    pub fn filled(&self) -> &[u8] {
        &self.block[self.start..self.end]
    }

    /// How much was read and not consumed.
    pub fn len(&self) -> usize {
        self.end - self.start
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Room to read into.
    pub fn spare(&mut self) -> &mut [u8] {
        &mut self.block[self.end..]
    }

    /// Bytes were read into the spare room.
    pub fn advance(&mut self, count: usize) {
        self.end = (self.end + count).min(self.block.len());
    }

    /// The first bytes are done with.
    pub fn consume(&mut self, count: usize) {
        self.start = (self.start + count).min(self.end);
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        }
    }

    /// Moves what is left to the front, so that all room is behind it.
    pub fn compact(&mut self) {
        if self.start > 0 {
            self.block.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
    }

    /// Makes room for more, up to a whole size of `max`. False when the
    /// buffer is that large already.
    pub fn grow(&mut self, max: usize) -> bool {
        self.compact();
        if self.end < self.block.len() {
            return true;
        }
        let size = (self.block.len() * 2).min(max);
        let grows = size > self.block.len();
        self.block.resize(size.max(self.block.len()), 0);
        grows
    }

    /// The size of the block.
    pub fn size(&self) -> usize {
        self.block.len()
    }

    /// Takes the block with what is left at its front; the number says how
    /// much that is.
    pub fn into_block(mut self) -> (Vec<u8>, usize) {
        self.compact();
        (self.block, self.end)
    }
}

/// Free buffers of one worker.
#[derive(Debug, Default)]
pub struct Pool {
    normal: RefCell<Vec<Vec<u8>>>,
    large: RefCell<Vec<Vec<u8>>>,
    growing: RefCell<Vec<Vec<u8>>>,
    scratch: RefCell<Vec<u8>>,
}

impl Pool {
    /// An empty buffer of normal size.
    pub fn take(&self) -> Buffer {
        match self.normal.borrow_mut().pop() {
            Some(block) => Buffer { block, start: 0, end: 0 },
            None => Buffer::with_size(NORMAL),
        }
    }

    /// An empty large buffer.
    pub fn take_large(&self) -> Buffer {
        match self.large.borrow_mut().pop() {
            Some(block) => Buffer { block, start: 0, end: 0 },
            None => Buffer::with_size(LARGE),
        }
    }

    /// A buffer with these bytes; large enough for them.
    pub fn with_bytes(&self, bytes: &[u8]) -> Buffer {
        let mut buffer = if bytes.len() <= NORMAL { self.take() } else { Buffer::with_size(bytes.len()) };
        buffer.block[..bytes.len()].copy_from_slice(bytes);
        buffer.end = bytes.len();
        buffer
    }

    /// Takes a buffer back.
    pub fn give(&self, buffer: Buffer) {
        self.give_block(buffer.block);
    }

    /// Takes a block back that [`Buffer::into_block`] gave.
    pub fn give_block(&self, block: Vec<u8>) {
        let (list, keep) = match block.len() {
            NORMAL => (&self.normal, KEEP_NORMAL),
            LARGE => (&self.large, KEEP_LARGE),
            _ => return,
        };
        let mut list = list.borrow_mut();
        if list.len() < keep {
            list.push(block);
        }
    }

    /// An empty vector with room, to write output into.
    pub fn take_output(&self) -> Vec<u8> {
        self.growing.borrow_mut().pop().unwrap_or_else(|| Vec::with_capacity(NORMAL))
    }

    /// Takes an output vector back.
    pub fn give_output(&self, mut output: Vec<u8>) {
        let mut list = self.growing.borrow_mut();
        if output.capacity() <= LARGE && list.len() < KEEP_NORMAL {
            output.clear();
            list.push(output);
        }
    }

    /// Memory through which bytes pass within one call.
    pub fn take_scratch(&self) -> Vec<u8> {
        self.scratch.take()
    }

    /// Takes it back.
    pub fn give_scratch(&self, scratch: Vec<u8>) {
        self.scratch.replace(scratch);
    }

    /// Lets go of buffers beyond what a quiet worker needs.
    pub fn shrink(&self) {
        self.normal.borrow_mut().truncate(8);
        self.large.borrow_mut().clear();
        self.growing.borrow_mut().truncate(8);
        self.scratch.replace(Vec::new());
    }
}
