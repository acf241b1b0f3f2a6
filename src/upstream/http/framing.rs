//! Finding a body's end in what arrives (RFC 9112 sections 6 and 7).

use bytes::{Bytes, BytesMut};

use super::head::BodyEnd;

/// Longest line between chunks: their size with extensions, or a trailer.
const LINE: usize = 8 << 10;
/// Most lines of trailers.
const TRAILERS: u8 = 64;

/// Where in a body its reader stands.
#[derive(Debug)]
pub(super) enum Framing {
    /// This many bytes are to come.
    Length(u64),
    /// Everything until the connection ends.
    Close,
    /// Before the line that says how long a chunk is.
    ChunkSize,
    /// In a chunk, with this many bytes to come.
    Chunk(u64),
    /// Before the line end after a chunk.
    ChunkEnd,
    /// After the last chunk, with this many lines behind it.
    Trailers(u8),
    /// All has come.
    Over,
}

/// The bytes are no chunks.
#[derive(Debug, thiserror::Error)]
#[error("its body is not framed as it says")]
pub(super) struct Malformed;

impl Framing {
    pub(super) fn new(end: BodyEnd) -> Self {
        match end {
            BodyEnd::Length(0) => Self::Over,
            BodyEnd::Length(length) => Self::Length(length),
            BodyEnd::Chunked => Self::ChunkSize,
            BodyEnd::Close => Self::Close,
        }
    }

    /// Bytes that are certainly still to come, as far as that is known.
    pub(super) fn left(&self) -> Option<u64> {
        match self {
            Self::Length(left) => Some(*left),
            Self::Over => Some(0),
            _ => None,
        }
    }

