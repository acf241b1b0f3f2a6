//! What the plain byte proxies have in common: their command line, and the headers that they keep.

use std::{io, net::SocketAddr, process::ExitCode};

use http::{HeaderMap, HeaderName, header};

/// Headers that belong to one connection (RFC 9110 section 7.6.1).
const HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Takes out what belongs to one connection.
pub(crate) fn strip(headers: &mut HeaderMap) {
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
}

/// Reads `--listen ADDR --target http://ADDR` and serves until that fails.
pub(crate) fn run(
    name: &str,
    serve: impl FnOnce(SocketAddr, SocketAddr) -> io::Result<()>,
) -> ExitCode {
    let Some((listen, target)) = addresses(std::env::args().skip(1)) else {
        eprintln!("{name}: a byte proxy without any knowledge of what it carries\n");
        eprintln!("usage: {name} --listen ADDR --target http://ADDR");
        return ExitCode::from(64);
    };
    match serve(listen, target) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{name}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn addresses(mut args: impl Iterator<Item = String>) -> Option<(SocketAddr, SocketAddr)> {
    let (mut listen, mut target) = (None, None);
    while let Some(arg) = args.next() {
        let value = args.next()?;
        match arg.as_str() {
            "--listen" => listen = Some(value.parse().ok()?),
            "--target" => {
                target = Some(value.strip_prefix("http://")?.trim_end_matches('/').parse().ok()?);
            }
            _ => return None,
        }
    }
    Some((listen?, target?))
}
