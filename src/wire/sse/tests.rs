//! What a reader of event streams gets, however the bytes are cut.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;

fn decode(pieces: &[&[u8]]) -> Vec<Event> {
    let mut decoder = Decoder::default();
    let mut events = Vec::new();
    for piece in pieces {
        decoder.push(Bytes::copy_from_slice(piece));
        while let Some(event) = decoder.next().unwrap() {
            events.push(event);
        }
    }
    events
}

fn data(stream: &str) -> Vec<String> {
    decode(&[stream.as_bytes()])
        .into_iter()
        .map(|event| String::from_utf8(event.data.to_vec()).unwrap())
        .collect()
}

#[test]
fn lines_end_with_cr_lf_or_both() {
    assert_eq!(data("data: a\ndata:b\n\ndata: c\r\rdata:  d\r\n\r\n"), ["a\nb", "c", " d"]);
    assert_eq!(data("data: a\r\n\r\ndata: b\n\n"), ["a", "b"]);
}

#[test]
fn what_is_no_data_is_no_event() {
    assert_eq!(data(": ping\n\nevent: x\n\ndata\n\ndata:\n\nfoo: bar\n\n"), [""; 0]);
    assert_eq!(data("data:\ndata:\n\n"), ["\n"]);
    assert_eq!(data("data: never ended"), [""; 0]);
    assert_eq!(
        data("\u{feff}data: a\n\n\u{feff}data: b\n\ndata: \u{feff}c\n\n"),
        ["a", "\u{feff}c"]
    );
}

#[test]
fn ids_and_times_outlive_their_event() {
    let mut decoder = Decoder::default();
    decoder.push(Bytes::from_static(b"id: 7\nretry: 250\ndata:\n\nevent: e\ndata: x\n\nid: 8\n"));
    let event = decoder.next().unwrap().unwrap();
    assert_eq!((event.event.as_deref(), event.id), (Some("e"), None));
    assert_eq!((decoder.last_id(), decoder.retry()), (Some("7"), Some(250)));
    decoder.push(Bytes::from_static(b"retry: 1x\n\nid: a\0b\n\n"));
    assert_eq!(decoder.next(), Ok(None));
    assert_eq!((decoder.last_id(), decoder.retry()), (Some("8"), Some(250)));
    decoder.push(Bytes::from_static(b"id\n\n"));
    assert_eq!(decoder.next(), Ok(None));
    assert_eq!(decoder.last_id(), None);
}

#[test]
fn the_limit_is_exact() {
    let read = |length: usize, cut: usize| {
        let stream = Bytes::from(format!("data: {}\n\n", "x".repeat(length)));
        let mut decoder = Decoder::new(100);
        decoder.push(stream.slice(..cut));
        decoder.next()?;
        decoder.push(stream.slice(cut..));
        decoder.next()
    };
    for cut in [0, 3, 50, 100] {
        assert_eq!(read(99, cut).unwrap().unwrap().data.len(), 99);
        assert_eq!(read(100, cut).unwrap().unwrap().data.len(), 100);
        assert_eq!(read(101, cut), Err(SseError::TooLong(100)));
    }
    let mut decoder = Decoder::new(100);
    for _ in 0..30 {
        decoder.push(Bytes::from_static(b"data: 0123456789\n"));
    }
    assert_eq!(decoder.next(), Err(SseError::TooLong(100)));
    decoder.push(Bytes::from_static(b"\n\ndata: a\n\n"));
    assert_eq!(decoder.next(), Err(SseError::TooLong(100)));
}

#[test]
fn data_of_one_piece_is_not_copied() {
    let piece = Bytes::from_static(b"data: {\"a\":1}\n\n");
    let range = piece.as_ptr() as usize..piece.as_ptr() as usize + piece.len();
    let mut decoder = Decoder::default();
    decoder.push(piece);
    assert!(range.contains(&(decoder.next().unwrap().unwrap().data.as_ptr() as usize)));
}

/// Cuts a stream at the given places.
fn cut<'a>(stream: &'a [u8], places: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> =
        places.iter().map(|place| place.index(stream.len() + 1)).chain([0, stream.len()]).collect();
    places.sort_unstable();
    places.windows(2).map(|pair| &stream[pair[0]..pair[1]]).collect()
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        events in prop::collection::vec((prop::option::of("[a-z0-9:_ ]{1,8}[a-z]"), "(?s)[\\r\\n: a\u{fc}\u{feff}]{0,12}x"), 0..6),
        places in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let mut stream = Vec::new();
        for (id, data) in &events {
            encode(&mut stream, id.as_deref(), data.as_bytes());
            stream.extend_from_slice(COMMENT);
        }
        let expected: Vec<Event> = events
            .iter()
            .map(|(id, data)| Event {
                id: id.clone(),
                data: Bytes::from(data.replace("\r\n", "\n").replace('\r', "\n")),
                ..Event::default()
            })
            .collect();
        prop_assert_eq!(decode(&cut(&stream, &places)), expected);
    }

    #[test]
    fn cuts_change_nothing(
        stream in "(data: ?|id: |retry: 1|event: e|\u{feff}|: c|[\\r\\n]|\\r\\n|a|\u{e9}){0,40}",
        places in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let whole = decode(&[stream.as_bytes()]);
        prop_assert_eq!(decode(&cut(stream.as_bytes(), &places)), whole);
    }
}
