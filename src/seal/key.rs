//! The root key file: 32 random bytes that only their owner may read.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

const LENGTH: usize = 32;

/// Why a key file is not used. Each line says how to mend it.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// There is no file at this path.
    #[error("key file {0}: it does not exist; restore it from your backup")]
    Missing(PathBuf),
    /// A store is there, the key that opens it is not: a new key would make it unreadable.
    #[error(
        "key file {key}: it does not exist but the store {store} does, and only its own key opens it; \
         restore the key file from your backup, or move the store away to start anew"
    )]
    MissingBesideStore {
        /// The key file.
        key: PathBuf,
        /// The store that was made with it.
        store: PathBuf,
    },
    /// The operating system refused.
    #[error("key file {path}: cannot {doing} it ({reason}); check the path and its owner")]
    Io {
        /// The key file.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// The system's words.
        reason: io::Error,
    },
    /// A folder, a pipe or a device.
    #[error(
        "key file {0}: it is not a regular file; point `key_file` at a file of 32 random bytes"
    )]
    NotAFile(PathBuf),
    /// Others may read or write it.
    #[error(
        "key file {path}: its mode is {mode:04o}, so others can use it; run `chmod 600 {path}`, \
         and if others had access make a new one"
    )]
    Open {
        /// The key file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It belongs to another user.
    #[error("key file {path}: it belongs to user {owner}; run `chown {us} {path}`")]
    Owner {
        /// The key file.
        path: PathBuf,
        /// Who owns it.
        owner: u32,
        /// Who runs this program.
        us: u32,
    },
    /// Not 32 bytes.
    #[error(
        "key file {path}: it has {bytes} bytes and must have 32 random ones; \
         restore it, or make one with `head -c 32 /dev/urandom`"
    )]
    Length {
        /// The key file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
    },
    /// Zeros, a repeated pattern or typed text.
    #[error(
        "key file {0}: its content is not random (repeated bytes or typed text); \
         make one with `head -c 32 /dev/urandom`"
    )]
    NotRandom(PathBuf),
    /// The system has no randomness to give.
    #[error("key file {0}: the system gives no random bytes to make it from; try again later")]
    NoRandom(PathBuf),
}

/// The 32 bytes that everything else is derived from; overwritten when dropped.
pub struct RootKey(Zeroizing<[u8; LENGTH]>);

impl RootKey {
    /// Reads the key file, or makes one (mode 0600, synced to disk) where none is. It is not made
    /// where `store` already exists, because only the lost key could open that. Gives the key and
    /// whether it was made.
    ///
    /// # Errors
    /// When the file is missing beside a store, unsafe, not 32 random bytes, or cannot be written.
    pub fn create_if_missing(path: &Path, store: &Path) -> Result<(Self, bool), KeyFileError> {
        match Self::load(path) {
            Err(KeyFileError::Missing(_)) => {}
            loaded => return loaded.map(|key| (key, false)),
        }
        if fs::metadata(store).is_ok_and(|found| found.len() > 0) {
            return Err(KeyFileError::MissingBesideStore {
                key: path.to_owned(),
                store: store.to_owned(),
            });
        }
        match create(path) {
            Ok(()) => Ok((Self::load(path)?, true)),
            // Another process made it in the meantime: theirs holds.
            Err(KeyFileError::Io { reason, .. })
                if reason.kind() == io::ErrorKind::AlreadyExists =>
            {
                Ok((Self::load(path)?, false))
            }
            Err(error) => Err(error),
        }
    }

    /// Reads and judges the key file. Links are followed; what is judged is the opened file.
    ///
    /// # Errors
    /// When the file is missing, unsafe, or not 32 random bytes.
    pub fn load(path: &Path) -> Result<Self, KeyFileError> {
        let failed = |doing| {
            move |reason: io::Error| KeyFileError::Io { path: path.to_owned(), doing, reason }
        };
        // Non-blocking, so that a pipe put in its place cannot hang the start.
        let flags = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or_default();
        let opened = OpenOptions::new().read(true).custom_flags(flags).open(path);
        let mut file = match opened {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(KeyFileError::Missing(path.to_owned()));
            }
            opened => opened.map_err(failed("open"))?,
        };
        let meta = file.metadata().map_err(failed("examine"))?;
        if !meta.is_file() {
            return Err(KeyFileError::NotAFile(path.to_owned()));
        }
        let mode = meta.mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(KeyFileError::Open { path: path.to_owned(), mode });
        }
        let us = rustix::process::geteuid().as_raw();
        if meta.uid() != us && meta.uid() != 0 {
            return Err(KeyFileError::Owner { path: path.to_owned(), owner: meta.uid(), us });
        }
        if meta.len() != LENGTH as u64 {
            return Err(KeyFileError::Length { path: path.to_owned(), bytes: meta.len() });
        }
        let mut bytes = Zeroizing::new([0; LENGTH]);
        file.read_exact(bytes.as_mut()).map_err(failed("read"))?;
        if !looks_random(&bytes) {
            return Err(KeyFileError::NotRandom(path.to_owned()));
        }
        Ok(Self(bytes))
    }

    pub(super) fn bytes(&self) -> &[u8; LENGTH] {
        &self.0
    }

    /// A fixed key.
    #[cfg(test)]
    pub(crate) fn for_test(seed: u8) -> Self {
        let mut bytes = Zeroizing::new([0; LENGTH]);
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = seed.wrapping_add(u8::try_from(at).unwrap_or_default().wrapping_mul(37));
        }
        Self(bytes)
    }
}

