//! Messages of gRPC in a body: each has five bytes before it, the last four of
//! which say how long it is.

/// Counts messages while their bytes go by.
#[derive(Debug, Default)]
pub struct Frames {
    /// How many messages have begun.
    pub messages: u64,
    /// How many of the five bytes have come.
    seen: u8,
    length: u32,
    /// What is left of the message.
    left: u32,
}

impl Frames {
    /// Takes in the next bytes of the body.
    pub fn add(&mut self, mut data: &[u8]) {
        while let Some((first, rest)) = data.split_first() {
            if self.left > 0 {
                let here = data.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
                self.left -= u32::try_from(here).unwrap_or(self.left);
                data = &data[here..];
                continue;
            }
            // The first byte says whether the message is compressed.
            if self.seen > 0 {
                self.length = self.length << 8 | u32::from(*first);
            }
            self.seen += 1;
            if self.seen == 5 {
                self.messages += 1;
                *self = Frames { messages: self.messages, left: self.length, ..Frames::default() };
            }
            data = rest;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Frames;

    #[test]
    fn messages_are_counted_however_they_are_cut() {
        let body = [&[0, 0, 0, 0, 2][..], b"ab", &[1, 0, 0, 0, 0], &[0, 0, 0, 1, 0], &[7; 256]].concat();
        for size in [1, 2, 3, 7, body.len()] {
            let mut frames = Frames::default();
            body.chunks(size).for_each(|piece| frames.add(piece));
            assert_eq!((frames.messages, frames.left, frames.seen), (3, 0, 0), "in pieces of {size}");
        }
    }
}
