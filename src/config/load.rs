//! From a path to a `Config`, and from a source to its secret: the only code of this module
//! that reads files and the environment.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::check::{Surroundings, check};
use super::file::{Table, parse};
use super::problem::{Problem, Problems, Warning};
use super::report::Report;
use super::{Config, SecretSource};
use crate::base::Secret;

/// Largest configuration file.
const MAX_FILE: u64 = 8 << 20;
/// Largest secret; environment variables and headers of that size fail elsewhere anyway.
const MAX_SECRET: u64 = 64 << 10;

/// Reads and checks a configuration file. Relative paths in it start at its own folder.
///
/// # Errors
/// Every problem of the file at once, or the one that it cannot be read.
pub fn load(path: &Path) -> Result<(Config, Vec<Warning>), Problems> {
    let name = path.display().to_string();
    let fail = |message: String, hint: &str| Problem::whole(&name, message, hint);
    let bytes = read(path, MAX_FILE, 0o002).map_err(|error| {
        let hint = match &error {
            ReadError::Io(error) if error.kind() == io::ErrorKind::NotFound => {
                "name the file, or go to the folder where it is"
            }
            ReadError::Io(_) => "give the user that runs mcp-proxy the right to read it",
            ReadError::NotAFile => "name a file",
            ReadError::TooLarge => "a configuration has at most 8 MiB",
            ReadError::Exposed => "whoever changes it runs programs as you: chmod o-w it",
        };
        fail(error.to_string(), hint)
    })?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = good.iter().filter(|byte| **byte == b'\n').count() + 1;
        fail(format!("line {line} is not UTF-8"), "save the file as UTF-8")
    })?;
    let folder = std::path::absolute(path).ok();
    let folder = folder.as_deref().and_then(Path::parent).unwrap_or(Path::new("."));
    check_text(&text, &name, folder)
}

/// Checks the text of a configuration file: `file_name` stands before each problem, relative
/// paths start at `base`. A `command` whose first word is `mcp-proxy` means this executable.
///
/// # Errors
/// Every problem of the text at once.
pub fn check_text(
    text: &str,
    file_name: &str,
    base: &Path,
) -> Result<(Config, Vec<Warning>), Problems> {
    let program = itself();
    let around = Surroundings { folder: base, program: &program };
    let mut report = Report::new(text);
    let root = parse(text, &mut report);
    let table = Table::new(String::new(), root.get_ref());
    let config = Config { file: file_name.into(), ..check(table, &around, &mut report) };
    match report.finish(file_name) {
        (None, warnings) => Ok((Config { revision: revision(text), ..config }, warnings)),
        (Some(problems), _) => Err(problems),
    }
}

/// This very executable.
pub(super) fn itself() -> PathBuf {
    std::env::current_exe().unwrap_or_else(|_| PathBuf::from("mcp-proxy"))
}

/// What tells one text of the file from another.
fn revision(text: &str) -> [u8; 8] {
    let digest: [u8; 32] = Sha256::digest(text).into();
    digest.first_chunk().copied().unwrap_or_default()
}

/// Why a secret could not be had. Never holds the value.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The variable does not exist.
    #[error("the environment has no variable `{0}`; set it before mcp-proxy starts")]
    Unset(String),
    /// The file cannot be read.
    #[error("the secret in `{}` cannot be had: {reason}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why, with the next step.
        reason: String,
    },
    /// Not text.
    #[error("the secret from {0} is not UTF-8; save it as text")]
    NotText(String),
    /// Nothing there.
    #[error("the secret from {0} is empty; fill it in or take the entry out")]
    Empty(String),
    /// CR, LF or NUL inside.
    #[error("the secret from {0} has a line break or NUL in it; write it as one line")]
    Broken(String),
}

/// Reads a secret from where the file says it is. One line end at the end of a file is not part
/// of the value.
///
/// # Errors
/// When it is not there, too large (64 KiB), empty, not UTF-8, has CR, LF or NUL in it, or when
/// its file may be read by every user of the machine or changed by others.
pub fn resolve(source: &SecretSource) -> Result<Secret, SourceError> {
    let (place, value) = match source {
        SecretSource::Env(name) => {
            let value = std::env::var_os(name).ok_or_else(|| SourceError::Unset(name.clone()))?;
            (format!("variable `{name}`"), value.into_string().ok())
        }
        SecretSource::File(path) => {
            let bytes = read(path, MAX_SECRET, 0o027).map_err(|error| {
                let next = match &error {
                    ReadError::Io(_) | ReadError::NotAFile => "",
                    ReadError::TooLarge => "; a secret has at most 64 KiB",
                    ReadError::Exposed => "; chmod 600 it",
                };
                SourceError::File { path: path.clone(), reason: format!("{error}{next}") }
            })?;
            (format!("`{}`", path.display()), String::from_utf8(bytes).ok())
        }
    };
    let mut value = value.ok_or_else(|| SourceError::NotText(place.clone()))?;
    if matches!(source, SecretSource::File(_)) && value.ends_with('\n') {
        value.pop();
        if value.ends_with('\r') {
            value.pop();
        }
    }
    let secret = Secret::new(value);
    if secret.expose().is_empty() {
        return Err(SourceError::Empty(place));
    }
    if secret.expose().contains(['\r', '\n', '\0']) {
        return Err(SourceError::Broken(place));
    }
    Ok(secret)
}

#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    #[error("is no file")]
    NotAFile,
    #[error("is too large")]
    TooLarge,
    #[error("is open to other users of this machine")]
    Exposed,
}

/// A regular file of at most `limit` bytes with none of the `forbidden` mode bits. Pipes and
/// devices are refused, since reading one may wait for ever.
fn read(path: &Path, limit: u64, forbidden: u32) -> Result<Vec<u8>, ReadError> {
    let is_file = |metadata: &Metadata| metadata.is_file();
    if !std::fs::metadata(path).map(|metadata| is_file(&metadata))? {
        return Err(ReadError::NotAFile);
    }
    let file = File::open(path)?;
    if mode(&file.metadata()?) & forbidden != 0 {
        return Err(ReadError::Exposed);
    }
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit { Err(ReadError::TooLarge) } else { Ok(bytes) }
}

#[cfg(unix)]
fn mode(metadata: &Metadata) -> u32 {
    std::os::unix::fs::PermissionsExt::mode(&metadata.permissions())
}

#[cfg(not(unix))]
fn mode(_: &Metadata) -> u32 {
    0
}