impl fmt::Debug for RootKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RootKey([redacted])")
    }
}

/// 32 random bytes fail this less than once in 10^13 files.
fn looks_random(bytes: &[u8; LENGTH]) -> bool {
    let mut seen = [false; 256];
    for byte in bytes {
        seen[usize::from(*byte)] = true;
    }
    let distinct = seen.iter().filter(|seen| **seen).count();
    let typed = bytes.iter().all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace());
    let run = bytes.windows(2).filter(|pair| pair[0].wrapping_add(1) == pair[1]).count();
    distinct >= 16 && !typed && run < 16
}

/// Writes a temporary file and links it to its name, so that nobody ever reads half a key and
/// an existing one is never replaced.
fn create(path: &Path) -> Result<(), KeyFileError> {
    let failed =
        |doing| move |reason: io::Error| KeyFileError::Io { path: path.to_owned(), doing, reason };
    let mut random = Zeroizing::new([0; LENGTH]);
    let mut suffix = [0; 8];
    getrandom::fill(random.as_mut())
        .and_then(|()| getrandom::fill(&mut suffix))
        .map_err(|_| KeyFileError::NoRandom(path.to_owned()))?;
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    fs::create_dir_all(folder).map_err(failed("make the folder of"))?;
    let temporary = folder.join(format!(".mcp-proxy-key-{:016x}", u64::from_le_bytes(suffix)));
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary)
        .and_then(|mut file| {
            file.write_all(random.as_ref())?;
            file.sync_all()
        })
        .and_then(|()| fs::hard_link(&temporary, path));
    // The name of the temporary file must not stay, whatever happened to the other one.
    let removed = fs::remove_file(&temporary);
    written.map_err(failed("make"))?;
    removed.and_then(|()| File::open(folder)?.sync_all()).map_err(failed("make"))
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn write(path: &Path, bytes: &[u8], mode: u32) {
        fs::write(path, bytes).unwrap();
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    fn random() -> [u8; 32] {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn the_first_start_makes_a_private_file_and_the_second_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let (path, store) = (folder.path().join("root.key"), folder.path().join("store.db"));
        let (made, created) = RootKey::create_if_missing(&path, &store).unwrap();
        assert!(created);
        let meta = fs::metadata(&path).unwrap();
        assert_eq!((meta.len(), meta.mode() & 0o777), (32, 0o600));
        let (read, created) = RootKey::create_if_missing(&path, &store).unwrap();
        assert!(!created);
        assert_eq!(made.bytes(), read.bytes());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file stays");
    }

    #[test]
    fn no_key_is_made_beside_a_store_that_lost_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let (path, store) = (folder.path().join("root.key"), folder.path().join("store.db"));
        fs::write(&store, b"rows").unwrap();
        let error = RootKey::create_if_missing(&path, &store).unwrap_err().to_string();
        assert!(error.contains("restore the key file from your backup"), "{error}");
        assert!(!path.exists());
    }

    #[test]
    fn weak_or_open_key_files_are_refused_in_one_line_with_the_fix() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("root.key");
        let counting: Vec<u8> = (0..32).collect();
        let mut long = random().to_vec();
        long.push(0);
        let cases: [(&[u8], u32, &str); 12] = [
            (b"", 0o600, "has 0 bytes"),
            (&random()[..31], 0o600, "has 31 bytes"),
            (&long, 0o600, "has 33 bytes"),
            (&[0; 32], 0o600, "not random"),
            (&[0xff; 32], 0o600, "not random"),
            (&[1, 2, 3, 4].repeat(8), 0o600, "not random"),
            (&counting, 0o600, "not random"),
            (b"changeme-changeme-changeme-12345", 0o600, "not random"),
            (&random(), 0o640, "chmod 600"),
            (&random(), 0o604, "chmod 600"),
            (&random(), 0o644, "chmod 600"),
            (&random(), 0o620, "chmod 600"),
        ];
        for (bytes, mode, expected) in cases {
            let _ = fs::remove_file(&path);
            write(&path, bytes, mode);
            let error = RootKey::load(&path).unwrap_err().to_string();
            assert!(error.contains(expected), "{expected}: {error}");
            assert!(!error.contains('\n'), "{error}");
        }
        fs::remove_file(&path).unwrap();
        let target = folder.path().join("open");
        write(&target, &random(), 0o644);
        symlink(&target, &path).unwrap();
        assert!(RootKey::load(&path).unwrap_err().to_string().contains("chmod 600"));
        assert!(RootKey::load(folder.path()).unwrap_err().to_string().contains("regular file"));
        let gone = RootKey::load(&folder.path().join("gone")).unwrap_err();
        assert!(matches!(gone, KeyFileError::Missing(_)));
    }
}
