//! Decoding a byte stream to UTF-8 while reading. Bytes that are no text become U+FFFD.

use std::io::{self, Read};

use encoding_rs::{CoderResult, Decoder, Encoding};

const CHUNK_BYTES: usize = 64 << 10;
/// A decoded chunk: GB18030 grows by at most half, and some room for the last character.
const TEXT_BYTES: usize = 2 * CHUNK_BYTES;

/// A reader that yields UTF-8.
pub(crate) struct Decoding<R> {
    inner: R,
    decoder: Decoder,
    raw: Box<[u8]>,
    raw_range: (usize, usize),
    text: Box<[u8]>,
    text_range: (usize, usize),
    ended: bool,
    flushed: bool,
}

impl<R: Read> Decoding<R> {
    pub(crate) fn new(inner: R, encoding: &'static Encoding) -> Self {
        Self {
            inner,
            decoder: encoding.new_decoder_with_bom_removal(),
            raw: vec![0; CHUNK_BYTES].into(),
            raw_range: (0, 0),
            text: vec![0; TEXT_BYTES].into(),
            text_range: (0, 0),
            ended: false,
            flushed: false,
        }
    }

    fn refill(&mut self) -> io::Result<()> {
        if self.raw_range.0 == self.raw_range.1 && !self.ended {
            let read = self.inner.read(&mut self.raw)?;
            self.ended = read == 0;
            self.raw_range = (0, read);
        }
        let input = &self.raw[self.raw_range.0..self.raw_range.1];
        let (result, consumed, written, _) =
            self.decoder.decode_to_utf8(input, &mut self.text, self.ended);
        self.raw_range.0 += consumed;
        self.text_range = (0, written);
        self.flushed = self.ended && result == CoderResult::InputEmpty;
        Ok(())
    }
}

impl<R: Read> Read for Decoding<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.text_range.0 == self.text_range.1 {
            if self.flushed {
                return Ok(0);
            }
            self.refill()?;
        }
        let ready = &self.text[self.text_range.0..self.text_range.1];
        let length = ready.len().min(buffer.len());
        buffer[..length].copy_from_slice(&ready[..length]);
        self.text_range.0 += length;
        Ok(length)
    }
}