    /// Takes the next piece of the body out of what has come. `None`: more must come first, or
    /// it is over.
    pub(super) fn take(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, Malformed> {
        self.skip(buffer)?;
        let (left, next) = match self {
            Self::Length(left) => (left, Self::Over),
            Self::Chunk(left) => (left, Self::ChunkEnd),
            Self::Close if !buffer.is_empty() => return Ok(Some(buffer.split().freeze())),
            _ => return Ok(None),
        };
        if buffer.is_empty() {
            return Ok(None);
        }
        let length = usize::try_from(*left).unwrap_or(usize::MAX).min(buffer.len());
        *left -= length as u64;
        if *left == 0 {
            *self = next;
        }
        let piece = buffer.split_to(length).freeze();
        // What follows the last piece is often there already, and with it the end.
        self.skip(buffer)?;
        Ok(Some(piece))
    }

    /// Passes over what stands between pieces.
    fn skip(&mut self, buffer: &mut BytesMut) -> Result<(), Malformed> {
        loop {
            let next = match self {
                Self::ChunkSize => match line(buffer)? {
                    Some(line) => match chunk_size(&line)? {
                        0 => Self::Trailers(0),
                        size => Self::Chunk(size),
                    },
                    None => return Ok(()),
                },
                Self::ChunkEnd => match line(buffer)? {
                    Some(line) if line.is_empty() => Self::ChunkSize,
                    Some(_) => return Err(Malformed),
                    None => return Ok(()),
                },
                Self::Trailers(count) => match line(buffer)? {
                    Some(line) if line.is_empty() => Self::Over,
                    Some(_) if *count >= TRAILERS => return Err(Malformed),
                    Some(_) => Self::Trailers(*count + 1),
                    None => return Ok(()),
                },
                _ => return Ok(()),
            };
            *self = next;
        }
    }
}

/// Takes a line off the front, without its end.
fn line(buffer: &mut BytesMut) -> Result<Option<BytesMut>, Malformed> {
    let window = &buffer[..buffer.len().min(LINE)];
    match memchr::memchr(b'\n', window) {
        Some(end) if end > 0 && window[end - 1] == b'\r' => {
            let mut line = buffer.split_to(end + 1);
            line.truncate(end - 1);
            Ok(Some(line))
        }
        None if buffer.len() < LINE => Ok(None),
        _ => Err(Malformed),
    }
}

fn chunk_size(line: &[u8]) -> Result<u64, Malformed> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let rest = line[digits..].trim_ascii_start();
    let text = std::str::from_utf8(&line[..digits]).map_err(|_| Malformed)?;
    if !(rest.is_empty() || rest.starts_with(b";")) {
        return Err(Malformed);
    }
    u64::from_str_radix(text, 16).map_err(|_| Malformed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads a body that arrives in these pieces; gives what was read and what was left over.
    fn read(end: BodyEnd, pieces: &[&[u8]]) -> Result<(Vec<u8>, Vec<u8>, bool), Malformed> {
        let (mut framing, mut buffer, mut body) = (Framing::new(end), BytesMut::new(), Vec::new());
        for piece in pieces {
            buffer.extend_from_slice(piece);
            while let Some(bytes) = framing.take(&mut buffer)? {
                assert!(!bytes.is_empty());
                body.extend_from_slice(&bytes);
            }
        }
        Ok((body, buffer.to_vec(), matches!(framing, Framing::Over)))
    }

    #[test]
    fn what_is_no_chunk_is_refused() {
        for wrong in [
            "\r\n",
            "x\r\n",
            "1\nA\r\n",
            "1 x\r\n",
            "-1\r\n",
            "+1\r\n",
            "0x1\r\n",
            "1\r\nAB\r\n",
            "1\r\nA\n0\r\n\r\n",
            "10000000000000000\r\n",
        ] {
            assert!(read(BodyEnd::Chunked, &[wrong.as_bytes()]).is_err(), "{wrong:?}");
        }
        let endless = format!("1;{}", "x".repeat(LINE));
        assert!(read(BodyEnd::Chunked, &[endless.as_bytes()]).is_err());
        let trailers = format!("0\r\n{}", "a: b\r\n".repeat(usize::from(TRAILERS) + 1));
        assert!(read(BodyEnd::Chunked, &[trailers.as_bytes()]).is_err());
    }

    #[test]
    fn extensions_and_trailers_are_passed_over() {
        let (body, left, over) =
            read(BodyEnd::Chunked, &[b"3 ;a=b\r\nabc\r\n0\r\nt: 1\r\n\r\nHTTP"]).unwrap();
        assert_eq!((&body[..], &left[..], over), (&b"abc"[..], &b"HTTP"[..], true));
    }

    proptest! {
        #[test]
        fn a_body_arrives_whole_however_it_is_cut(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..8),
            cuts in prop::collection::vec(1usize..17, 0..200),
            upper in any::<bool>(),
        ) {
            let body: Vec<u8> = chunks.concat();
            let mut chunked = Vec::new();
            for chunk in &chunks {
                let size = if upper { format!("{:X}", chunk.len()) } else { format!("{:04x}", chunk.len()) };
                chunked.extend_from_slice(size.as_bytes());
                chunked.extend_from_slice(b"\r\n");
                chunked.extend_from_slice(chunk);
                chunked.extend_from_slice(b"\r\n");
            }
            chunked.extend_from_slice(b"0\r\n\r\n");
            let pieces = |bytes: &[u8]| -> Vec<Vec<u8>> {
                let (mut at, mut pieces) = (0, Vec::new());
                for cut in cuts.iter().chain(std::iter::repeat(&7)) {
                    if at >= bytes.len() { break }
                    let end = (at + cut).min(bytes.len());
                    pieces.push(bytes[at..end].to_vec());
                    at = end;
                }
                pieces
            };
            for (end, text) in [
                (BodyEnd::Chunked, chunked.clone()),
                (BodyEnd::Length(body.len() as u64), body.clone()),
            ] {
                let pieces = pieces(&text);
                let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
                let (read, left, over) = read(end, &pieces).unwrap();
                prop_assert_eq!(&read, &body);
                prop_assert!(left.is_empty() && over);
            }
        }
    }
}
