//! `traceparent` (W3C Trace Context, level 1).

use std::fmt::Write;

/// Which span of which trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context {
    /// The trace.
    pub trace: [u8; 16],
    /// The span.
    pub span: [u8; 8],
    /// Whether its spans are kept.
    pub sampled: bool,
}

/// Length of a `traceparent` of version 00.
const LENGTH: usize = 55;

impl Context {
    /// Reads a `traceparent`; `None` when it is none. A later version is read as far as it is known.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let dashes = [2, 35, 52];
        if bytes.len() < LENGTH || dashes.iter().any(|at| bytes[*at] != b'-') {
            return None;
        }
        let [version] = hex(&bytes[..2])?;
        let ends_well = match version {
            0 => bytes.len() == LENGTH,
            0xff => false,
            _ => bytes.get(LENGTH).is_none_or(|byte| *byte == b'-'),
        };
        let (trace, span) = (hex(&bytes[3..35])?, hex(&bytes[36..52])?);
        let [flags] = hex(&bytes[53..55])?;
        let fits = ends_well && trace != [0; 16] && span != [0; 8];
        fits.then_some(Self { trace, span, sampled: flags & 1 == 1 })
    }

    /// As `traceparent`.
    #[must_use]
    pub fn text(&self) -> String {
        let (trace, span) = (written(&self.trace), written(&self.span));
        format!("00-{trace}-{span}-0{}", u8::from(self.sampled))
    }
}

/// Lower-case hexadecimal digits, and no others.
fn hex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let digit = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let mut out = [0; N];
    for (byte, pair) in out.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(out)
}

/// Bytes as hexadecimal digits.
pub(super) fn written(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn what_is_no_traceparent_is_none() {
        let context = Context::parse(GOOD).unwrap();
        assert!(context.sampled);
        assert_eq!(context.text(), GOOD);
        let later = GOOD.replacen("00", "42", 1);
        assert_eq!(Context::parse(&later), Some(context));
        assert_eq!(Context::parse(&format!("{later}-more")), Some(context));
        for wrong in [
            "",
            "00-1-2-01",
            &GOOD.replacen("00", "ff", 1),
            &GOOD.to_uppercase(),
            &format!("{GOOD}-more"),
            &format!("{later}more"),
            &GOOD.replace("b7ad6b7169203331", "0000000000000000"),
            &GOOD.replace("0af7651916cd43dd8448eb211c80319c", "00000000000000000000000000000000"),
            &GOOD.replace("-01", "-0g"),
            &GOOD.replace('-', "_"),
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
            "€€-0af7651916cd43dd8448eb211c80319c-b7ad6b716920333-01",
        ] {
            assert_eq!(Context::parse(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(trace in 1u128.., span in 1u64.., sampled: bool) {
            let context = Context { trace: trace.to_be_bytes(), span: span.to_be_bytes(), sampled };
            prop_assert_eq!(Context::parse(&context.text()), Some(context));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,70}") {
            let _ = Context::parse(&text);
        }
    }
}
